"""What placement looks at of a pod, interned: equal pods share one ShapeSpec.

The engine works per shape, so two thousand pods of one task must be one object. Reading a spec costs tens of
microseconds (quantities are exact fractions); looking it up by its own bytes costs two.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

import msgspec

from flowbatch.api.core import Affinity, NodeSelectorTerm, PodSpec, Toleration, TopologySpreadConstraint
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.quantity import Rounding, amount, amounts, scale_of
from flowbatch.api.requests import pod_requests
from flowbatch.api.scheduling import DeclaredTask, Quantities
from flowbatch.engine import events
from flowbatch.model.ids import Amounts
from flowbatch.scheduler import devices, numa, peers
from flowbatch.scheduler.images import normal_name
from flowbatch.scheduler.volumes import claims_of

#: Larger amounts of one pod or node are cut to this, so that sums over a cluster stay inside int64.
MAX_UNITS: Final = 2**50
#: The same for a queue's limits, of which few are ever added.
MAX_QUEUE_UNITS: Final = 2**60
#: Distinct pod specs remembered; past it the memory starts afresh, which costs sharing, never truth.
REMEMBERED: Final = 65_536

#: Fields of a pod that say nothing about where it fits. Named by exclusion: a field that is added later makes, at
#: worst, two memories of one shape, never one of two.
_ELSEWHERE: Final = frozenset(
    {
        "node_name",
        "scheduler_name",
        "scheduling_gates",
        "priority",
        "priority_class_name",
        "preemption_policy",
        "restart_policy",
        "termination_grace_period_seconds",
        "active_deadline_seconds",
    }
)

_encode = msgspec.json.Encoder().encode
_content = attrgetter(*(name for name in PodSpec.__struct_fields__ if name not in _ELSEWHERE))


#: A pod without a namespace or labels.
NOBODY: Final = ObjectMeta()


def _nobody_listens(_keys: Iterable[str]) -> None:
    """Labels are nobody's business."""


def _never() -> bool:
    return False


class Shapes:
    """Hands out one ShapeSpec per distinct content."""

    def __init__(self) -> None:
        self._by_bytes: dict[bytes, events.ShapeSpec] = {}
        self._by_value: dict[events.ShapeSpec, events.ShapeSpec] = {}
        #: Told the keys of pod labels that a new shape's terms ask for.
        self.mention: Callable[[Iterable[str]], None] = _nobody_listens
        #: Whether a policy looks at images, and who is told those of a new shape.
        self.images_matter: Callable[[], bool] = _never
        self.mention_images: Callable[[Iterable[str]], None] = _nobody_listens

    def of_pod(self, spec: PodSpec, meta: ObjectMeta = NOBODY) -> events.ShapeSpec:
        """The shape of a pod. Raises QuantityError when an amount cannot be read."""
        key = _encode(_content(spec))
        images = self.images_matter()
        if images:
            key += b"images"
        claims = claims_of(spec, meta) if spec.volumes else ()
        if claims:
            key += _encode(claims)
        if peers.is_sociable(spec):
            key += _encode(peers.own_labels(spec, meta))
        shape = self._by_bytes.get(key)
        if shape is None:
            shape = self._intern(pod_shape(spec, meta, images=images, claims=claims))
            self._by_bytes[key] = shape
        return shape

    def of_declared(self, task: DeclaredTask, namespace: str = "") -> events.ShapeSpec:
        """The shape that members of a declared task will have. Raises QuantityError."""
        meta = ObjectMeta(namespace=namespace, labels=task.labels)
        wanted = devices.of_declared(task.requests)
        return self._intern(
            events.ShapeSpec(
                requests=with_one_pod(devices.requests(amounts(task.requests), wanted)),
                devices=wanted,
                selector=tuple(sorted(task.node_selector.items())),
                required=required_terms(task.affinity),
                preferred=preferred_terms(task.affinity),
                tolerations=tolerations(task.tolerations),
                **peer_fields(task.affinity, task.topology_spread_constraints, meta),
            )
        )

    def _intern(self, shape: events.ShapeSpec) -> events.ShapeSpec:
        if len(self._by_bytes) >= REMEMBERED or len(self._by_value) >= REMEMBERED:
            self._by_bytes.clear()
            self._by_value.clear()
        known = self._by_value.get(shape)
        if known is None:
            known = self._by_value[shape] = shape
            if shape.sociable:
                self.mention(peers.mentioned(shape))
            if shape.images:
                self.mention_images(shape.images)
        return known


def pod_shape(
    spec: PodSpec, meta: ObjectMeta = NOBODY, *, images: bool = False, claims: tuple[str, ...] = ()
) -> events.ShapeSpec:
    """All of `spec` that placement looks at, uncached. Raises QuantityError."""
    wanted = devices.asks(spec)
    return events.ShapeSpec(
        requests=with_one_pod(devices.requests(pod_requests(spec), wanted)),
        selector=tuple(sorted(spec.node_selector.items())),
        required=required_terms(spec.affinity),
        preferred=preferred_terms(spec.affinity),
        tolerations=tolerations(spec.tolerations),
        ports=host_ports(spec),
        devices=wanted,
        images=tuple(sorted({normal_name(each.image) for each in spec.containers if each.image})) if images else (),
        claims=claims,
        numa=numa.numa_ask(spec),
        **peer_fields(spec.affinity, spec.topology_spread_constraints, meta),
    )


def peer_fields(
    affinity: Affinity | None, constraints: Iterable[TopologySpreadConstraint], meta: ObjectMeta
) -> dict[str, Any]:
    """What a shape says about other pods."""
    near = affinity.pod_affinity if affinity is not None else None
    apart = affinity.pod_anti_affinity if affinity is not None else None
    return {
        "near": peers.required_peers(near, meta),
        "apart": peers.required_peers(apart, meta),
        "likes": peers.preferred_peers(affinity, meta),
        "spreads": peers.spreads(constraints, meta),
    }


def with_one_pod(requests: Amounts) -> Amounts:
    """`requests` plus one of the node's `pods`, each cut to what sums can bear; zero amounts are left out."""
    asked = {name: min(units, MAX_UNITS) for name, units in requests if units > 0}
    asked["pods"] = 1
    return tuple(sorted(asked.items()))


def queue_amounts(quantities: Quantities) -> Amounts:
    """A queue's or gang's resource list; the quota spellings that Volcano adds (`requests.cpu`) say nothing new."""
    spelled = {name: value for name, value in quantities.items() if not _is_quota_name(name)}
    return tuple((name, min(units, MAX_QUEUE_UNITS)) for name, units in amounts(spelled))


def quota_only(quantities: Quantities) -> Amounts:
    """Those of a resource list that only a ResourceQuota reads."""
    return quota_amounts({name: value for name, value in quantities.items() if _is_quota_name(name)})


def quota_amounts(quantities: Quantities, rounding: Rounding = "up") -> Amounts:
    """Amounts under a quota's names: "requests.cpu" counts as cpu does."""
    read = {name: amount(value, scale_of(_bare(name)), rounding) for name, value in quantities.items()}
    return tuple(sorted((name, min(units, MAX_QUEUE_UNITS)) for name, units in read.items()))


def _bare(name: str) -> str:
    return name.removeprefix("requests.").removeprefix("limits.")


def _is_quota_name(name: str) -> bool:
    return name.startswith(("requests.", "limits.", "count/"))


def required_terms(affinity: Affinity | None) -> tuple[events.Term, ...]:
    """The node terms of which one must hold; a selector without terms becomes one that matches no node."""
    if affinity is None or affinity.node_affinity is None or affinity.node_affinity.required is None:
        return ()
    terms = affinity.node_affinity.required.node_selector_terms
    return tuple(_term(term) for term in terms) or ((),)


def preferred_terms(affinity: Affinity | None) -> tuple[tuple[int, events.Term], ...]:
    """Wishes with their weights; an empty wish is a no-op in Kubernetes and left out."""
    if affinity is None or affinity.node_affinity is None:
        return ()
    weighed = ((wish.weight, _term(wish.preference)) for wish in affinity.node_affinity.preferred)
    return tuple((weight, term) for weight, term in weighed if term)


def _term(term: NodeSelectorTerm) -> events.Term:
    labels = (events.LabelTest(each.key, each.operator, each.values) for each in term.match_expressions)
    fields = (events.LabelTest(each.key, each.operator, each.values, field=True) for each in term.match_fields)
    return (*labels, *fields)


def tolerations(many: Iterable[Toleration]) -> tuple[events.Toleration, ...]:
    """In the order given; how long a taint is borne does not concern placement."""
    return tuple(events.Toleration(each.key, each.operator or "Equal", each.value, each.effect) for each in many)


def host_ports(spec: PodSpec) -> tuple[tuple[str, str, int], ...]:
    """Sorted `(protocol, hostIP, hostPort)`; on the host's network a container's port is the host's."""
    running = [*spec.containers, *(each for each in spec.init_containers if each.restart_policy == "Always")]
    ports = (
        (port.protocol or "TCP", port.host_ip, port.host_port or (port.container_port if spec.host_network else 0))
        for container in running
        for port in container.ports
    )
    return tuple(sorted({port for port in ports if port[2] > 0}))
