"""What one Volcano plugin adds to a Policy, field by field, and the switches that take a field away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.contract import (
    Admission,
    BucketRule,
    Confirmation,
    DeviceOrder,
    DomainOrder,
    GangLimit,
    GangOrder,
    Ledger,
    NodeFilter,
    NodeScore,
    Permit,
    QueueLimit,
    QueueOrder,
    RowLimit,
    ShareRule,
    StepSource,
    VictimFilter,
    VictimSource,
)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Fields as in Policy; tuples of all plugins are joined in the order of tiers and plugins."""

    queue_order: tuple[QueueOrder, ...] = ()
    gang_order: tuple[GangOrder, ...] = ()
    enqueue: tuple[Admission, ...] = ()
    #: Gates that permits of an earlier tier open; `volcano` moves them here from `enqueue`.
    waivable: tuple[Admission, ...] = ()
    permits: tuple[Permit, ...] = ()
    reserving: tuple[Permit, ...] = ()
    admission: tuple[Admission, ...] = ()
    limits: tuple[QueueLimit, ...] = ()
    gang_limits: tuple[GangLimit, ...] = ()
    shares: ShareRule | None = None
    filters: tuple[NodeFilter, ...] = ()
    caps: tuple[RowLimit, ...] = ()
    buckets: BucketRule | None = None
    scores: tuple[NodeScore, ...] = ()
    domain_order: tuple[DomainOrder, ...] = ()
    eviction_domains: int | None = None
    preemptable: tuple[VictimFilter, ...] = ()
    reclaimable: tuple[VictimFilter, ...] = ()
    ledgers: tuple[Callable[[], Ledger], ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    steps: tuple[StepSource, ...] = ()
    devices: DeviceOrder | None = None
    geometries: tuple[str, str] | None = None
    shufflers: tuple[VictimSource, ...] = ()


#: Reads a plugin's arguments; must ask for every argument that the plugin knows.
Reader = Callable[[Arguments], Parts]

#: Volcano's switches (`enableX` or `enabledX`, both spellings exist) and the fields that each takes away when false.
#: An empty tuple: flowbatch decides the same whatever it says, and docs/plugins.md says why.
SWITCHES: Final[dict[str, tuple[str, ...]]] = {
    "JobOrder": ("gang_order",),
    "SubJobOrder": (),
    "Hierarchy": (),  # an argument of the plugins that have one
    "JobReady": (),
    "SubJobReady": (),
    "JobPipelined": ("reserving",),
    "SubJobPipelined": (),
    "TaskOrder": ("buckets",),
    "Preemptable": ("preemptable",),
    "Reclaimable": ("reclaimable",),
    "Preemptive": (),
    "QueueOrder": ("queue_order",),
    "Predicate": ("filters", "caps"),
    "BestNode": (),
    "NodeOrder": ("scores",),
    "NamespaceOrder": (),  # of old configurations; Volcano dropped it too
    "TargetJob": (),
    "ReservedNodes": (),
    "JobEnqueued": ("enqueue", "permits"),
    "Victim": ("shufflers",),
    "JobStarving": (),
    "Overused": (),
    "Allocatable": ("limits", "gang_limits"),
    "HyperNodeOrder": ("domain_order",),
    "HyperNodeGradient": (),
    "ClusterOrder": (),
}
