"""What a pod says about other pods: affinity terms and spread constraints, resolved as far as the pod alone allows.

A term without namespaces means the pod's own; `matchLabelKeys` stand for the pod's own values. (The API server merges
those into the selector too, from 1.33 on; doing it again changes nothing.)
"""

from collections.abc import Iterable, Iterator, Mapping

from flowbatch.api.core import (
    Affinity,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    TopologySpreadConstraint,
)
from flowbatch.api.meta import LabelSelector, ObjectMeta
from flowbatch.engine import events


def is_sociable(spec: PodSpec) -> bool:
    """It says something about other pods, so its namespace and labels matter to its shape."""
    affinity = spec.affinity
    if spec.topology_spread_constraints:
        return True
    return affinity is not None and (affinity.pod_affinity is not None or affinity.pod_anti_affinity is not None)


def own_labels(spec: PodSpec, meta: ObjectMeta) -> tuple[str, ...]:
    """The pod's values of every label that its terms match by key: with its namespace, all they take from it."""
    affinity = spec.affinity or Affinity()
    keys: dict[str, None] = {}
    for each in (affinity.pod_affinity, affinity.pod_anti_affinity):
        for term in _all_terms(each):
            keys |= dict.fromkeys((*term.match_label_keys, *term.mismatch_label_keys))
    for constraint in spec.topology_spread_constraints:
        keys |= dict.fromkeys(constraint.match_label_keys)
    return (meta.namespace, *(f"{key}={meta.labels[key]}" for key in sorted(keys) if key in meta.labels))


def _all_terms(affinity: PodAffinity | None) -> Iterator[PodAffinityTerm]:
    if affinity is not None:
        yield from affinity.required
        yield from (wish.pod_affinity_term for wish in affinity.preferred)


def required_peers(affinity: PodAffinity | None, meta: ObjectMeta) -> tuple[events.PeerTerm, ...]:
    """Required terms of pod affinity, or of anti-affinity."""
    return tuple(peer_term(term, meta) for term in (affinity.required if affinity is not None else ()))


def preferred_peers(affinity: Affinity | None, meta: ObjectMeta) -> tuple[tuple[int, events.PeerTerm], ...]:
    """Preferred terms of both; an aversion weighs less than nothing."""
    if affinity is None:
        return ()
    likes = affinity.pod_affinity.preferred if affinity.pod_affinity is not None else ()
    aversions = affinity.pod_anti_affinity.preferred if affinity.pod_anti_affinity is not None else ()
    return (
        *((wish.weight, peer_term(wish.pod_affinity_term, meta)) for wish in likes),
        *((-wish.weight, peer_term(wish.pod_affinity_term, meta)) for wish in aversions),
    )


def peer_term(term: PodAffinityTerm, meta: ObjectMeta) -> events.PeerTerm:
    """One term, as of a pod with this namespace and these labels."""
    of_namespaces = None if term.namespace_selector is None else selector_tests(term.namespace_selector)
    namespaces = term.namespaces
    if not namespaces and of_namespaces is None:
        namespaces = (meta.namespace,)
    tests = None if term.label_selector is None else selector_tests(term.label_selector)
    if tests is not None:
        own = _keyed(term.match_label_keys, "In", meta.labels), _keyed(term.mismatch_label_keys, "NotIn", meta.labels)
        tests = _sorted((*tests, *own[0], *own[1]))
    return events.PeerTerm(term.topology_key, events.PodSelector(tests, tuple(sorted(namespaces)), of_namespaces))


def spreads(constraints: Iterable[TopologySpreadConstraint], meta: ObjectMeta) -> tuple[events.Spread, ...]:
    """Constraints in the order given. Numbers below what the API admits are raised to it."""
    return tuple(_spread(each, meta) for each in constraints)


def _spread(each: TopologySpreadConstraint, meta: ObjectMeta) -> events.Spread:
    tests = None if each.label_selector is None else selector_tests(each.label_selector)
    own = _keyed(each.match_label_keys, "In", meta.labels)
    if tests is not None or own:
        tests = _sorted((*(tests or ()), *own))
    return events.Spread(
        each.topology_key,
        max(1, each.max_skew),
        events.PodSelector(tests, (meta.namespace,)),
        hard=each.when_unsatisfiable != "ScheduleAnyway",
        least_domains=max(1, each.min_domains or 1),
        honors_selector=each.node_affinity_policy != "Ignore",
        honors_taints=each.node_taints_policy == "Honor",
    )


def selector_tests(selector: LabelSelector) -> events.Term:
    """A label selector as tests, in one order."""
    labels = (events.LabelTest(key, "In", (value,)) for key, value in selector.match_labels.items())
    expressions = (
        events.LabelTest(each.key, each.operator, tuple(sorted(each.values))) for each in selector.match_expressions
    )
    return _sorted((*labels, *expressions))


def _keyed(keys: Iterable[str], operator: str, labels: Mapping[str, str]) -> events.Term:
    return tuple(events.LabelTest(key, operator, (labels[key],)) for key in keys if key in labels)


def _sorted(tests: events.Term) -> events.Term:
    """In one order and without repeats, so that selectors that say the same are the same."""
    return tuple(sorted(dict.fromkeys(tests), key=lambda test: (test.key, test.operator, test.values)))


def mentioned(shape: events.ShapeSpec) -> Iterator[str]:
    """Keys of pod labels that the terms of `shape` ask for."""
    terms = (*shape.near, *shape.apart, *(term for _, term in shape.likes))
    for selector in (*(term.pods for term in terms), *(spread.pods for spread in shape.spreads)):
        yield from (test.key for test in selector.tests or ())
