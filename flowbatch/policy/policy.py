"""A scheduler's character as one readable value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from flowbatch.policy.actions import GangEvictArguments, PreemptArguments
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
from flowbatch.policy.domains import Fullest, LeastLeft
from flowbatch.policy.measuring import MetricsSource

#: Volcano's actions, which a configuration may name, and "consolidate".
ACTIONS: Final = (
    "enqueue",
    "allocate",
    "backfill",
    "preempt",
    "reclaim",
    "shuffle",
    "gangpreempt",
    "gangreclaim",
    "consolidate",
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All opinions of one scheduler. The order inside a tuple is the order in which they are asked."""

    name: str
    #: What it does at all, by Volcano's names. Their order does not matter: the engine decides on events, not in turns.
    actions: tuple[str, ...] = ("enqueue", "allocate", "backfill")
    #: Whose turn it is; ties end in (created, name).
    queue_order: tuple[QueueOrder, ...] = ()
    #: Who comes first in a queue; ties end in (created, id).
    gang_order: tuple[GangOrder, ...] = ()
    #: From Pending to Inqueue, before pods exist. Empty: every gang passes.
    enqueue: tuple[Admission, ...] = ()
    #: The same, but not asked of gangs that one of `permits` lets pass.
    waivable: tuple[Admission, ...] = ()
    permits: tuple[Permit, ...] = ()
    #: From when on room is kept for a gang that does not fit, and for how many of one queue at a time.
    reserving: tuple[Permit, ...] = ()
    reservations_per_queue: int = 1
    #: Evict pods that outstay their estimate on nodes that are kept for somebody whose window has opened.
    evict_overdue: bool = False
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
    domain_order: tuple[DomainOrder, ...] = (LeastLeft(), Fullest())
    #: In how many network domains room may be sought by eviction, for one gang.
    eviction_domains: int = 8
    #: Whom gangs of the same queue (preemptable), or of others (reclaimable), must spare. Any veto is final.
    preemptable: tuple[VictimFilter, ...] = ()
    reclaimable: tuple[VictimFilter, ...] = ()
    ledgers: tuple[Callable[[], Ledger], ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    steps: tuple[StepSource, ...] = ()
    #: Which device of a node a pod gets; the fullest that fits where nothing is said.
    devices: DeviceOrder | None = None
    #: Name and namespace of the ConfigMap with the ways to cut GPUs in hardware; empty: where Volcano has it.
    geometries: tuple[str, str] = ("", "")
    #: Members beyond its minimum that a gang may place in one attempt while other gangs wait.
    surplus_batch: int = 16
    #: A queue whose turn it is keeps it until nobody in it can go on; otherwise queues take turns, gang by gang.
    strict_turns: bool = False
    #: Arguments of single actions.
    preempt: PreemptArguments = field(default_factory=PreemptArguments)
    gangpreempt: GangEvictArguments = field(default_factory=GangEvictArguments)
    gangreclaim: GangEvictArguments = field(default_factory=GangEvictArguments)
    #: Where the measured use of nodes comes from.
    metrics: MetricsSource | None = None
    #: Who goes for nobody's sake, asked while "shuffle" is among the actions.
    shufflers: tuple[VictimSource, ...] = ()
    #: How long room that is being freed is kept for whom it was freed for.
    hold_ms: int = 300_000
    #: How long a pod runs before it may be evicted, by its own queue or by others.
    preempt_min_runtime_ms: int = 0
    reclaim_min_runtime_ms: int = 0
    #: How many pods may move so that one gang can start, and how long a pod that has moved is let be.
    moved_most: int = 16
    move_cooldown_ms: int = 600_000


def members_of(policy: Policy) -> list[object]:
    """Everybody in it who has an opinion, field by field."""
    members: list[object] = []
    for each in fields(policy):
        value = getattr(policy, each.name)
        if isinstance(value, tuple):
            members += [one for one in value if not isinstance(one, str | type)]
    return [*members, policy.shares] if policy.shares is not None else members


def replaced(policy: Policy, stand_ins: Mapping[int, object | None]) -> Policy:
    """The same with others in place of some members, by the id of the object; None takes one out."""
    changes: dict[str, Any] = {}
    if policy.shares is not None:
        changes["shares"] = stand_ins.get(id(policy.shares), policy.shares)
    for each in fields(policy):
        value = getattr(policy, each.name)
        if isinstance(value, tuple) and any(id(one) in stand_ins for one in value):
            others = [stand_ins.get(id(one), one) for one in value]
            changes[each.name] = tuple(one for one in others if one is not None)
    return replace(policy, **changes)


def ledgers_of(policy: Policy) -> list[Callable[[], Ledger]]:
    """The policy's ledgers, and those that its members name in an attribute `ledgers`; each once."""
    found = dict.fromkeys(policy.ledgers)
    for member in members_of(policy):
        found.update(dict.fromkeys(getattr(member, "ledgers", ())))
    return list(found)
