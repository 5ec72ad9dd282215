"""`flowbatch up`: a whole cluster: the API server and its controllers in a child, flowbatch and the nodes here.

Everything goes through HTTP, exactly as against a real API server. Start and stop order is the reading order of
`run_cluster`. Why two processes: docs/decisions/0004.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio

from flowbatch.api.kinds import NODE, QUEUE
from flowbatch.api.names import DEFAULT_QUEUE
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch.kube.errors import NotFound
from flowbatch.local.apiserver import served
from flowbatch.local.nodes import NodePlan, make_nodes
from flowbatch.local.reach import reach_through
from flowbatch.runtime.app import run_all
from flowbatch.runtime.settings import Settings
from flowbatch.runtime.shared import SharedInformers


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """What `flowbatch up` was asked for."""

    kubeconfig: Path
    nodes: NodePlan = field(default_factory=NodePlan)
    port: int = 0
    settings: Settings = field(default_factory=Settings)


async def run_cluster(plan: ClusterPlan, ready: Callable[[str], None]) -> None:
    """Run a cluster until cancelled; `ready(url)` is called once kubectl works and a job can be placed."""
    async with served(plan.kubeconfig, plan.port) as server:
        config = replace(await load_config(plan.kubeconfig), socket=server.at.socket)
        async with Client(config) as nodes_client, Client(config) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(server.watch)
            shared = SharedInformers()
            nodes = make_nodes(nodes_client, plan.nodes, shared)
            tasks.start_soon(partial(run_all, client, plan.settings, shared=shared, reach=reach_through(nodes)))
            tasks.start_soon(nodes.run)
            await _settled(client, plan.nodes.count)
            ready(server.at.url)
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
