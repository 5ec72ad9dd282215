"""What the engine is told about objects. Each fact is a *level*: what a thing now is, so repeats and gaps are harmless.

They live in the model because cluster truth is made of them: a Task keeps its last PodSeen, a Node its last NodeSeen.
`engine.events` adds the events that are no object's level and is the one place to import all of them from.
"""

from typing import Literal

import msgspec

from flowbatch.model.asks import Device, DeviceShare
from flowbatch.model.ids import Amounts, BudgetId, GangId, HyperNodeName, Instant, NodeName, PodUid, QueueName
from flowbatch.model.shapes import LabelTest, ShapeSpec, Taint, Term, Value

PodPhase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
GangPhase = Literal["", "Pending", "Inqueue", "Running", "Unknown", "Completed"]
QueueState = Literal["Open", "Closing", "Closed", "Unknown", "Suspended"]
DequeueStrategy = Literal["traverse", "fifo"]


class Fact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="type", tag=True):
    """Base of every event."""


class DeclaredTask(Value, frozen=True):
    """Members of a gang that need not have pods yet. `waits_for` names tasks that must have started first.

    `labels` are those that its pods will have, where its own terms may ask about them. `takes_over` says for how many
    members no room is held but that of members of another task, once those have succeeded.
    """

    name: str
    count: int
    minimum: int = 0
    shape: ShapeSpec = ShapeSpec()
    waits_for: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    takes_over: tuple[tuple[str, int], ...] = ()


class NodeGroups(Value, frozen=True):
    """Groups of nodes by name: one of those a queue must have, some it prefers, some it must not have or avoids."""

    required: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    avoided: tuple[str, ...] = ()


class TaskTopology(Value, frozen=True):
    """Which tasks of a gang should share nodes, which should not, and which come first; groups of task names.

    A group of one name is about the pods of that task among each other.
    """

    together: tuple[tuple[str, ...], ...] = ()
    apart: tuple[tuple[str, ...], ...] = ()
    order: tuple[str, ...] = ()


class OwnerLimit(Value, frozen=True):
    """The most that each of these namespaces, or users, may hold in a queue; `jobs` counts gangs that hold something.

    "*" stands for every one that no limit of the queue names.
    """

    namespaces: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    most: Amounts = ()
    jobs: int | None = None


class OwnerUse(Value, frozen=True):
    """What a namespace, or a user, had used in a queue by `at`, and held from then on, as in PastUse."""

    kind: Literal["namespace", "user"]
    name: str
    at: Instant
    used: tuple[tuple[str, float], ...] = ()
    held: Amounts = ()


class PastUse(Value, frozen=True):
    """What a queue had used by `at`, in units times seconds and already decayed, and what it held from then on."""

    at: Instant
    used: tuple[tuple[str, float], ...] = ()
    held: Amounts = ()
    #: The same of those in it who used most.
    owners: tuple[OwnerUse, ...] = ()


class Members(Value, frozen=True):
    """Who belongs to a HyperNode: nodes, or HyperNodes, by exactly one of name, pattern (nodes: or label tests)."""

    kind: Literal["Node", "HyperNode"] = "Node"
    name: str = ""
    pattern: str = ""
    labels: Term = ()


class Reach(Value, frozen=True):
    """How far apart members may be: inside one HyperNode of at most `highest` tier, or below one of tier `name`.

    A soft one is only a wish. With neither bound any HyperNode will do.
    """

    soft: bool = False
    highest: int | None = None
    name: str = ""


class SubGroups(Value, frozen=True):
    """Members that pass all tests of `labels`, cut into sub-gangs of `size` by their values of the labels `keys`.

    At least `minimum` of the sub-gangs must start together; each goes in whole, inside its own `reach`.
    """

    name: str = ""
    size: int = 1
    minimum: int = 0
    labels: Term = ()
    keys: tuple[str, ...] = ()
    reach: Reach | None = None


class NodeSeen(Fact, frozen=True):
    """A node as it now is. `allocatable` includes `pods`. `ready` is the Ready condition. `devices` can be shared."""

    name: NodeName
    allocatable: Amounts = ()
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool = True
    devices: tuple[Device, ...] = ()
    #: (image, bytes) of those container images there that pods ask for.
    images: tuple[tuple[str, int], ...] = ()


class NodeGone(Fact, frozen=True):
    """The node object no longer exists."""

    name: NodeName


class NumaSeen(Fact, frozen=True):
    """The cpus of a node and what its kubelet makes of them (Numatopology); the node itself may be unknown.

    Sets of cpus are text ("0-3,8"). `numa` is in the order of ids. `policy` is the topology manager's.
    """

    node: NodeName
    #: The cpu manager gives Guaranteed pods cpus of their own.
    static: bool = False
    policy: str = ""
    numa: tuple[tuple[int, str], ...] = ()
    sockets: tuple[str, ...] = ()
    cores: tuple[str, ...] = ()
    #: How many are kept for the system.
    reserved: int = 0
    #: Those that nobody has for himself, reserved ones included.
    free: str = ""
    #: (uid, or "namespace/name") -> those that the kubelet gave a pod, where that is told.
    told: tuple[tuple[str, str], ...] = ()


class NumaGone(Fact, frozen=True):
    """Nothing is known of the node's cpus any more."""

    node: NodeName


class HyperNodeSeen(Fact, frozen=True):
    """A network domain as it now is: the lower its tier, the closer its nodes are to each other."""

    name: HyperNodeName
    tier: int = 0
    tier_name: str = ""
    members: tuple[Members, ...] = ()


class HyperNodeGone(Fact, frozen=True):
    """The HyperNode object no longer exists."""

    name: HyperNodeName


class ClaimSeen(Fact, frozen=True):
    """A PersistentVolumeClaim as it now is. `volume` is what it is bound to; `selected` the node it is made for."""

    id: str
    uid: str = ""
    volume: str = ""
    storage_class: str = ""
    capacity: int = 0
    modes: tuple[str, ...] = ()
    block: bool = False
    #: Of volumes that would do; None for any.
    tests: tuple[LabelTest, ...] | None = None
    selected: NodeName = NodeName("")
    deleting: bool = False
    lost: bool = False


class ClaimGone(Fact, frozen=True):
    """The claim no longer exists."""

    id: str


class ClaimsHidden(Fact, frozen=True):
    """Nobody shows us claims (we may not list them): pods are placed as if they had none, until the first is seen."""


class VolumeSeen(Fact, frozen=True):
    """A PersistentVolume as it now is. `terms` say which nodes it reaches (none: all), `claim` whose it is."""

    name: str
    uid: str = ""
    terms: tuple[Term, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    storage_class: str = ""
    capacity: int = 0
    modes: tuple[str, ...] = ()
    block: bool = False
    claim: str = ""
    driver: str = ""
    phase: str = "Available"


class VolumeGone(Fact, frozen=True):
    """The volume no longer exists."""

    name: str


class ClassSeen(Fact, frozen=True):
    """A StorageClass as it now is: `late` binds after scheduling, an empty `provisioner` makes no volumes."""

    name: str
    provisioner: str = ""
    late: bool = False
    topologies: tuple[Term, ...] = ()


class ClassGone(Fact, frozen=True):
    """The class no longer exists."""

    name: str


class AttachSeen(Fact, frozen=True):
    """How many volumes each driver of a node may attach (CSINode); none where there is no limit."""

    node: NodeName
    limits: tuple[tuple[str, int], ...] = ()


class NamespaceSeen(Fact, frozen=True):
    """A namespace as it now is: selectors of namespaces ask for its labels."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


class NamespaceGone(Fact, frozen=True):
    """The namespace no longer exists."""

    name: str


class QueueSeen(Fact, frozen=True):
    """A queue as it now is. An empty `parent` means root; absent resources of `capability` are unlimited.

    `hierarchy` is the drf plugin's own tree: names and weights from its root down to this queue. `borrowing` and
    `lending` are how much it may hold above what it deserves, and how much of that it lends; None is any amount.
    `problems` is what could not be understood of it and was left out.
    """

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
    dequeue: DequeueStrategy = "traverse"
    hierarchy: tuple[tuple[str, float], ...] = ()
    borrowing: Amounts | None = None
    lending: Amounts | None = None
    limits: tuple[OwnerLimit, ...] = ()
    affinity: NodeGroups = NodeGroups()
    past_use: PastUse | None = None
    problems: tuple[str, ...] = ()
    #: The most that it may hold of single node groups.
    group_limits: tuple[tuple[str, Amounts], ...] = ()


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
    user: str = ""
    #: What the PodGroup itself says about eviction of its pods; None where it says nothing.
    preemptable: bool | None = None
    #: Its priority class lets it evict others.
    preempts: bool = True
    #: It should not wait longer than this from its creation on (Volcano: sla-waiting-time); None for no such wish.
    wait_ms: int | None = None
    #: `min_resources` in a quota's own words ("requests.cpu", "count/pods"), where it states such.
    min_quota: Amounts = ()
    reach: Reach | None = None
    sub_groups: tuple[SubGroups, ...] = ()
    #: The HyperNode it was last placed in, as written on the wire: a wish once none of its pods runs any more.
    home: HyperNodeName = HyperNodeName("")
    #: How many of its running pods must stay, or may be missing: a number or a percentage (Volcano: jdb annotations).
    must_keep: str = ""
    may_lack: str = ""
    #: How long its pods are going to run at most, as its author thinks.
    estimate_ms: int | None = None
    topology: TaskTopology | None = None


class GangGone(Fact, frozen=True):
    """The PodGroup no longer exists."""

    id: GangId


class PodSeen(Fact, frozen=True):
    """A pod as it now is, ours or not: pods of other schedulers have `gang` None and only use up their node.

    `task` is the task's name in its gang, `index` its place there. `gated` is true while scheduling gates remain.
    `labels` are sorted and only those that some selector in the cluster asks for: all of them would be most of a pod.
    `devices` are those that a bound pod says it has, `cpus` the set that was foreseen for it ("0-3").
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
    labels: tuple[tuple[str, str], ...] = ()
    #: Its preemptionPolicy lets others be evicted for it.
    preempts: bool = True
    #: When its kubelet took it on.
    started: Instant = Instant(0)
    #: For how long after that it is not to be evicted.
    cooldown_ms: int = 0
    priority_class: str = ""
    #: How long it may run before its kubelet ends it; 0 for as long as it likes.
    deadline_ms: int = 0
    devices: tuple[DeviceShare, ...] = ()
    cpus: str = ""
    #: ResourceClaims that the shape's `device_claims` are about, as "namespace/name"; empty where there is none yet.
    device_claims: tuple[str, ...] = ()
    #: Only its queue's gate is left of its gates: whoever gives it a place takes that off.
    queue_gate: bool = False


class QuotaSeen(Fact, frozen=True):
    """A namespace's ResourceQuota as it now is; names are a quota's ("cpu", "requests.cpu", "count/pods")."""

    namespace: str
    name: str
    hard: Amounts = ()
    used: Amounts = ()


class QuotaGone(Fact, frozen=True):
    """The quota object no longer exists."""

    namespace: str
    name: str


class PodGone(Fact, frozen=True):
    """The pod object no longer exists."""

    uid: PodUid


class BudgetSeen(Fact, frozen=True):
    """A PodDisruptionBudget as it now is: of the pods of `namespace` that it selects, `allowed` more may be evicted.

    All tests of `selector` must hold, none of them selects every pod; None selects nobody.
    """

    id: BudgetId
    namespace: str
    selector: tuple[LabelTest, ...] | None = None
    allowed: int = 0


class BudgetGone(Fact, frozen=True):
    """The budget no longer exists."""

    id: BudgetId
