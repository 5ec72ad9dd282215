"""The core/v1 kinds that flowbatch reads, down to the fields that it reads."""

from datetime import datetime
from typing import Any

import msgspec

from flowbatch.api.meta import Condition, LabelSelector, ObjectMeta, Statement, Wire


class NodeSelectorRequirement(Wire, frozen=True, kw_only=True):
    """A test of one node label; operators In, NotIn, Exists, DoesNotExist, Gt, Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Wire, frozen=True, kw_only=True):
    """All of its expressions must hold; an empty term matches nothing."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class NodeSelector(Wire, frozen=True, kw_only=True):
    """Any of its terms must hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class PreferredSchedulingTerm(Wire, frozen=True, kw_only=True):
    """A wish with a weight of 1 to 100."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(Wire, frozen=True, kw_only=True):
    """What a pod demands of, and wishes for in, its node."""

    required: NodeSelector | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: tuple[PreferredSchedulingTerm, ...] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Wire, frozen=True, kw_only=True):
    """Pods that must (not) share a topology domain with this one."""

    topology_key: str = ""
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Wire, frozen=True, kw_only=True):
    """A wish with a weight of 1 to 100."""

    weight: int = 0
    pod_affinity_term: PodAffinityTerm = PodAffinityTerm()


class PodAffinity(Wire, frozen=True, kw_only=True):
    """Used for podAffinity and podAntiAffinity alike."""

    required: tuple[PodAffinityTerm, ...] = msgspec.field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WeightedPodAffinityTerm, ...] = msgspec.field(
        default=(), name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class TopologySpreadConstraint(Wire, frozen=True, kw_only=True):
    """core/v1 TopologySpreadConstraint; policies are Honor or Ignore, absent ones have Kubernetes' defaults."""

    topology_key: str = ""
    max_skew: int = 1
    when_unsatisfiable: str = "DoNotSchedule"
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str = ""
    node_taints_policy: str = ""
    match_label_keys: tuple[str, ...] = ()


class Affinity(Wire, frozen=True, kw_only=True):
    """core/v1 Affinity."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Wire, frozen=True, kw_only=True):
    """Operator Exists or Equal; an empty key with Exists tolerates every taint."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class Taint(Wire, frozen=True, kw_only=True):
    """Effects NoSchedule, PreferNoSchedule, NoExecute."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


class ContainerPort(Wire, frozen=True, kw_only=True):
    """Only host ports concern a scheduler; container ports concern the service."""

    container_port: int = 0
    host_port: int = 0
    protocol: str = "TCP"
    name: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")


class ResourceRequirements(Wire, frozen=True, kw_only=True):
    """Quantities as written; `flowbatch.api.quantity` reads them. A JSON number is legal where a string is."""

    requests: dict[str, str | int | float] = {}
    limits: dict[str, str | int | float] = {}


class Container(Wire, frozen=True, kw_only=True):
    """The part of a container that scheduling and job semantics read."""

    name: str = ""
    image: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    ports: tuple[ContainerPort, ...] = ()
    #: "Always" makes an init container a sidecar.
    restart_policy: str = ""


class PodSchedulingGate(Wire, frozen=True, kw_only=True):
    """A named reason not to schedule a pod yet."""

    name: str


class ClaimVolume(Wire, frozen=True, kw_only=True):
    """A volume that is a claim, by name."""

    claim_name: str = ""


class Volume(Wire, frozen=True, kw_only=True):
    """A pod's volume, as far as it is a claim: a named one, or one made for the pod (`<pod>-<volume>`)."""

    name: str = ""
    persistent_volume_claim: ClaimVolume | None = None
    ephemeral: dict[str, Any] | None = None


class PodResourceClaim(Wire, frozen=True, kw_only=True):
    """A claim to devices (resource.k8s.io): one that is there, or one to be made from a template for this pod alone."""

    name: str = ""
    resource_claim_name: str = ""
    resource_claim_template_name: str = ""


class PodResourceClaimStatus(Wire, frozen=True, kw_only=True):
    """Which claim was made for an entry of the spec; no name: none is needed."""

    name: str = ""
    resource_claim_name: str = ""


class PodSpec(Wire, frozen=True, kw_only=True):
    """core/v1 PodSpec as schedulers and controllers read it."""

    node_name: str = ""
    scheduler_name: str = "default-scheduler"
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    volumes: tuple[Volume, ...] = ()
    resource_claims: tuple[PodResourceClaim, ...] = ()
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()
    overhead: dict[str, str | int | float] = {}
    #: Of the pod as a whole (KEP-2837): they stand in for what its containers add up to.
    resources: ResourceRequirements = ResourceRequirements()
    priority: int = 0
    priority_class_name: str = ""
    preemption_policy: str = ""
    restart_policy: str = "Always"
    host_network: bool = False
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None


class ContainerStateTerminated(Wire, frozen=True, kw_only=True):
    """How a container ended."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerStateWaiting(Wire, frozen=True, kw_only=True):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(Wire, frozen=True, kw_only=True):
    """That a container runs; nobody here asks since when."""


class ContainerState(Wire, frozen=True, kw_only=True):
    """Exactly one of these is set."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Wire, frozen=True, kw_only=True):
    """core/v1 ContainerStatus."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()


class PodStatus(Wire, frozen=True, kw_only=True):
    """core/v1 PodStatus. `phase` is Pending, Running, Succeeded, Failed or Unknown.

    Five conditions with a time each would make every pod unlike every other; without, nearly all running ones say the
    same, and the informers keep that once.
    """

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    host_ip: str = msgspec.field(default="", name="hostIP")
    nominated_node_name: str = ""
    start_time: datetime | None = None
    conditions: tuple[Statement, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    resource_claim_statuses: tuple[PodResourceClaimStatus, ...] = ()


class Pod(Wire, frozen=True, kw_only=True):
    """core/v1 Pod."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class NodeSpec(Wire, frozen=True, kw_only=True):
    """core/v1 NodeSpec."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class ContainerImage(Wire, frozen=True, kw_only=True):
    """A container image on a node, by all its names."""

    names: tuple[str, ...] = ()
    size_bytes: int = 0


class NodeStatus(Wire, frozen=True, kw_only=True):
    """core/v1 NodeStatus."""

    allocatable: dict[str, str | int | float] = {}
    capacity: dict[str, str | int | float] = {}
    conditions: tuple[Condition, ...] = ()
    images: tuple[ContainerImage, ...] = ()


class Node(Wire, frozen=True, kw_only=True):
    """core/v1 Node."""

    metadata: ObjectMeta = ObjectMeta()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Namespace(Wire, frozen=True, kw_only=True):
    """core/v1 Namespace: only its annotations (a default queue) and its end matter here."""

    metadata: ObjectMeta = ObjectMeta()


class PriorityClass(Wire, frozen=True, kw_only=True):
    """scheduling.k8s.io/v1 PriorityClass."""

    metadata: ObjectMeta = ObjectMeta()
    value: int = 0
    global_default: bool = False
    preemption_policy: str = "PreemptLowerPriority"


class ResourceQuotaStatus(Wire, frozen=True, kw_only=True):
    """core/v1 ResourceQuotaStatus, as the quota controller counts it."""

    hard: dict[str, str | int | float] = {}
    used: dict[str, str | int | float] = {}


class ResourceQuotaSpec(Wire, frozen=True, kw_only=True):
    """core/v1 ResourceQuotaSpec."""

    hard: dict[str, str | int | float] = {}


class ResourceQuota(Wire, frozen=True, kw_only=True):
    """core/v1 ResourceQuota."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()


class ConfigMap(Wire, frozen=True, kw_only=True):
    """core/v1 ConfigMap."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}


class Secret(Wire, frozen=True, kw_only=True):
    """core/v1 Secret; `data` is base64 as on the wire."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] = {}
    type: str = "Opaque"


class ServiceSpec(Wire, frozen=True, kw_only=True):
    """core/v1 ServiceSpec as name resolution reads it."""

    selector: dict[str, str] = {}
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    publish_not_ready_addresses: bool = False


class Service(Wire, frozen=True, kw_only=True):
    """core/v1 Service."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ServiceSpec = ServiceSpec()


class NetworkPolicy(Wire, frozen=True, kw_only=True):
    """networking.k8s.io/v1 NetworkPolicy: made for a job and looked for, never interpreted."""

    metadata: ObjectMeta = ObjectMeta()


class PersistentVolumeClaimSpec(Wire, frozen=True, kw_only=True):
    """core/v1 PersistentVolumeClaimSpec. A missing class is the empty one, once the API server has filled it in."""

    access_modes: tuple[str, ...] = ()
    resources: ResourceRequirements = ResourceRequirements()
    volume_name: str = ""
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"
    selector: LabelSelector | None = None


class PersistentVolumeClaimStatus(Wire, frozen=True, kw_only=True):
    """core/v1 PersistentVolumeClaimStatus."""

    phase: str = ""


class PersistentVolumeClaim(Wire, frozen=True, kw_only=True):
    """core/v1 PersistentVolumeClaim."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class VolumeNodeAffinity(Wire, frozen=True, kw_only=True):
    """Which nodes reach a volume."""

    required: NodeSelector | None = None


class CSIVolumeSource(Wire, frozen=True, kw_only=True):
    """Which driver attaches a volume."""

    driver: str = ""


class PathVolumeSource(Wire, frozen=True, kw_only=True):
    """A folder of a node."""

    path: str = ""


class PersistentVolumeSpec(Wire, frozen=True, kw_only=True):
    """core/v1 PersistentVolumeSpec."""

    capacity: dict[str, str | int | float] = {}
    access_modes: tuple[str, ...] = ()
    claim_ref: "ObjectReference | None" = None
    storage_class_name: str = ""
    volume_mode: str = "Filesystem"
    node_affinity: VolumeNodeAffinity | None = None
    csi: CSIVolumeSource | None = None
    host_path: PathVolumeSource | None = None
    local: PathVolumeSource | None = None


class PersistentVolume(Wire, frozen=True, kw_only=True):
    """core/v1 PersistentVolume."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()


class TopologySelectorLabelRequirement(Wire, frozen=True, kw_only=True):
    """One node label that must have one of these values."""

    key: str
    values: tuple[str, ...] = ()


class TopologySelectorTerm(Wire, frozen=True, kw_only=True):
    """All of them."""

    match_label_expressions: tuple[TopologySelectorLabelRequirement, ...] = ()


class StorageClass(Wire, frozen=True, kw_only=True):
    """storage.k8s.io/v1 StorageClass."""

    metadata: ObjectMeta = ObjectMeta()
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[TopologySelectorTerm, ...] = ()


class VolumeNodeResources(Wire, frozen=True, kw_only=True):
    """How many volumes; absent for no limit."""

    count: int | None = None


class CSINodeDriver(Wire, frozen=True, kw_only=True):
    """One driver of a node."""

    name: str
    allocatable: VolumeNodeResources | None = None


class CSINodeSpec(Wire, frozen=True, kw_only=True):
    """storage.k8s.io/v1 CSINodeSpec."""

    drivers: tuple[CSINodeDriver, ...] = ()


class CSINode(Wire, frozen=True, kw_only=True):
    """storage.k8s.io/v1 CSINode; has its node's name."""

    metadata: ObjectMeta = ObjectMeta()
    spec: CSINodeSpec = CSINodeSpec()


class ObjectReference(Wire, frozen=True, kw_only=True):
    """core/v1 ObjectReference."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Event(Wire, frozen=True, kw_only=True):
    """core/v1 Event."""

    metadata: ObjectMeta = ObjectMeta()
    involved_object: ObjectReference = ObjectReference()
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    count: int = 1
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
