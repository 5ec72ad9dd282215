"""Every kind flowbatch reads or writes: where it lives in the API, and which Struct decodes it.

The one place that knows groups, versions and plurals. `Kind` is generic over its Struct, so that a client or an
informer handed `POD` is known to yield `Pod`.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from flowbatch.api import (
    batch,
    bus,
    coordination,
    core,
    cron,
    disruption,
    flow,
    nodeinfo,
    resource,
    scheduling,
    topology,
)
from flowbatch.api.meta import JsonObject, Wire

T = TypeVar("T", bound=Wire)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of object: `pods` in core/v1 as `Pod`, decoded as `type`."""

    group: str
    version: str
    kind: str
    plural: str
    type: type[T]
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    #: Whether `/status` exists; PodGroup has none (Volcano's quirk, kept).
    status: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def base(self) -> str:
        """The URL path of the group and version, without a trailing slash."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of a collection, an object or a subresource."""
        parts = [self.base]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


POD = Kind("", "v1", "Pod", "pods", core.Pod, short_names=("po",))
NODE = Kind("", "v1", "Node", "nodes", core.Node, namespaced=False, short_names=("no",))
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", core.Namespace, namespaced=False, short_names=("ns",))
SERVICE = Kind("", "v1", "Service", "services", core.Service, short_names=("svc",))
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", core.ConfigMap, short_names=("cm",), status=False)
SECRET = Kind("", "v1", "Secret", "secrets", core.Secret, status=False)
EVENT = Kind("", "v1", "Event", "events", core.Event, short_names=("ev",), status=False)
PERSISTENT_VOLUME_CLAIM = Kind(
    "", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", core.PersistentVolumeClaim, short_names=("pvc",)
)
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas", core.ResourceQuota, short_names=("quota",))
PERSISTENT_VOLUME = Kind(
    "", "v1", "PersistentVolume", "persistentvolumes", core.PersistentVolume, namespaced=False, short_names=("pv",)
)
STORAGE_CLASS = Kind(
    "storage.k8s.io",
    "v1",
    "StorageClass",
    "storageclasses",
    core.StorageClass,
    namespaced=False,
    short_names=("sc",),
    status=False,
)
CSI_NODE = Kind("storage.k8s.io", "v1", "CSINode", "csinodes", core.CSINode, namespaced=False, status=False)
NETWORK_POLICY = Kind(
    "networking.k8s.io",
    "v1",
    "NetworkPolicy",
    "networkpolicies",
    core.NetworkPolicy,
    short_names=("netpol",),
    status=False,
)
PRIORITY_CLASS = Kind(
    "scheduling.k8s.io",
    "v1",
    "PriorityClass",
    "priorityclasses",
    core.PriorityClass,
    namespaced=False,
    short_names=("pc",),
    status=False,
)
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases", coordination.Lease, status=False)
JOB = Kind("batch.volcano.sh", "v1alpha1", "Job", "jobs", batch.Job, short_names=("vcjob", "vj"))
POD_GROUP = Kind(
    "scheduling.volcano.sh",
    "v1beta1",
    "PodGroup",
    "podgroups",
    scheduling.PodGroup,
    short_names=("pg", "podgroup-v1beta1"),
    status=False,
)
QUEUE = Kind(
    "scheduling.volcano.sh",
    "v1beta1",
    "Queue",
    "queues",
    scheduling.Queue,
    namespaced=False,
    short_names=("q", "queue-v1beta1"),
)
HYPER_NODE = Kind(
    "topology.volcano.sh",
    "v1alpha1",
    "HyperNode",
    "hypernodes",
    topology.HyperNode,
    namespaced=False,
    short_names=("hn",),
)
NUMATOPOLOGY = Kind(
    "nodeinfo.volcano.sh",
    "v1alpha1",
    "Numatopology",
    "numatopologies",
    nodeinfo.Numatopology,
    namespaced=False,
    short_names=("numatopo",),
    status=False,
)
POD_DISRUPTION_BUDGET = Kind(
    "policy",
    "v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    disruption.PodDisruptionBudget,
    short_names=("pdb",),
)
RESOURCE_CLAIM = Kind("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims", resource.ResourceClaim)
RESOURCE_CLAIM_TEMPLATE = Kind(
    "resource.k8s.io",
    "v1",
    "ResourceClaimTemplate",
    "resourceclaimtemplates",
    resource.ResourceClaimTemplate,
    status=False,
)
RESOURCE_SLICE = Kind(
    "resource.k8s.io",
    "v1",
    "ResourceSlice",
    "resourceslices",
    resource.ResourceSlice,
    namespaced=False,
    status=False,
)
DEVICE_CLASS = Kind(
    "resource.k8s.io",
    "v1",
    "DeviceClass",
    "deviceclasses",
    resource.DeviceClass,
    namespaced=False,
    status=False,
)
CRON_JOB = Kind(
    "batch.volcano.sh", "v1alpha1", "CronJob", "cronjobs", cron.CronJob, short_names=("cronvcjob", "cronvj")
)
JOB_FLOW = Kind("flow.volcano.sh", "v1alpha1", "JobFlow", "jobflows", flow.JobFlow, short_names=("jf",))
JOB_TEMPLATE = Kind("flow.volcano.sh", "v1alpha1", "JobTemplate", "jobtemplates", flow.JobTemplate, short_names=("jt",))
COMMAND = Kind("bus.volcano.sh", "v1alpha1", "Command", "commands", bus.Command, status=False)

#: The kinds flowbatch brings along as CustomResourceDefinitions.
CUSTOM_KINDS: tuple[Kind[Any], ...] = (
    JOB,
    POD_GROUP,
    QUEUE,
    COMMAND,
    HYPER_NODE,
    NUMATOPOLOGY,
    CRON_JOB,
    JOB_FLOW,
    JOB_TEMPLATE,
)
KINDS: tuple[Kind[Any], ...] = (
    POD,
    NODE,
    NAMESPACE,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    PERSISTENT_VOLUME,
    STORAGE_CLASS,
    CSI_NODE,
    RESOURCE_QUOTA,
    POD_DISRUPTION_BUDGET,
    NETWORK_POLICY,
    PRIORITY_CLASS,
    LEASE,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_SLICE,
    DEVICE_CLASS,
    *CUSTOM_KINDS,
)
_BY_TYPE: dict[type[Wire], Kind[Any]] = {kind.type: kind for kind in KINDS}


def kind_of(value: Wire) -> Kind[Any]:
    """The `Kind` whose Struct `value` is."""
    return _BY_TYPE[type(value)]


def manifest(value: Wire) -> JsonObject:
    """`value` as the JSON object that is sent to an API server, with apiVersion and kind first."""
    kind = kind_of(value)
    body: JsonObject = {"apiVersion": kind.api_version, "kind": kind.kind}
    body.update(msgspec.to_builtins(value))
    return body
