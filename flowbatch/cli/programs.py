"""`flowbatch scheduler`, `flowbatch controllers`, `flowbatch nodes`: the programs of a cluster, in the foreground."""

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from flowbatch.cli.options import ClusterOptions
from flowbatch.cli.session import find_config, run_async
from flowbatch.kube.client import Client

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Config = Annotated[Path | None, Parameter(help="Settings file (YAML); reloaded when it changes.")]


def scheduler(*, config: Config = None, options: ClusterOptions | None = None) -> int:
    """Run the scheduler against a cluster until SIGTERM."""
    from flowbatch.runtime.app import run_scheduler
    from flowbatch.runtime.settings import load_settings

    settings = load_settings(config)
    return _serve("scheduler", lambda client: run_scheduler(client, settings), options)


def controllers(*, config: Config = None, options: ClusterOptions | None = None) -> int:
    """Run the job, pod group and queue controllers against a cluster until SIGTERM."""
    from flowbatch.runtime.app import run_controllers
    from flowbatch.runtime.settings import load_settings

    settings = load_settings(config)
    return _serve("controllers", lambda client: run_controllers(client, settings), options)


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


def _serve(component: str, work: Callable[[Client], Awaitable[None]], options: ClusterOptions | None) -> int:
    """Run `work` until it ends or SIGINT or SIGTERM asks it to; the second signal kills, as everywhere."""

    async def main() -> int:
        chosen = options or ClusterOptions()
        config = await find_config(chosen.kubeconfig, chosen.context)
        async with Client(config, component=component) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
            await work(client)
            tasks.cancel_scope.cancel()
        return 0

    return run_async(main)


async def cancel_on_signal(scope: anyio.CancelScope) -> None:
    """Cancel `scope` at the first SIGINT, SIGTERM or closed terminal; the second ends the process on the spot."""
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async for _ in signals:
            scope.cancel()
            break
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, frame: os._exit(128 + number))
