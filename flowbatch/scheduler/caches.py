"""The informers that the scheduler reads; in one process they are shared with the controllers."""

from dataclasses import dataclass

import anyio

from flowbatch.api.core import Node, Pod, PriorityClass
from flowbatch.api.kinds import NODE, POD, POD_GROUP, PRIORITY_CLASS, QUEUE
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.informer import Informer
from flowbatch.kube.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """One informer per kind that placement depends on."""

    pods: Informer[Pod]
    nodes: Informer[Node]
    groups: Informer[PodGroup]
    queues: Informer[Queue]
    classes: Informer[PriorityClass]

    @staticmethod
    def of(client: Client) -> "Caches":
        """Informers of their own, not yet running."""
        return Caches(
            pods=Informer(client, POD),
            nodes=Informer(client, NODE),
            groups=Informer(client, POD_GROUP),
            queues=Informer(client, QUEUE),
            classes=Informer(client, PRIORITY_CLASS),
        )

    async def run(self) -> None:
        """List and watch all of them until cancelled."""
        async with anyio.create_task_group() as tasks:
            for informer in (self.classes, self.queues, self.nodes, self.groups, self.pods):
                tasks.start_soon(informer.run)

    async def wait_synced(self) -> None:
        """Until every first list is in. Pods last: a pod before its node or gang is harmless, but work."""
        for informer in (self.classes, self.queues, self.nodes, self.groups, self.pods):
            await informer.wait_synced()
