"""`flowbatch up`: a whole cluster in one process: API server, its controllers, flowbatch, and nodes.

Everything but the API server goes through HTTP, exactly as against a real one. Start and stop order is the reading
order of `run_cluster`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from flowbatch.admission.admit import admit
from flowbatch.admission.crds import crds
from flowbatch.api.kinds import NODE, QUEUE
from flowbatch.api.names import DEFAULT_QUEUE
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.kube.errors import NotFound
from flowbatch.local.nodes import NodePlan, make_nodes
from flowbatch.runtime.app import run_all
from flowbatch.runtime.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """What `flowbatch up` was asked for."""

    kubeconfig: Path
    nodes: NodePlan = field(default_factory=NodePlan)
    port: int = 0
    settings: Settings = field(default_factory=Settings)


async def run_cluster(plan: ClusterPlan, ready: Callable[[str], None]) -> None:
    """Run a cluster until cancelled; `ready(url)` is called once kubectl works and a job can be placed."""
    async with ApiServer(port=plan.port, admit=[admit]) as server:
        for crd in crds():
            await server.install(crd)
        server.write_kubeconfig(plan.kubeconfig)
        config = await load_config(plan.kubeconfig)
        async with Client(config) as nodes_client, Client(config) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(EmbeddedControllers(server).run)
            tasks.start_soon(run_all, client, plan.settings)
            tasks.start_soon(make_nodes(nodes_client, plan.nodes).run)
            await _settled(client, plan.nodes.count)
            ready(server.url)
            await anyio.sleep_forever()


async def _settled(client: Client, nodes: int) -> None:
    """Return once the nodes are there and the default queue exists."""
    while True:
        try:
            await client.get(QUEUE, DEFAULT_QUEUE)
            if len(await client.list(NODE)) >= nodes:
                return
        except NotFound:
            pass
        await anyio.sleep(0.02)
