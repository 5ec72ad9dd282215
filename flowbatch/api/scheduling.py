"""scheduling.volcano.sh/v1beta1: PodGroup and Queue."""

from flowbatch.api.batch import NetworkTopologySpec
from flowbatch.api.core import Affinity, Toleration, TopologySpreadConstraint
from flowbatch.api.meta import Condition, JsonObject, LabelSelector, ObjectMeta, Wire

Quantities = dict[str, str | int | float]


class DeclaredTask(Wire, frozen=True, kw_only=True):
    """flowbatch: members of a gang that may not have pods yet, so that phases and suspended pods never deadlock it."""

    name: str
    count: int
    minimum: int = 0
    #: Requests of one member, as quantities.
    requests: Quantities = {}
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    #: Of its pods, as far as they are known; selectors of affinity and spread are asked about them.
    labels: dict[str, str] = {}
    #: Names of the declared tasks that must have started before this one gets pods.
    waits_for: tuple[str, ...] = ()
    #: Task -> members of this one for whom no room is held, but that of as many of its pods once they have succeeded.
    takes_over: dict[str, int] = {}


class SubGroupPolicy(Wire, frozen=True, kw_only=True):
    """Members cut into sub-gangs of `sub_group_size` by the values of `match_label_keys`."""

    name: str = ""
    sub_group_size: int = 1
    min_sub_groups: int = 0
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    network_topology: NetworkTopologySpec | None = None


class PodGroupSpec(Wire, frozen=True, kw_only=True):
    """scheduling.volcano.sh/v1beta1 PodGroupSpec."""

    min_member: int = 0
    min_task_member: dict[str, int] = {}
    queue: str = ""
    priority_class_name: str = ""
    min_resources: Quantities | None = None
    network_topology: NetworkTopologySpec | None = None
    sub_group_policy: tuple[SubGroupPolicy, ...] = ()
    #: flowbatch; else the annotation `flowbatch.dev/declared-tasks` holds the same as JSON.
    declared_tasks: tuple[DeclaredTask, ...] = ()


class PodGroupStatus(Wire, frozen=True, kw_only=True):
    """`phase` is Pending, Inqueue, Running, Unknown or Completed."""

    phase: str = ""
    conditions: tuple[Condition, ...] = ()
    running: int = 0
    succeeded: int = 0
    failed: int = 0


class PodGroup(Wire, frozen=True, kw_only=True):
    """scheduling.volcano.sh/v1beta1 PodGroup: no status subresource, so its status is written by plain patch."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodGroupSpec = PodGroupSpec()
    status: PodGroupStatus = PodGroupStatus()


class Guarantee(Wire, frozen=True, kw_only=True):
    """What no other queue may use."""

    resource: Quantities = {}


class NodeGroupAffinity(Wire, frozen=True, kw_only=True):
    """Names of node groups, demanded or preferred."""

    required_during_scheduling_ignored_during_execution: tuple[str, ...] = ()
    preferred_during_scheduling_ignored_during_execution: tuple[str, ...] = ()


class QueueAffinity(Wire, frozen=True, kw_only=True):
    """Which node groups a queue may use."""

    node_group_affinity: NodeGroupAffinity | None = None
    node_group_anti_affinity: NodeGroupAffinity | None = None


class OwnerLimit(Wire, frozen=True, kw_only=True):
    """flowbatch: the most that each of these namespaces, or users, may hold in a queue."""

    #: "*" is every one that no limit of the queue names.
    namespaces: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    resources: Quantities = {}
    #: Jobs that hold something at the same time.
    jobs: int | None = None


class QueueSpec(Wire, frozen=True, kw_only=True):
    """scheduling.volcano.sh/v1beta1 QueueSpec."""

    weight: int = 1
    capability: Quantities = {}
    deserved: Quantities = {}
    guarantee: Guarantee = Guarantee()
    reclaimable: bool | None = None
    parent: str = ""
    priority: int = 0
    type: str = ""
    affinity: QueueAffinity | None = None
    dequeue_strategy: str = ""
    #: Multi-cluster hints, carried for volcano-global; flowbatch does not read them.
    extend_clusters: tuple[JsonObject, ...] = ()
    #: flowbatch; else the annotations `flowbatch.dev/borrowing-limit`, `-/lending-limit` and `-/limits` hold the same
    #: as JSON.
    borrowing_limit: Quantities | None = None
    lending_limit: Quantities | None = None
    limits: tuple[OwnerLimit, ...] = ()
    #: flowbatch: its jobs, and those of the queues below it, are suspended; else the annotation `-/suspended`.
    suspend: bool = False


class Reservation(Wire, frozen=True, kw_only=True):
    """Nodes and resources locked for a queue."""

    nodes: tuple[str, ...] = ()
    resource: Quantities = {}


class QueueStatus(Wire, frozen=True, kw_only=True):
    """`state` is Open, Closed, Closing or Unknown; the counts are of PodGroups; conditions are flowbatch's."""

    state: str = ""
    unknown: int = 0
    pending: int = 0
    running: int = 0
    inqueue: int = 0
    completed: int = 0
    reservation: Reservation = Reservation()
    allocated: Quantities = {}
    conditions: tuple[Condition, ...] = ()


class Queue(Wire, frozen=True, kw_only=True):
    """scheduling.volcano.sh/v1beta1 Queue, cluster-scoped."""

    metadata: ObjectMeta = ObjectMeta()
    spec: QueueSpec = QueueSpec()
    status: QueueStatus = QueueStatus()
