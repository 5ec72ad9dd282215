"""What a pod asks of its node, by Kubernetes' own arithmetic.

Main containers and sidecars add up; an ordinary init container runs alone beside the sidecars started before it,
so only the largest such moment counts; overhead comes on top. A limit without a request is a request. What the pod as
a whole asks for (KEP-2837: cpu, memory, huge pages) stands in for the sum of its containers.
"""

from collections.abc import Iterable

from flowbatch.api.core import Container, PodSpec, ResourceRequirements
from flowbatch.api.quantity import amount, scale_of

Amounts = tuple[tuple[str, int], ...]


def pod_requests(spec: PodSpec) -> Amounts:
    """Sorted `(resource, units)` of the whole pod, rounded up; zero amounts are left out. Raises QuantityError."""
    running: dict[str, int] = {}
    for container in spec.containers:
        _add(running, container_requests(container))
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.init_containers:
        asked = container_requests(container)
        if container.restart_policy == "Always":
            _add(sidecars, asked)
            _add(running, asked)
            _raise_to(peak, sidecars)
        else:
            moment = dict(sidecars)
            _add(moment, asked)
            _raise_to(peak, moment)
    _raise_to(running, peak)
    running |= {name: units for name, units in _asked(spec.resources).items() if _of_pods(name)}
    _add(running, {name: amount(value, scale_of(name)) for name, value in spec.overhead.items()})
    return tuple(sorted((name, units) for name, units in running.items() if units > 0))


def container_requests(container: Container) -> dict[str, int]:
    """Requests of one container, with limits standing in where no request is given."""
    return _asked(container.resources)


def _asked(resources: ResourceRequirements) -> dict[str, int]:
    asked = {**resources.limits, **resources.requests}
    return {name: amount(value, scale_of(name)) for name, value in asked.items()}


def _of_pods(name: str) -> bool:
    """Whether a pod as a whole may ask for the resource."""
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def sum_amounts(many: Iterable[Amounts]) -> Amounts:
    """The sum, resource by resource."""
    total: dict[str, int] = {}
    for each in many:
        _add(total, dict(each))
    return tuple(sorted(total.items()))


def _add(into: dict[str, int], more: dict[str, int]) -> None:
    for name, units in more.items():
        into[name] = into.get(name, 0) + units


def _raise_to(into: dict[str, int], floor: dict[str, int]) -> None:
    for name, units in floor.items():
        into[name] = max(into.get(name, 0), units)
