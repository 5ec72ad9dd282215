"""`flowbatch scheduler`, `controllers`, `webhook` and `nodes`: the programs of a cluster, in the foreground."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter

from flowbatch.cli.options import ClusterOptions
from flowbatch.cli.session import find_config, run_async
from flowbatch.kube.client import Client

if TYPE_CHECKING:
    from flowbatch.runtime.reload import Nudge
    from flowbatch.runtime.settings import Settings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CONFIG_HELP = (
    "Settings: a YAML file, a Volcano scheduler configuration, a ConfigMap that holds one, or the folder where it is "
    "mounted. Read again when it changes, and on SIGHUP where there is no terminal."
)
Config = Annotated[Path | None, Parameter(help=CONFIG_HELP)]


def scheduler(
    *,
    config: Config = None,
    print_policy: Annotated[bool, Parameter(negative="")] = False,
    options: ClusterOptions | None = None,
) -> int:
    """Run the scheduler against a cluster until SIGTERM.

    Parameters
    ----------
    print_policy
        Only show, as YAML, the policy that the settings come to; no cluster is needed.
    """
    from flowbatch.runtime.app import run_scheduler
    from flowbatch.runtime.settings import load_settings

    settings = load_settings(config)
    if print_policy:
        print(policy_text(settings), end="")
        return 0
    nudge = hangups(settings.source)
    return _serve("scheduler", lambda client: run_scheduler(client, settings, nudge=nudge), options, nudge)


def policy_text(settings: "Settings") -> str:
    """The policy of these settings as YAML, and the one in its shadow after it. Raises SpecErrors."""
    import yaml

    from flowbatch.policy.describe import describe
    from flowbatch.runtime.policies import choose

    chosen = choose(settings)
    shown = [describe(each) for each in (chosen.policy, chosen.shadow) if each is not None]
    return yaml.safe_dump_all(shown, sort_keys=False, allow_unicode=True, width=120)


def controllers(*, config: Config = None, options: ClusterOptions | None = None) -> int:
    """Run the job, pod group and queue controllers against a cluster until SIGTERM."""
    from flowbatch.runtime.app import run_controllers
    from flowbatch.runtime.settings import load_settings

    settings = load_settings(config)
    nudge = hangups(settings.source)
    return _serve("controllers", lambda client: run_controllers(client, settings, nudge=nudge), options, nudge)


def webhook(*, config: Config = None, options: ClusterOptions | None = None) -> int:
    """Answer the API server's admission reviews until SIGTERM."""
    from flowbatch.runtime.settings import load_settings
    from flowbatch.runtime.webhook import run_webhook

    settings = load_settings(config)
    nudge = hangups(settings.source)
    return _serve("webhook", lambda client: run_webhook(client, settings, nudge=nudge), options, nudge)


def hangups(source: str) -> "Nudge | None":
    """Who hears of SIGHUP: the settings, or nobody where the signal means that the terminal was closed."""
    from flowbatch.runtime.reload import Nudge

    return Nudge() if source and not (sys.stdin and sys.stdin.isatty()) else None


def nodes(
    *,
    count: Annotated[int, Parameter(name=["--nodes"])] = 4,
    cpus: str = "2",
    memory: str = "4Gi",
    simulate: bool = False,
    image: Annotated[list[str] | None, Parameter(negative="")] = None,
    options: ClusterOptions | None = None,
) -> int:
    """Attach nodes to any cluster that run pods as processes of this machine, or only play them.

    Parameters
    ----------
    count
        How many nodes.
    cpus
        Allocatable cpu of each.
    memory
        Allocatable memory of each.
    simulate
        Play pods on the clock instead of running them.
    image
        NAME=COMMAND: what a container of that image runs if it names no command.
    """
    from flowbatch.local.nodes import NodePlan, make_nodes

    plan = NodePlan.parse(count=count, cpus=cpus, memory=memory, simulate=simulate, images=image or [])
    return _serve("nodes", lambda client: make_nodes(client, plan).run(), options)


def _serve(
    component: str,
    work: Callable[[Client], Awaitable[None]],
    options: ClusterOptions | None,
    nudge: "Nudge | None" = None,
) -> int:
    """Run `work` until it ends or SIGINT or SIGTERM asks it to; the second signal kills, as everywhere."""

    async def main() -> int:
        chosen = options or ClusterOptions()
        config = await find_config(chosen.kubeconfig, chosen.context)
        async with Client(config, component=component) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope, STOP_SIGNALS if nudge is None else STOP_SIGNALS[:2])
            if nudge is not None:
                tasks.start_soon(nudge_on_hangup, nudge)
            await work(client)
            tasks.cancel_scope.cancel()
        return 0

    return run_async(main)


async def nudge_on_hangup(nudge: "Nudge") -> None:
    """Read the settings again at each SIGHUP."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            nudge.ask()


async def cancel_on_signal(scope: anyio.CancelScope, numbers: tuple[signal.Signals, ...] = STOP_SIGNALS) -> None:
    """Cancel `scope` at the first SIGINT, SIGTERM or closed terminal; the second ends the process on the spot."""
    with anyio.open_signal_receiver(*numbers) as signals:
        async for _ in signals:
            scope.cancel()
            break
    for number in numbers:
        signal.signal(number, lambda number, frame: os._exit(128 + number))
