"""`flowbatch up`: a cluster on this machine, in the foreground, until it is told to stop."""

import socket
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from flowbatch.cli.output import say
from flowbatch.cli.programs import cancel_on_signal
from flowbatch.cli.session import run_async
from flowbatch.errors import SpecError
from flowbatch.local.place import default_kubeconfig, owned_kubeconfig

MAX_PORT = 65535


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
    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")] = False,
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
    verbose
        Tell more of what the scheduler and the controllers do; else only what is wrong.
    """
    from flowbatch.local.cluster import ClusterPlan, run_cluster
    from flowbatch.local.nodes import NodePlan
    from flowbatch.runtime.settings import load_settings

    node_plan = NodePlan.parse(count=nodes, cpus=cpus, memory=memory, simulate=simulate, images=image or [])
    _check_port(port)
    path = kubeconfig or default_kubeconfig()
    flags = {} if config else {"log.level": "info" if verbose else "warning"}
    plan = ClusterPlan(kubeconfig=path, nodes=node_plan, port=port, settings=load_settings(config, flags=flags))

    def ready(url: str) -> None:
        kind = "simulated" if simulate else "process"
        say(f"API server at {url}, {nodes} {kind} node{'' if nodes == 1 else 's'} of {cpus} cpu and {memory}")
        say(f"export KUBECONFIG={path}")
        print("ready", flush=True)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
            await run_cluster(plan, ready)

    with owned_kubeconfig(path):
        run_async(main)
    return 0


def _check_port(port: int) -> None:
    """Refuse a port that is none or is taken, before anything has started."""
    if not 0 <= port <= MAX_PORT:
        raise SpecError("--port", f"must be 0 to {MAX_PORT}", port)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            hint = "without --port, a free one is taken"
            raise SpecError("--port", f"cannot be had: {error.strerror}", port, hint) from error
