"""All embedded controllers under one task group."""

import asyncio
from pathlib import Path

from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.controllers.budgets import DisruptionBudgets
from flowbatch.embedded.controllers.device_claims import DeviceClaims
from flowbatch.embedded.controllers.garbage import GarbageCollector
from flowbatch.embedded.controllers.lost_pods import QUARANTINE_S, LostPods
from flowbatch.embedded.controllers.namespaces import NamespaceDeleter
from flowbatch.embedded.controllers.volumes import LocalVolumes


class EmbeddedControllers:
    """Garbage collection, namespace deletion, pods of lost nodes, disruption budgets, claims to devices and to volumes.

    They act on events and wait for nothing else: an idle cluster costs nothing. `volumes` is the folder in which claims
    get theirs; without one, claims wait for somebody else to bind them.
    """

    def __init__(self, server: ApiServer, *, quarantine_s: float = QUARANTINE_S, volumes: Path | None = None) -> None:
        self.garbage = GarbageCollector(server)
        self.namespaces = NamespaceDeleter(server)
        self.lost_pods = LostPods(server, quarantine_s)
        self.budgets = DisruptionBudgets(server)
        self.device_claims = DeviceClaims(server)
        self.volumes = None if volumes is None else LocalVolumes(server, volumes)

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in (self.garbage, self.namespaces, self.lost_pods, self.budgets, self.device_claims):
                group.create_task(each.run(), name=type(each).__name__)
            if self.volumes is not None:
                group.create_task(self.volumes.run(), name=LocalVolumes.__name__)
