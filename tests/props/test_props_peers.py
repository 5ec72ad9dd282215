"""Affinity and spread on small random clusters: does the engine admit exactly the nodes that Kubernetes would?

`tests.reference_peers` is the judge: it counts pods in plain loops and shares no code with the engine.
"""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    Event,
    GangSeen,
    LabelTest,
    NodeSeen,
    PeerTerm,
    PodGone,
    PodSeen,
    PodSelector,
    QueueSeen,
    ShapeSpec,
    Spread,
    Synced,
    Taint,
    Toleration,
)
from tests import reference_peers as ref

KEYS = ("zone", "host")
LABELS = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b")), max_size=2)
WANTED = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from((("a",), ("b",), ("a", "b"))), max_size=2)
NAMESPACES = ("ns", "other")
TERMS = st.builds(
    ref.Term,
    st.sampled_from(KEYS),
    WANTED,
    st.sampled_from((("ns",), ("other",), ("ns", "other"))),
)
EVEN = st.builds(
    ref.Even,
    st.sampled_from(KEYS),
    WANTED,
    st.integers(1, 2),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
PODS = st.builds(
    ref.Pod,
    st.just(""),
    st.sampled_from(NAMESPACES),
    LABELS,
    st.lists(TERMS, max_size=2),
    st.lists(TERMS, max_size=2),
    st.lists(EVEN, max_size=2),
    st.dictionaries(st.just("disk"), st.sampled_from(("ssd", "hdd")), max_size=1),
)
NODES = st.lists(
    st.tuples(st.sampled_from(("a", "b", "c", "")), st.sampled_from(("ssd", "hdd", "")), st.booleans(), st.booleans()),
    min_size=1,
    max_size=5,
)


def selector(labels: dict[str, tuple[str, ...]], namespaces: tuple[str, ...]) -> PodSelector:
    return PodSelector(tuple(LabelTest(key, "In", values) for key, values in sorted(labels.items())), namespaces)


def spec(pod: ref.Pod) -> ShapeSpec:
    return ShapeSpec(
        (("cpu", 1),),
        tuple(sorted(pod.selector.items())),
        tolerations=(Toleration("soft", "Exists"),),
        near=tuple(PeerTerm(term.key, selector(term.labels, term.namespaces)) for term in pod.near),
        apart=tuple(PeerTerm(term.key, selector(term.labels, term.namespaces)) for term in pod.apart),
        spreads=tuple(
            Spread(
                even.key,
                even.most_skew,
                selector(even.labels, (pod.namespace,)),
                least_domains=even.least_domains,
                honors_selector=even.honors_selector,
                honors_taints=even.honors_taints,
            )
            for even in pod.even
        ),
    )


def world(nodes: list[tuple[str, str, bool, bool]]) -> tuple[dict[str, ref.Node], list[Event]]:
    """Nodes with and without labels, some tainted, some with room for few."""
    known: dict[str, ref.Node] = {}
    events: list[Event] = [QueueSeen("root"), QueueSeen("default")]
    for index, (zone, disk, tainted, hosted) in enumerate(nodes):
        name = f"n{index}"
        labels = {
            key: value for key, value in (("zone", zone), ("disk", disk), ("host", name if hosted else "")) if value
        }
        known[name] = ref.Node(name, labels, tainted)
        taints = (Taint("hot"),) if tainted else ()
        events.append(NodeSeen(name, (("cpu", 4), ("pods", 9)), tuple(sorted(labels.items())), taints))
    return known, events


def seen(pod: ref.Pod, gang: str | None = None, **more: object) -> PodSeen:
    labels = tuple(sorted(pod.labels.items()))
    return PodSeen(pod.name, pod.namespace, pod.name, spec(pod), gang, labels=labels, **more)


def allowed(nodes: dict[str, ref.Node], placed: list[ref.Pod], pod: ref.Pod) -> list[str]:
    """Nodes that the reference lets it be on."""
    return [
        name
        for name, node in nodes.items()
        if not node.tainted
        and all(node.labels.get(key) == value for key, value in pod.selector.items())
        and sum(other.node == name for other in placed) < 4
        and ref.refuses(nodes, placed, pod, name) is None
    ]


def gang(name: str, minimum: int, namespace: str) -> GangSeen:
    return GangSeen(f"{namespace}/{name}", f"uid-{name}", "default", min_members=minimum, phase="Inqueue")


@settings(max_examples=400, deadline=None)
@given(
    NODES,
    st.lists(st.tuples(PODS, st.integers(0, 4), st.booleans()), max_size=6),
    st.lists(PODS, min_size=1, max_size=5),
)
def test_one_pod_goes_exactly_where_the_reference_lets_it(nodes, there, newcomers):
    """Pods that are there already, then one gang of one after the other."""
    known, events = world(nodes)
    placed: list[ref.Pod] = []
    engine = Engine(validate=True)
    engine.observe([*events, Synced()])
    for index, (pod, where, leaving) in enumerate(there):
        pod.name, pod.node, pod.leaving = f"there-{index}", f"n{where % len(known)}", leaving
        placed.append(pod)
        engine.observe([seen(pod, node=pod.node, phase="Running", deleting=leaving)])
    for index, pod in enumerate(newcomers):
        pod.name = f"new-{index}"
        expected = allowed(known, placed, pod)
        name = f"g{index}"
        engine.observe([gang(name, 1, pod.namespace), seen(pod, f"{pod.namespace}/{name}")])
        binds = [each for each in engine.cycle(Tick(index + 1, 1_000)).decisions if isinstance(each, Bind)]
        mine = [bind for bind in binds if bind.uid == pod.name]
        if not expected:
            assert not mine, f"placed on {mine[0].node}, which refuses it"
            why = engine.explain(f"{pod.namespace}/{name}")
            assert why is not None
            assert why.message
            engine.observe([PodGone(pod.name)])
        else:
            assert mine, f"not placed, though {expected} would do"
            assert mine[0].node in expected
            pod.node = mine[0].node
            placed.append(pod)
        assert len(binds) == len(mine)


@settings(max_examples=300, deadline=None)
@given(NODES, PODS, st.integers(2, 5), st.lists(st.tuples(PODS, st.integers(0, 4)), max_size=4))
def test_a_gang_of_equals_goes_one_by_one_where_the_reference_lets_each(nodes, pod, count, there):
    """Every member is where the reference would let it be after those before it; a refused gang could not go on."""
    known, events = world(nodes)
    placed: list[ref.Pod] = []
    engine = Engine(validate=True)
    engine.observe([*events, Synced()])
    for index, (other, where) in enumerate(there):
        other.name, other.node = f"there-{index}", f"n{where % len(known)}"
        placed.append(other)
        engine.observe([seen(other, node=other.node, phase="Running")])
    members = [
        ref.Pod(f"m-{i}", pod.namespace, pod.labels, pod.near, pod.apart, pod.even, pod.selector) for i in range(count)
    ]
    engine.observe(
        [
            gang("g", count, pod.namespace),
            *(seen(each, f"{pod.namespace}/g", index=i) for i, each in enumerate(members)),
        ]
    )
    plan = engine.cycle(Tick(1, 1_000))
    binds = {each.uid: each.node for each in plan.decisions if isinstance(each, Bind)}
    assert len(binds) in (0, count)
    for each in members if binds else ():
        # Members are interchangeable, so some order of them must do: the one in which they were placed does.
        assert binds[each.name] in allowed(known, placed, each)
        each.node = binds[each.name]
        placed.append(each)
    if not binds:
        assert not greedy(known, placed, members), "the reference places all of them, whatever it begins with"


def greedy(nodes: dict[str, ref.Node], placed: list[ref.Pod], members: list[ref.Pod]) -> bool:
    """Whether every way of placing one after the other ends well."""
    if not members:
        return True
    first, *rest = members
    found = allowed(nodes, placed, first)
    if not found:
        return False
    return all(greedy(nodes, [*placed, ref.Pod(**{**vars(first), "node": name})], rest) for name in found)


def plain(app: str, kind: str, key: str, wanted: str) -> ref.Pod:
    """A pod with one label and at most one term, so that many of them wait for each other."""
    term = ref.Term(key, {"app": (wanted,)}, ("ns",))
    return ref.Pod(
        "",
        "ns",
        {"app": app},
        [term] if kind == "near" else [],
        [term] if kind == "apart" else [],
        [ref.Even(key, {"app": (wanted,)}, 1)] if kind == "even" else [],
    )


AB = st.sampled_from(("a", "b"))
FEW = st.builds(plain, AB, st.sampled_from(("near", "apart", "even", "none")), st.sampled_from(KEYS), AB)
CHANGE = st.one_of(
    st.tuples(st.just("come"), FEW, st.integers(1, 3)),
    st.tuples(st.just("come"), PODS, st.integers(1, 3)),
    st.tuples(st.just("elsewhere"), FEW, st.integers(0, 4)),
    st.tuples(st.just("end"), st.integers(0, 20)),
    st.tuples(st.just("leave"), st.integers(0, 20)),
    st.tuples(st.just("relabel"), st.integers(0, 20), LABELS),
    st.tuples(st.just("node"), st.integers(0, 4), st.sampled_from(("a", "b", "c", "")), st.booleans()),
)


@settings(max_examples=300, deadline=None)
@given(NODES, st.lists(CHANGE, min_size=3, max_size=14))
def test_nobody_sleeps_who_could_be_placed(nodes, changes):
    """After every change and a cycle, an engine that looks at everything anew finds nothing to do.

    The books are recounted in every cycle (`validate`), so this is also the test that tallies follow what happens.
    """
    known, events = world(nodes)
    engine = Engine(validate=True)
    engine.observe([*events, Synced()])
    seen_nodes = {event.name: event for event in events if isinstance(event, NodeSeen)}
    pods: dict[str, PodSeen] = {}
    for number, change in enumerate(changes):
        happened: list[Event] = []
        match change:
            case ("come", pod, count):
                name = f"{pod.namespace}/g{number}"
                happened.append(gang(f"g{number}", count, pod.namespace))
                for index in range(count):
                    pod.name = f"p{number}-{index}"
                    pods[pod.name] = seen(pod, name, index=index)
                    happened.append(pods[pod.name])
            case ("elsewhere", pod, where):
                pod.name = f"p{number}"
                pods[pod.name] = seen(pod, node=f"n{where % len(known)}", phase="Running")
                happened.append(pods[pod.name])
            case ("node", where, zone, hosted):
                old = seen_nodes[f"n{where % len(known)}"]
                labels = {**dict(old.labels), "zone": zone, "host": old.name if hosted else ""}
                kept = tuple(sorted((key, value) for key, value in labels.items() if value))
                seen_nodes[old.name] = msgspec.structs.replace(old, labels=kept)
                happened.append(seen_nodes[old.name])
            case (what, which, *more) if pods:
                name = list(pods)[which % len(pods)]
                if what == "end":
                    del pods[name]
                    happened.append(PodGone(name))
                else:
                    new = {"deleting": True} if what == "leave" else {"labels": tuple(sorted(more[0].items()))}
                    pods[name] = msgspec.structs.replace(pods[name], **new)
                    happened.append(pods[name])
        engine.observe(happened)
        follow(engine, pods, 2 * number + 1)
        engine.adopt(engine.policy)
        late = follow(engine, pods, 2 * number + 2)
        assert not late, f"{late} slept, though there was a place"


def follow(engine: Engine, pods: dict[str, PodSeen], now: int) -> list[str]:
    """One cycle; what it binds, runs at once."""
    plan = engine.cycle(Tick(now, 10_000))
    placed = [each for each in plan.decisions if isinstance(each, Bind)]
    for bind in placed:
        pods[bind.uid] = msgspec.structs.replace(pods[bind.uid], node=bind.node, phase="Running")
    engine.observe([pods[bind.uid] for bind in placed])
    return [bind.uid for bind in placed]
