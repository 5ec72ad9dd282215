"""What a policy is made of, what one Volcano plugin adds to it, and the switches that take some of that away."""

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
    """Opinions by the question that they answer. The order inside a tuple is the order in which they are asked.

    A Policy grows out of those of all its plugins: tuples are joined in the order of tiers and plugins.
    """

    #: Whose turn it is; ties end in (created, name).
    queue_order: tuple[QueueOrder, ...] = ()
    #: Who comes first in a queue; ties end in (created, id).
    gang_order: tuple[GangOrder, ...] = ()
    #: From Pending to Inqueue, before pods exist. Empty: every gang passes.
    enqueue: tuple[Admission, ...] = ()
    #: The same, but not asked of gangs that one of `permits` lets pass; `volcano` moves gates of later tiers here.
    waivable: tuple[Admission, ...] = ()
    permits: tuple[Permit, ...] = ()
    #: From when on room is kept for a gang that does not fit.
    reserving: tuple[Permit, ...] = ()
    #: Before each attempt to place a gang.
    admission: tuple[Admission, ...] = ()
    limits: tuple[QueueLimit, ...] = ()
    gang_limits: tuple[GangLimit, ...] = ()
    shares: ShareRule | None = None
    filters: tuple[NodeFilter, ...] = ()
    caps: tuple[RowLimit, ...] = ()
    #: Members of a gang that should be side by side are placed together, one bucket after the other.
    buckets: BucketRule | None = None
    scores: tuple[NodeScore, ...] = ()
    #: Which network domain of the lowest tier that will do; ties end in the name.
    domain_order: tuple[DomainOrder, ...] = ()
    #: In how many network domains room may be sought by eviction, for one gang.
    eviction_domains: int | None = None
    #: Whom gangs of the same queue (preemptable), or of others (reclaimable), must spare. Any veto is final.
    preemptable: tuple[VictimFilter, ...] = ()
    reclaimable: tuple[VictimFilter, ...] = ()
    ledgers: tuple[Callable[[], Ledger], ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    steps: tuple[StepSource, ...] = ()
    #: Which device of a node a pod gets; the fullest that fits where nothing is said.
    devices: DeviceOrder | None = None
    #: Name and namespace of the ConfigMap with the ways to cut GPUs in hardware.
    geometries: tuple[str, str] | None = None
    #: Who goes for nobody's sake, asked while "shuffle" is among the actions.
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
