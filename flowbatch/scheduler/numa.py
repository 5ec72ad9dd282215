"""Numatopologies in, facts out; and what Guaranteed pods ask of the topology managers of nodes.

What of a Numatopology cannot be read is left out: a node of which less is known takes fewer pods, never more.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import ceil
from typing import Final

import msgspec

from flowbatch.api import names
from flowbatch.api.core import Container, PodSpec, ResourceRequirements
from flowbatch.api.nodeinfo import CPU_MANAGER, TOPOLOGY_MANAGER, Numatopology, PodAllocation
from flowbatch.api.quantity import QuantityError, amount, scale_of
from flowbatch.engine import events
from flowbatch.model.asks import NumaAsk
from flowbatch.model.cpusets import MOST_CPUS, readable, written
from flowbatch.model.ids import NodeName
from flowbatch.policy.cpuids import TOPOLOGY_DECISION, decided

#: Of these a Guaranteed pod has as much as it asks for.
_QUALITY: Final = ("cpu", "memory")
#: Cpu, NUMA node, socket and core of each.
_Places = tuple[tuple[int, int, int, int], ...]


def numa_fact(told: Numatopology) -> events.NumaSeen:
    """`told` as the engine sees it; it has the name of its node."""
    spec = told.spec
    cpu = spec.numares.get("cpu")
    numa, sockets, cores = _neighbours(
        tuple(
            (int(name), each.numa, each.socket, each.core)
            for name, each in sorted(spec.cpu_detail.items())
            if name.isascii() and name.isdigit() and int(name) < MOST_CPUS
        )
    )
    return events.NumaSeen(
        node=NodeName(told.metadata.name),
        static=spec.policies.get(CPU_MANAGER) == "static",
        policy=spec.policies.get(TOPOLOGY_MANAGER, ""),
        numa=numa,
        sockets=sockets,
        cores=cores,
        reserved=_reserved(spec.res_reserved),
        free=written(readable(cpu.allocatable)) if cpu is not None else "",
        told=tuple(sorted((_name(each), cpus) for each in spec.pod_allocations if (cpus := _cpus(each)))),
    )


@lru_cache(maxsize=256)
def _neighbours(places: _Places) -> tuple[tuple[tuple[int, str], ...], tuple[str, ...], tuple[str, ...]]:
    """NUMA nodes, sockets and cores as sets of cpus, each in the order of ids; equal nodes share them."""
    numa: dict[int, int] = {}
    sockets: dict[int, int] = {}
    cores: dict[tuple[int, int], int] = {}
    for cpu, node, socket, core in places:
        numa[node] = numa.get(node, 0) | 1 << cpu
        sockets[socket] = sockets.get(socket, 0) | 1 << cpu
        # Ids of cores are unique within their socket only.
        cores[socket, core] = cores.get((socket, core), 0) | 1 << cpu
    return (
        tuple((node, written(cpus)) for node, cpus in sorted(numa.items())),
        tuple(written(cpus) for _, cpus in sorted(sockets.items())),
        tuple(written(cpus) for _, cpus in sorted(cores.items())),
    )


def _reserved(reserved: Mapping[str, str]) -> int:
    """Whole cpus: of a part of one nobody can have the rest for himself."""
    try:
        return ceil(amount(reserved.get("cpu", "0"), scale_of("cpu")) / 1000)
    except QuantityError:
        return 0


def _name(pod: PodAllocation) -> str:
    return pod.uid or f"{pod.namespace}/{pod.name}"


def _cpus(pod: PodAllocation) -> str:
    cpus = 0
    for container in pod.container_allocations:
        cpus |= readable(container.allocations.get("cpu", ""))
    return written(cpus)


# -- pods


def numa_ask(spec: PodSpec) -> NumaAsk | None:
    """What a Guaranteed pod asks of its kubelet's managers; None for other pods. Raises QuantityError."""
    containers = [*spec.containers, *spec.init_containers]
    if not containers or spec.resources.requests or spec.resources.limits or not all(map(_guaranteed, containers)):
        # A kubelet gives no cpus of their own to the containers of a pod that asks as a whole.
        return None
    running = [*(each for each in spec.init_containers if each.restart_policy == "Always"), *spec.containers]
    return NumaAsk(cpus=tuple(count for each in running if (count := _own_cpus(each))))


def _guaranteed(container: Container) -> bool:
    return all(_asked(container.resources, name) > 0 for name in _QUALITY)


def _asked(resources: ResourceRequirements, name: str) -> int:
    """How much of a resource is both asked for and the limit; 0 where these differ."""
    limit = resources.limits.get(name)
    if limit is None:
        return 0
    most = amount(limit, scale_of(name))
    return most if amount(resources.requests.get(name, limit), scale_of(name)) == most else 0


def _own_cpus(container: Container) -> int:
    whole, rest = divmod(_asked(container.resources, "cpu"), 1000)
    return 0 if rest else whole


@lru_cache(maxsize=4096)
def with_policy(shape: events.ShapeSpec, policy: str) -> events.ShapeSpec:
    """`shape` of a pod that names a topology policy; equal ones are one object."""
    if shape.numa is None or policy in ("", "none"):
        return shape
    return msgspec.structs.replace(shape, numa=msgspec.structs.replace(shape.numa, policy=policy))


def policy_of(annotations: Mapping[str, str]) -> str:
    """The topology policy that a pod names."""
    return annotations.get(names.NUMA_TOPOLOGY_POLICY, "")


def held(annotations: Mapping[str, str]) -> str:
    """The set of cpus that a bound pod's annotation names."""
    return decided(annotations.get(TOPOLOGY_DECISION, ""))
