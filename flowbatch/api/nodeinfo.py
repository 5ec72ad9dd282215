"""nodeinfo.volcano.sh/v1alpha1: Numatopology, the cpus of one node and how its kubelet hands them out.

Written by Volcano's resource-exporter, one for each node and of its name. A cpu set is text as Linux has it ("0-3,8").
"""

from typing import Final

from flowbatch.api.meta import ObjectMeta, Wire

#: Keys of `policies`.
CPU_MANAGER: Final = "CPUManagerPolicy"
TOPOLOGY_MANAGER: Final = "TopologyManagerPolicy"


class NumaResource(Wire, frozen=True, kw_only=True):
    """What of one resource is still free: for cpu a set, otherwise ids as well."""

    allocatable: str = ""
    capacity: int = 0


class CpuInfo(Wire, frozen=True, kw_only=True):
    """Where one cpu is; ids of cores are unique within their socket only."""

    numa: int = 0
    socket: int = 0
    core: int = 0


class ContainerAllocation(Wire, frozen=True, kw_only=True):
    """What the kubelet gave one container, by resource; for cpu a set."""

    name: str = ""
    allocations: dict[str, str] = {}


class PodAllocation(Wire, frozen=True, kw_only=True):
    """What the kubelet gave one pod, which is known by its uid or by its namespace and name."""

    uid: str = ""
    name: str = ""
    namespace: str = ""
    container_allocations: tuple[ContainerAllocation, ...] = ()


class NumatopoSpec(Wire, frozen=True, kw_only=True):
    """Policies of the kubelet's managers, what they reserve, what is free, and every cpu by its id."""

    policies: dict[str, str] = {}
    res_reserved: dict[str, str] = {}
    numares: dict[str, NumaResource] = {}
    cpu_detail: dict[str, CpuInfo] = {}
    pod_allocations: tuple[PodAllocation, ...] = ()


class Numatopology(Wire, frozen=True, kw_only=True):
    """nodeinfo.volcano.sh/v1alpha1 Numatopology, cluster-scoped."""

    metadata: ObjectMeta = ObjectMeta()
    spec: NumatopoSpec = NumatopoSpec()
