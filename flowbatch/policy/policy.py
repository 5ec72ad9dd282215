"""A scheduler's character as one readable value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from flowbatch.policy.actions import GangEvictArguments, PreemptArguments
from flowbatch.policy.contract import DomainOrder, Ledger
from flowbatch.policy.domains import Fullest, LeastLeft
from flowbatch.policy.measuring import MetricsSource
from flowbatch.policy.parts import Parts

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
class Policy(Parts):
    """All opinions of one scheduler, and what belongs to it as a whole."""

    name: str
    #: What it does at all, by Volcano's names. Their order does not matter: the engine decides on events, not in turns.
    actions: tuple[str, ...] = ("enqueue", "allocate", "backfill")
    domain_order: tuple[DomainOrder, ...] = (LeastLeft(), Fullest())
    eviction_domains: int = 8
    #: Empty: where Volcano has it.
    geometries: tuple[str, str] = ("", "")
    #: For how many gangs of one queue at a time room is kept.
    reservations_per_queue: int = 1
    #: Evict pods that outstay their estimate on nodes that are kept for somebody whose window has opened.
    evict_overdue: bool = False
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
