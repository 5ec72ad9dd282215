"""Facts that go into the engine. Each is a *level*: it says what a thing now is, so repeats and gaps are harmless.

Tagged msgspec unions, so a journal of them is plain JSON lines and replays byte for byte.
"""

from typing import Literal

import msgspec

from flowbatch.model.ids import Amounts, GangId, Instant, NodeName, PodUid, QueueName

PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
GangPhase = Literal["", "Pending", "Inqueue", "Running", "Unknown", "Completed"]
QueueState = Literal["Open", "Closing", "Closed", "Unknown"]
TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Fact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag=True):
    """Base of every event."""


class Value(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """Base of the hashable parts of events."""


class Taint(Value, frozen=True):
    """A node's objection to pods that do not tolerate it."""

    key: str
    value: str = ""
    effect: TaintEffect = "NoSchedule"


class Toleration(Value, frozen=True):
    """An empty key with Exists tolerates every taint; an empty effect matches all effects."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class LabelTest(Value, frozen=True):
    """`key operator values`; operators In, NotIn, Exists, DoesNotExist, Gt, Lt. `field` tests metadata.name instead."""

    key: str
    operator: str
    values: tuple[str, ...] = ()
    field: bool = False


#: All tests of a term must hold; an empty term matches no node.
Term = tuple[LabelTest, ...]


class ShapeSpec(Value, frozen=True):
    """All of a pod that placement looks at. Pods with equal specs are interchangeable and share one Shape.

    `required` is a disjunction of terms (empty: no demand). `ports` are (protocol, hostIP, hostPort).
    """

    requests: Amounts = ()
    selector: tuple[tuple[str, str], ...] = ()
    required: tuple[Term, ...] = ()
    preferred: tuple[tuple[int, Term], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()


class DeclaredTask(Value, frozen=True):
    """Members of a gang that need not have pods yet. `waits_for` names tasks that must have started first."""

    name: str
    count: int
    minimum: int = 0
    shape: ShapeSpec = ShapeSpec()
    waits_for: tuple[str, ...] = ()


class NodeSeen(Fact, frozen=True):
    """A node as it now is. `allocatable` includes `pods`. `ready` is the Ready condition."""

    name: NodeName
    allocatable: Amounts = ()
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True


class NodeGone(Fact, frozen=True):
    """The node object no longer exists."""

    name: NodeName


class QueueSeen(Fact, frozen=True):
    """A queue as it now is. An empty `parent` means root; absent resources of `capability` are unlimited."""

    name: QueueName
    uid: str = ""
    created: Instant = Instant(0)
    parent: QueueName = QueueName("")
    weight: int = 1
    priority: int = 0
    capability: Amounts = ()
    deserved: Amounts = ()
    guarantee: Amounts = ()
    reclaimable: bool = True
    state: QueueState = "Open"


class QueueGone(Fact, frozen=True):
    """The queue object no longer exists."""

    name: QueueName


class GangSeen(Fact, frozen=True):
    """A PodGroup as it now is.

    `phase` is the last one written to the wire: it tells a restarted scheduler which gangs were admitted already.
    `min_resources` None means "not stated", which always passes the enqueue gate.
    """

    id: GangId
    uid: str
    queue: QueueName
    created: Instant = Instant(0)
    priority: int = 0
    min_members: int = 1
    min_by_task: tuple[tuple[str, int], ...] = ()
    min_resources: Amounts | None = None
    declared: tuple[DeclaredTask, ...] = ()
    phase: GangPhase = ""


class GangGone(Fact, frozen=True):
    """The PodGroup no longer exists."""

    id: GangId


class PodSeen(Fact, frozen=True):
    """A pod as it now is, ours or not: pods of other schedulers have `gang` None and only use up their node.

    `task` is the task's name in its gang, `index` its place there. `gated` is true while scheduling gates remain.
    """

    uid: PodUid
    namespace: str
    name: str
    shape: ShapeSpec
    gang: GangId | None = None
    task: str = ""
    index: int = 0
    priority: int = 0
    created: Instant = Instant(0)
    phase: PodPhase = "Pending"
    node: NodeName | None = None
    nominated: NodeName | None = None
    deleting: bool = False
    gated: bool = False
    ready: bool = False
    preemptable: bool = True


class PodGone(Fact, frozen=True):
    """The pod object no longer exists."""

    uid: PodUid


class BindFailed(Fact, frozen=True):
    """A binding was refused, or its outcome turned out to be "not bound". `permanent`: the pod is gone or replaced."""

    uid: PodUid
    node: NodeName
    reason: str
    permanent: bool = False


class EvictFailed(Fact, frozen=True):
    """An eviction was refused."""

    uid: PodUid
    reason: str


class StepFailed(Fact, frozen=True):
    """A step that a Bind carried in `before` failed; the binding was not sent."""

    uid: PodUid
    step: str
    reason: str


class Answered(Fact, frozen=True):
    """The outside's answer to an Ask."""

    ask: str
    answer: str


class UsageSeen(Fact, frozen=True):
    """Measured use of a node, in parts per thousand of its allocatable."""

    node: NodeName
    permille: Amounts = ()


class PolicyDropped(Fact, frozen=True):
    """The shell's watchdog dropped a policy; journalled so that a replay drops it too."""

    policy: str
    reason: str


class Synced(Fact, frozen=True):
    """All first lists are in: from here on, absence means absence and decisions may be taken."""


Event = (
    PodSeen
    | PodGone
    | GangSeen
    | GangGone
    | NodeSeen
    | NodeGone
    | QueueSeen
    | QueueGone
    | BindFailed
    | EvictFailed
    | StepFailed
    | Answered
    | UsageSeen
    | PolicyDropped
    | Synced
)
