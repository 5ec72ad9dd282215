"""resource.k8s.io/v1: devices that nodes or a fabric publish, classes of them, and pods' claims to some.

Kubernetes calls it dynamic resource allocation. What only a driver reads of an object (parameters of a configuration)
is carried as plain JSON.
"""

import msgspec

from flowbatch.api.core import NodeSelector, Taint, Toleration
from flowbatch.api.meta import JsonObject, ObjectMeta, Wire


class CELDeviceSelector(Wire, frozen=True, kw_only=True):
    """An expression over `device` that must be true."""

    expression: str = ""


class DeviceSelector(Wire, frozen=True, kw_only=True):
    """Which devices would do."""

    cel: CELDeviceSelector | None = None


class DeviceAttribute(Wire, frozen=True, kw_only=True):
    """One value; exactly one of the fields is set. Lists of values are not read here."""

    string: str | None = None
    whole: int | None = msgspec.field(default=None, name="int")
    truth: bool | None = msgspec.field(default=None, name="bool")
    version: str | None = None


class DeviceCapacity(Wire, frozen=True, kw_only=True):
    """How much of something a device has."""

    value: str | int | float = 0


class Device(Wire, frozen=True, kw_only=True):
    """One device of a pool. Those that share counters, or are given in shares, are marked by what only they have."""

    name: str
    attributes: dict[str, DeviceAttribute] = {}
    capacity: dict[str, DeviceCapacity] = {}
    taints: tuple[Taint, ...] = ()
    consumes_counters: tuple[JsonObject, ...] = ()
    allow_multiple_allocations: bool = False
    binds_to_node: bool = False
    binding_conditions: tuple[str, ...] = ()


class ResourcePool(Wire, frozen=True, kw_only=True):
    """Slices of one generation belong together; older ones do not count."""

    name: str = ""
    generation: int = 0
    resource_slice_count: int = 1


class ResourceSliceSpec(Wire, frozen=True, kw_only=True):
    """Devices of one driver, and which nodes reach them: one, some, or all."""

    driver: str = ""
    pool: ResourcePool = ResourcePool()
    node_name: str = ""
    node_selector: NodeSelector | None = None
    all_nodes: bool = False
    per_device_node_selection: bool = False
    devices: tuple[Device, ...] = ()


class ResourceSlice(Wire, frozen=True, kw_only=True):
    """resource.k8s.io/v1 ResourceSlice."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceSliceSpec = ResourceSliceSpec()


class DeviceClassSpec(Wire, frozen=True, kw_only=True):
    """All selectors must hold; `config` is for the driver."""

    selectors: tuple[DeviceSelector, ...] = ()
    config: tuple[JsonObject, ...] = ()


class DeviceClass(Wire, frozen=True, kw_only=True):
    """resource.k8s.io/v1 DeviceClass."""

    metadata: ObjectMeta = ObjectMeta()
    spec: DeviceClassSpec = DeviceClassSpec()


class ExactDeviceRequest(Wire, frozen=True, kw_only=True):
    """So many devices of a class, or all of them that a node reaches."""

    device_class_name: str = ""
    selectors: tuple[DeviceSelector, ...] = ()
    allocation_mode: str = "ExactCount"
    count: int = 1
    admin_access: bool = False
    tolerations: tuple[Toleration, ...] = ()
    capacity: JsonObject | None = None


class DeviceSubRequest(ExactDeviceRequest, frozen=True, kw_only=True):
    """One of several alternatives."""

    name: str


class DeviceRequest(Wire, frozen=True, kw_only=True):
    """Exactly this, or the first of several that is available."""

    name: str
    exactly: ExactDeviceRequest | None = None
    first_available: tuple[DeviceSubRequest, ...] = ()


class DeviceConstraint(Wire, frozen=True, kw_only=True):
    """Devices of these requests (none named: of all) must have one value of an attribute in common."""

    requests: tuple[str, ...] = ()
    match_attribute: str = ""
    distinct_attribute: str = ""


class DeviceClaim(Wire, frozen=True, kw_only=True):
    """What is asked for."""

    requests: tuple[DeviceRequest, ...] = ()
    constraints: tuple[DeviceConstraint, ...] = ()
    config: tuple[JsonObject, ...] = ()


class ResourceClaimSpec(Wire, frozen=True, kw_only=True):
    """resource.k8s.io/v1 ResourceClaimSpec; never changes."""

    devices: DeviceClaim = DeviceClaim()


class DeviceRequestAllocationResult(Wire, frozen=True, kw_only=True):
    """One device that was given for a request; a subrequest is called "request/subrequest"."""

    request: str
    driver: str
    pool: str
    device: str
    admin_access: bool = False


class DeviceAllocationResult(Wire, frozen=True, kw_only=True):
    """All devices that were given."""

    results: tuple[DeviceRequestAllocationResult, ...] = ()


class AllocationResult(Wire, frozen=True, kw_only=True):
    """What was given, and on which nodes it can be used (no selector: on all)."""

    devices: DeviceAllocationResult = DeviceAllocationResult()
    node_selector: NodeSelector | None = None


class ResourceClaimConsumerReference(Wire, frozen=True, kw_only=True):
    """Somebody who may use the claim: a pod."""

    api_group: str = ""
    resource: str = "pods"
    name: str = ""
    uid: str = ""


class ResourceClaimStatus(Wire, frozen=True, kw_only=True):
    """resource.k8s.io/v1 ResourceClaimStatus."""

    allocation: AllocationResult | None = None
    reserved_for: tuple[ResourceClaimConsumerReference, ...] = ()


class ResourceClaim(Wire, frozen=True, kw_only=True):
    """resource.k8s.io/v1 ResourceClaim."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceClaimSpec = ResourceClaimSpec()
    status: ResourceClaimStatus = ResourceClaimStatus()


class ResourceClaimTemplateSpec(Wire, frozen=True, kw_only=True):
    """What claims made from it are like."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceClaimSpec = ResourceClaimSpec()


class ResourceClaimTemplate(Wire, frozen=True, kw_only=True):
    """resource.k8s.io/v1 ResourceClaimTemplate."""

    metadata: ObjectMeta = ObjectMeta()
    spec: ResourceClaimTemplateSpec = ResourceClaimTemplateSpec()
