"""The HyperNode controller: keeps the HyperNodes that labels of nodes ask for, by `workload.discovery`.

HyperNodes that people or other sources made are theirs; with discovery switched off those of today stay.
"""

import asyncio

from flowbatch.api.core import Node
from flowbatch.api.kinds import HYPER_NODE
from flowbatch.api.topology import HyperNode
from flowbatch.controllers.caches import Caches
from flowbatch.controllers.effects import Effects
from flowbatch.controllers.expectations import Expectations
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.client import Client
from flowbatch.workload.discovery import LABEL, SOURCE, changes, concerns, discovered

#: One key for all: what a node's labels change may be several levels of the tree.
TREE = "tree"


class HyperNodeController:
    """Looks at all nodes whenever a label that matters has changed."""

    def __init__(self, client: Client, caches: Caches, settings: Settings) -> None:
        self._caches = caches
        self._settings = settings
        self.queue = WorkQueue()
        self._expectations = Expectations(caches, self._monotonic, settings.lag_s)
        self._effects = Effects(client, self._expectations, limit=8)
        self.runner = Runner("hypernode", self.queue, self.reconcile, lanes=1)
        caches.nodes.on_change(self._node_changed)
        caches.hyper_nodes.on_change(self._hyper_node_changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        self.queue.add(TREE)
        await self.runner.run()

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        before, after = (
            concerns(self._settings.discovery, each.metadata.labels) if each is not None else None
            for each in (old, new)
        )
        if before != after:
            # Nodes come, and are labelled, in bursts.
            self.queue.add_after(TREE, self._settings.discovery_settle_s)

    def _hyper_node_changed(self, old: HyperNode | None, new: HyperNode | None) -> None:
        if new is None:
            assert old is not None
            self._expectations.saw_gone(TREE, HYPER_NODE, old.metadata)
        if old is None or new is None or old.spec != new.spec:
            self.queue.add(TREE)

    async def reconcile(self, key: str) -> float | None:
        """Bring the whole tree to what the labels say. Inner HyperNodes are made before those that have them."""
        if not self._expectations.settled(key):
            await self._effects.ask_overdue(key)
            return self._expectations.wait_s(key)
        ours = [each for each in self._caches.hyper_nodes.store.values() if each.metadata.labels.get(SOURCE) == LABEL]
        nodes = ((each.metadata.name, each.metadata.labels) for each in self._caches.nodes.store.values())
        todo = changes(discovered(self._settings.discovery, nodes, ours), ours)
        for create in sorted(todo.creates, key=lambda each: int(each.manifest["spec"]["tier"])):
            await self._effects.create(key, "", HYPER_NODE, create.manifest)
        await self._effects.patch_all(key, todo.patches)
        await self._effects.delete_all(key, todo.deletes)
        return None

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()
