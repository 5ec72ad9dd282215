"""Orders that come out of the engine. Values only: sending them, and finding out what came of them, is the shell's."""

import msgspec

from flowbatch.engine.events import GangPhase, OwnerUse
from flowbatch.model.ids import Amounts, GangId, HyperNodeName, Instant, NodeName, PodUid, QueueName
from flowbatch.model.inquiry import Inquiry
from flowbatch.model.steps import Step

__all__ = [
    "Ask",
    "Bind",
    "Decision",
    "Evict",
    "HyperNodeReport",
    "Nominate",
    "Order",
    "Plan",
    "PolicyReport",
    "QueueReport",
    "Release",
    "Remember",
    "Report",
    "Step",
    "TaskReport",
    "Tick",
    "Ungate",
]


NOWHERE = HyperNodeName("")


class Order(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag=True):
    """Base of every decision."""


class Bind(Order, frozen=True):
    """Put this pod (by uid) on this node. Capacity is already taken in the engine's books."""

    uid: PodUid
    namespace: str
    name: str
    node: NodeName
    gang: GangId | None = None
    before: tuple[Step, ...] = ()


class Evict(Order, frozen=True):
    """Remove this pod; the room it frees is held for `beneficiary`."""

    uid: PodUid
    namespace: str
    name: str
    reason: str
    beneficiary: GangId | None = None


class Nominate(Order, frozen=True):
    """Write status.nominatedNodeName, so that a restarted scheduler still knows whose room this is."""

    uid: PodUid
    namespace: str
    name: str
    node: NodeName | None


class Ungate(Order, frozen=True):
    """Take off the queue's gate of a pod that has no place yet: its queue has room, so more nodes would help."""

    uid: PodUid
    namespace: str
    name: str
    gang: GangId


class Release(Order, frozen=True):
    """Take back what this claim (by uid) was given: it keeps pods from other nodes, and none of them has one.

    `pods` are those that it is reserved for: (uid, name).
    """

    claim: str
    uid: str
    pods: tuple[tuple[PodUid, str], ...] = ()


class Ask(Order, frozen=True):
    """A question to the outside, answered by an `Answered` with the same id."""

    ask: str
    question: str
    inquiry: Inquiry | None = None


class TaskReport(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why the pending pods of one task of a gang do not run: a message with counted reasons, and who they are."""

    task: str
    message: str
    pods: tuple[tuple[PodUid, str, str], ...] = ()


class Report(Order, frozen=True):
    """What a gang's PodGroup should now say; sent only when it differs from what was last reported.

    `blocker` is the name of the typed blocker ("NeedsCapacity") or empty. `message` is for people, with numbers:
    Volcano's "x/y tasks in gang unschedulable: ..." followed by what is short, by how much, and where.
    """

    gang: GangId
    phase: GangPhase
    blocker: str = ""
    reason: str = ""
    message: str = ""
    tasks: tuple[TaskReport, ...] = ()
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    #: The lowest HyperNode that holds all members with a place, where closeness matters to the gang.
    home: HyperNodeName = NOWHERE


class QueueReport(Order, frozen=True):
    """What a queue has allocated now, for Queue.status.allocated, and all that is wrong with it."""

    queue: QueueName
    allocated: Amounts
    problems: tuple[str, ...] = ()


class Remember(Order, frozen=True):
    """What a queue had used by `at` (unit-seconds, decayed), and what it holds from then on: for a later engine."""

    queue: QueueName
    at: Instant
    used: tuple[tuple[str, float], ...] = ()
    held: Amounts = ()
    #: The same of namespaces or users in it, where a policy looks at that: of those who used most.
    owners: tuple[OwnerUse, ...] = ()


class HyperNodeReport(Order, frozen=True):
    """What a HyperNode is made of, for its status: how many nodes are inside, and what is wrong with it."""

    name: HyperNodeName
    nodes: int
    problem: str = ""


class PolicyReport(Order, frozen=True):
    """A policy raised: it was left out of that decision. `failures` counts them since the engine began."""

    policy: str
    reason: str
    failures: int


Decision = (
    Bind | Evict | Nominate | Release | Ungate | Ask | Report | QueueReport | Remember | HyperNodeReport | PolicyReport
)


class Tick(msgspec.Struct, frozen=True, gc=False):
    """When a cycle runs, and how many placement attempts it may make before it yields."""

    now: Instant
    budget: int = 256


class Plan(msgspec.Struct, frozen=True, gc=False):
    """One cycle's orders. `more`: the budget ran out, tick again. `wake_at`: tick then even if nothing happens."""

    cycle: int
    decisions: tuple[Decision, ...] = ()
    more: bool = False
    wake_at: Instant | None = None
