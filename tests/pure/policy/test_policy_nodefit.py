"""Which nodes are right for a pod, by their labels, taints, ports and state?"""

import msgspec
import pytest

from flowbatch.engine.events import LabelTest, ShapeSpec, Taint, Toleration
from flowbatch.policy.nodefit import tolerates
from tests.textcluster import bound, confirm, cycle, engine_with, node, nodes_used, pod, reports, shape


def one(engine, spec):
    """Where a single pod of this shape goes."""
    from flowbatch.engine.events import GangSeen

    engine.observe([GangSeen("ns/x", "u", "default", phase="Inqueue"), pod("x", spec, "x")])
    return bound(cycle(engine)).get("x")


CLUSTER = ("node n1: cpu=4 zone:a gen:1", "node n2: cpu=4 zone:b gen:2", "node n3: cpu=4 gen:old")


@pytest.mark.parametrize(
    ("test", "home"),
    [
        (LabelTest("zone", "In", ("b", "c")), "n2"),
        (LabelTest("zone", "NotIn", ("a", "b")), "n3"),
        (LabelTest("zone", "Exists"), "n1"),
        (LabelTest("zone", "DoesNotExist"), "n3"),
        (LabelTest("gen", "Gt", ("1",)), "n2"),
        (LabelTest("gen", "Lt", ("2",)), "n1"),
        (LabelTest("gen", "Gt", ("word",)), None),
        (LabelTest("gen", "Like", ("1",)), None),
        (LabelTest("metadata.name", "In", ("n3",), field=True), "n3"),
        (LabelTest("metadata.name", "NotIn", ("n1", "n2"), field=True), "n3"),
        (LabelTest("spec.unknown", "In", ("n3",), field=True), None),
    ],
)
def test_required_affinity(test, home):
    assert home == one(engine_with(*CLUSTER), ShapeSpec((("cpu", 1000),), required=((test,),)))


def test_one_required_term_is_enough_and_an_empty_one_matches_nothing():
    terms = ((), (LabelTest("zone", "In", ("a",)), LabelTest("gen", "In", ("2",))), (LabelTest("zone", "In", ("b",)),))
    assert one(engine_with(*CLUSTER), ShapeSpec((("cpu", 1000),), required=terms)) == "n2"
    assert None is one(engine_with(*CLUSTER), ShapeSpec((("cpu", 1000),), required=((),)))


def test_selector_and_affinity_must_both_hold():
    spec = ShapeSpec((("cpu", 1000),), (("gen", "1"),), ((LabelTest("zone", "In", ("b",)),),))
    assert None is one(engine_with(*CLUSTER), spec)


def test_preferred_affinity_wins_among_equals():
    spec = ShapeSpec((("cpu", 1000),), preferred=((10, (LabelTest("zone", "In", ("b",)),)),))
    assert one(engine_with(*CLUSTER), spec) == "n2"


def test_prefer_no_schedule_is_avoided_not_forbidden():
    assert one(engine_with("node n1: cpu=4 !slow=:PreferNoSchedule", "node n2: cpu=4"), shape("cpu=1")) == "n2"
    assert one(engine_with("node n1: cpu=4 !slow=:PreferNoSchedule"), shape("cpu=1")) == "n1"


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        (Toleration("k", "Equal", "v"), True),
        (Toleration("k", "", "v", "NoSchedule"), True),
        (Toleration("k", "Equal", "w"), False),
        (Toleration("k", "Exists"), True),
        (Toleration("", "Exists"), True),
        (Toleration("", "Equal"), False),
        (Toleration("k", "Exists", effect="NoExecute"), False),
        (Toleration("j", "Exists"), False),
    ],
)
def test_toleration(toleration, fits):
    assert fits == tolerates(toleration, Taint("k", "v", "NoSchedule"))
    spec = ShapeSpec((("cpu", 1000),), tolerations=(toleration,))
    assert ("n1" if fits else None) == one(engine_with("node n1: cpu=4 !k=v:NoSchedule"), spec)


def test_no_execute_keeps_pods_away_too():
    assert None is one(engine_with("node n1: cpu=4 !k=v:NoExecute"), shape("cpu=1"))


def test_cordoned_node_takes_only_those_who_tolerate_it():
    assert None is one(engine_with("node n1: cpu=4 cordoned"), shape("cpu=1"))
    assert one(engine_with("node n1: cpu=4 cordoned"), shape("cpu=1 +node.kubernetes.io/unschedulable")) == "n1"


def test_node_that_is_not_ready_takes_nobody():
    engine = engine_with("node n1: cpu=4 notready")
    assert None is one(engine, shape("cpu=1"))
    engine.observe([node("n1", "cpu=4")])
    assert bound(cycle(engine)) == {"x": "n1"}


def test_host_port_is_used_once_per_node():
    engine = engine_with("2 nodes: cpu=4", "gang a: 3x cpu=1 %80, min 2")
    assert nodes_used(cycle(engine)) == ["n1", "n2"]
    assert "free ports" in reports(cycle(engine)).get("a", engine.explain("ns/a")).message


def test_host_ports_of_two_addresses_do_not_collide_but_every_address_does():
    def on(address):
        return ShapeSpec((("cpu", 100),), ports=(("TCP", address, 80),))

    engine = engine_with("1 nodes: cpu=4", "pod p: cpu=1 on n1")
    engine.observe([msgspec.structs.replace(engine.state.tasks["p"].fact, shape=on("10.0.0.1"))])
    assert one(engine, on("10.0.0.2")) == "n1"
    engine = engine_with("1 nodes: cpu=4", "pod p: cpu=1 on n1")
    engine.observe([msgspec.structs.replace(engine.state.tasks["p"].fact, shape=on("10.0.0.1"))])
    assert None is one(engine, on("0.0.0.0"))


def test_pod_count_of_a_node_is_a_resource():
    engine = engine_with("1 nodes: cpu=4 pods=2", "gang a: 3x cpu=1, min 1")
    assert len(bound(cycle(engine))) == 2
    assert "1 Too many pods" in engine.explain("ns/a").message


def test_extended_resources_are_resources_and_unknown_ones_fit_nowhere():
    assert one(engine_with("node n1: cpu=4", "node n2: cpu=4 example.com/fpga=1"), shape("example.com/fpga=1")) == "n2"
    assert None is one(engine_with("node n1: cpu=4"), shape("example.com/fpga=1"))


def test_absurd_amounts_neither_overflow_nor_fit():
    engine = engine_with("node n1: cpu=4")
    engine.observe([msgspec.structs.replace(node("n2"), allocatable=(("cpu", 1 << 70), ("pods", 1 << 70)))])
    assert None is one(engine, ShapeSpec((("cpu", 1 << 69),)))
    engine = engine_with("node n1: cpu=4")
    engine.observe([pod(f"o{i}", ShapeSpec((("cpu", 1 << 62),)), node="n1", phase="Running") for i in range(40)])
    assert None is one(engine, shape("cpu=1"))


def test_negative_requests_count_as_none():
    assert one(engine_with("node n1: cpu=0"), ShapeSpec((("cpu", -5),))) == "n1"


def test_node_that_shrinks_below_its_use_takes_nothing_more():
    engine = engine_with("node n1: cpu=4 memory=4Gi", "gang a: 1x cpu=3", "gang b: 1x memory=1Gi, phase Inqueue")
    plan = cycle(engine)
    confirm(engine, plan)
    engine = engine_with("node n1: cpu=2 memory=4Gi", "pod o: cpu=3 on n1", "gang b: 1x memory=1Gi")
    assert bound(cycle(engine)) == {}
    assert "use more than they have" in engine.explain("ns/b").message
    engine.observe([node("n1", "cpu=3 memory=4Gi")])
    assert bound(cycle(engine)) == {"b-0": "n1"}


def test_relabelled_node_is_looked_at_again():
    engine = engine_with("node n1: cpu=4")
    assert None is one(engine, shape("cpu=1 @zone:a"))
    engine.observe([node("n1", "cpu=4 zone:a")])
    assert bound(cycle(engine)) == {"x": "n1"}
