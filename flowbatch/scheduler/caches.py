"""The informers that the scheduler reads; in one process they are shared with the controllers."""

from dataclasses import dataclass
from typing import Any

import anyio

from flowbatch.api.core import (
    CSINode,
    Namespace,
    Node,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    PriorityClass,
    ResourceQuota,
    StorageClass,
)
from flowbatch.api.disruption import PodDisruptionBudget
from flowbatch.api.kinds import (
    CSI_NODE,
    DEVICE_CLASS,
    HYPER_NODE,
    NAMESPACE,
    NODE,
    NUMATOPOLOGY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_DISRUPTION_BUDGET,
    POD_GROUP,
    PRIORITY_CLASS,
    QUEUE,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_QUOTA,
    RESOURCE_SLICE,
    STORAGE_CLASS,
)
from flowbatch.api.nodeinfo import Numatopology
from flowbatch.api.resource import DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
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
    #: May be missing: not asked for, not served, or not allowed.
    quotas: Informer[ResourceQuota] | None = None
    namespaces: Informer[Namespace] | None = None
    claims: Informer[PersistentVolumeClaim] | None = None
    volumes: Informer[PersistentVolume] | None = None
    storage_classes: Informer[StorageClass] | None = None
    csi_nodes: Informer[CSINode] | None = None
    device_claims: Informer[ResourceClaim] | None = None
    claim_templates: Informer[ResourceClaimTemplate] | None = None
    device_classes: Informer[DeviceClass] | None = None
    device_slices: Informer[ResourceSlice] | None = None
    hyper_nodes: Informer[HyperNode] | None = None
    budgets: Informer[PodDisruptionBudget] | None = None
    cpus: Informer[Numatopology] | None = None

    @property
    def required(self) -> list[Informer[Any]]:
        """Those without which nothing can be decided, in the order in which their first lists are waited for."""
        return [self.classes, self.queues, self.nodes, self.groups, self.pods]

    @property
    def optional(self) -> list[Informer[Any]]:
        """Those of kinds that a cluster may do without."""
        return [
            each
            for each in (
                self.quotas,
                self.namespaces,
                self.claims,
                self.volumes,
                self.storage_classes,
                self.csi_nodes,
                self.device_classes,
                self.device_slices,
                self.claim_templates,
                self.device_claims,
                self.hyper_nodes,
                self.budgets,
                self.cpus,
            )
            if each is not None
        ]

    @staticmethod
    def of(client: Client) -> "Caches":
        """Informers of their own, not yet running."""
        return Caches(
            pods=Informer(client, POD),
            nodes=Informer(client, NODE),
            groups=Informer(client, POD_GROUP),
            queues=Informer(client, QUEUE),
            classes=Informer(client, PRIORITY_CLASS),
            quotas=Informer(client, RESOURCE_QUOTA),
            namespaces=Informer(client, NAMESPACE),
            claims=Informer(client, PERSISTENT_VOLUME_CLAIM),
            volumes=Informer(client, PERSISTENT_VOLUME),
            storage_classes=Informer(client, STORAGE_CLASS),
            csi_nodes=Informer(client, CSI_NODE),
            device_claims=Informer(client, RESOURCE_CLAIM),
            claim_templates=Informer(client, RESOURCE_CLAIM_TEMPLATE),
            device_classes=Informer(client, DEVICE_CLASS),
            device_slices=Informer(client, RESOURCE_SLICE),
            hyper_nodes=Informer(client, HYPER_NODE),
            budgets=Informer(client, POD_DISRUPTION_BUDGET),
            cpus=Informer(client, NUMATOPOLOGY),
        )

    async def run(self) -> None:
        """List and watch all of them until cancelled."""
        async with anyio.create_task_group() as tasks:
            for informer in self.required:
                tasks.start_soon(informer.run)
            for informer in self.optional:
                tasks.start_soon(informer.run)

    async def wait_synced(self) -> None:
        """Until every first list is in. Pods last: a pod before its node or gang is harmless, but work."""
        for informer in self.optional:
            await informer.wait_settled()
        for informer in self.required:
            await informer.wait_synced()
