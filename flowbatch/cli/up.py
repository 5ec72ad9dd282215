"""`flowbatch up`: a cluster on this machine, in the foreground, until it is told to stop."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from flowbatch.cli.output import say
from flowbatch.cli.programs import cancel_on_signal
from flowbatch.cli.session import run_async
from flowbatch.local.place import default_kubeconfig


def up(
    *,
    nodes: int = 4,
    cpus: str = "2",
    memory: str = "4Gi",
    simulate: bool = False,
    kubeconfig: Path | None = None,
    port: int = 0,
    image: Annotated[list[str] | None, Parameter(negative="")] = None,
    config: Path | None = None,
) -> int:
    """Run a Kubernetes API server, flowbatch, and nodes that run pods as processes of this machine.

    Parameters
    ----------
    nodes
        How many nodes.
    cpus
        Allocatable cpu of each node.
    memory
        Allocatable memory of each node.
    simulate
        Nodes only play their pods on the clock.
    kubeconfig
        Where to write the kubeconfig; else a file that other flowbatch commands find by themselves.
    port
        Port of the API server on loopback; 0 takes a free one.
    image
        NAME=COMMAND: what a container of that image runs if it names no command.
    config
        Settings file of the scheduler and the controllers.
    """
    from flowbatch.local.cluster import ClusterPlan, run_cluster
    from flowbatch.local.nodes import NodePlan
    from flowbatch.runtime.settings import load_settings

    node_plan = NodePlan.parse(count=nodes, cpus=cpus, memory=memory, simulate=simulate, images=image or [])
    path = kubeconfig or default_kubeconfig()
    plan = ClusterPlan(kubeconfig=path, nodes=node_plan, port=port, settings=load_settings(config))

    def ready(url: str) -> None:
        kind = "simulated" if simulate else "process"
        say(f"API server at {url}, {nodes} {kind} nodes of {cpus} cpu and {memory}")
        say(f"export KUBECONFIG={path}")
        print("ready", flush=True)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
            await run_cluster(plan, ready)

    with _files(path, announce=kubeconfig is None):
        run_async(main)
    return 0


@contextlib.contextmanager
def _files(kubeconfig: Path, *, announce: bool) -> Iterator[None]:
    """Make the folder of the kubeconfig, say by a pid file that it is alive, and take both away at the end."""
    kubeconfig.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pid_file = kubeconfig.with_suffix(".pid")
    if announce:
        pid_file.write_text(str(os.getpid()))
    try:
        yield
    finally:
        kubeconfig.unlink(missing_ok=True)
        if announce:
            pid_file.unlink(missing_ok=True)
