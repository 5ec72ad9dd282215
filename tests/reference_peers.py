"""Pod affinity and topology spread as Kubernetes documents them, in plain Python over pods and nodes: slow and obvious.

Shares no code with the engine. A cluster is a dict of nodes and a list of placed pods; `refuses` says why one more pod
may not be on a node, or None.
"""

from dataclasses import dataclass, field


@dataclass
class Term:
    key: str
    labels: dict[str, tuple[str, ...]]
    namespaces: tuple[str, ...]


@dataclass
class Even:
    key: str
    labels: dict[str, tuple[str, ...]]
    most_skew: int
    least_domains: int = 1
    honors_selector: bool = True
    honors_taints: bool = False


@dataclass
class Pod:
    name: str
    namespace: str
    labels: dict[str, str]
    near: list[Term] = field(default_factory=list)
    apart: list[Term] = field(default_factory=list)
    even: list[Even] = field(default_factory=list)
    selector: dict[str, str] = field(default_factory=dict)
    node: str | None = None
    leaving: bool = False


@dataclass
class Node:
    name: str
    labels: dict[str, str]
    tainted: bool = False


def selects(labels: dict[str, tuple[str, ...]], pod: Pod) -> bool:
    return all(pod.labels.get(key) in values for key, values in labels.items())


def about(term: Term, pod: Pod) -> bool:
    return pod.namespace in term.namespaces and selects(term.labels, pod)


def same_domain(key: str, one: Node, other: Node) -> bool:
    return key in one.labels and one.labels.get(key) == other.labels.get(key)


def refuses(nodes: dict[str, Node], placed: list[Pod], pod: Pod, name: str) -> str | None:
    node = nodes[name]
    if not affine(nodes, placed, pod, node):
        return "affinity"
    for term in pod.apart:
        if any(about(term, other) and same_domain(term.key, node, nodes[other.node]) for other in placed):
            return "anti-affinity"
    for other in placed:
        for term in other.apart:
            if about(term, pod) and same_domain(term.key, node, nodes[other.node]):
                return "existing"
    for even in pod.even:
        reason = uneven(nodes, placed, pod, node, even)
        if reason:
            return reason
    return None


def affine(nodes: dict[str, Node], placed: list[Pod], pod: Pod, node: Node) -> bool:
    if not pod.near:
        return True
    if any(term.key not in node.labels for term in pod.near):
        return False
    fellows = [other for other in placed if all(about(term, other) for term in pod.near)]
    if all(any(same_domain(term.key, node, nodes[other.node]) for other in fellows) for term in pod.near):
        return True
    counted = [other for other in fellows if any(term.key in nodes[other.node].labels for term in pod.near)]
    return not counted and all(about(term, pod) for term in pod.near)


def uneven(nodes: dict[str, Node], placed: list[Pod], pod: Pod, node: Node, even: Even) -> str | None:
    if even.key not in node.labels:
        return "missing label"
    eligible = [
        each
        for each in nodes.values()
        if all(other.key in each.labels for other in pod.even)
        and (not even.honors_selector or all(each.labels.get(k) == v for k, v in pod.selector.items()))
        and (not even.honors_taints or not each.tainted)
    ]
    counts = {each.labels[even.key]: 0 for each in eligible}
    for other in placed:
        if other.leaving or other.namespace != pod.namespace or not even.labels or not selects(even.labels, other):
            continue
        if nodes[other.node] in eligible:
            counts[nodes[other.node].labels[even.key]] += 1
    least = min(counts.values(), default=0) if len(counts) >= even.least_domains else 0
    own = int(selects(even.labels, pod))
    return "uneven" if counts.get(node.labels[even.key], 0) + own - least > even.most_skew else None
