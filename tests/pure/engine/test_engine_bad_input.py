"""Nonsense about nodes, pods and gangs: it ends where it is, and the rest goes on (reliability.md 4.1, 4.2)."""

import msgspec
import pytest

from flowbatch.engine.events import GangSeen, NodeSeen, PodSeen, ShapeSpec
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, QueueName
from tests.textcluster import blocker, bound, confirm, cycle, engine_with, gangs_bound, node, why

FINE = "gang fine: 2x cpu=1, min 2"


def test_a_node_that_shrinks_below_its_use_takes_nothing_new_and_recovers():
    engine = engine_with("node a: cpu=4", "gang one: 3x cpu=1, min 3")
    confirm(engine, cycle(engine))
    engine.observe([node("a", "cpu=2"), node("b", "cpu=2"), *_gang("two", 1, cpu=1_000)])
    assert bound(cycle(engine)) == {"two-0": "b"}
    engine.observe([node("a", "cpu=4"), *_gang("three", 2, cpu=1_000)])
    assert sorted(bound(cycle(engine)).values()) == ["a", "b"]


@pytest.mark.parametrize("units", [-1, -(10**30), 0])
def test_negative_amounts_of_a_pod_ask_for_nothing(units):
    engine = engine_with("1 node: cpu=1", FINE.replace("2x", "1x").replace("min 2", "min 1"))
    engine.observe(_gang("odd", 1, cpu=units))
    plan = cycle(engine)
    assert gangs_bound(plan) == {"fine": 1, "odd": 1}


def test_absurd_amounts_fit_nowhere_and_overflow_nothing():
    engine = engine_with("2 nodes: cpu=4 memory=8Gi", FINE)
    engine.observe(_gang("huge", 3, cpu=10**30, memory=2**63))
    assert gangs_bound(cycle(engine)) == {"fine": 2}
    assert "can never fit" in why(engine, "huge")


def test_a_node_of_absurd_size_is_cut_and_serves():
    engine = engine_with("node a: cpu=1", FINE)
    engine.observe([NodeSeen(NodeName("endless"), (("cpu", 2**80), ("pods", 2**70)))])
    assert gangs_bound(cycle(engine)) == {"fine": 2}


def test_a_node_of_negative_size_is_as_good_as_none():
    engine = engine_with("node a: cpu=2", FINE)
    engine.observe([NodeSeen(NodeName("broken"), (("cpu", -5_000), ("pods", 110)))])
    assert set(bound(cycle(engine)).values()) == {"a"}


def test_a_resource_that_no_node_has_is_named():
    engine = engine_with("1 node: cpu=4", "gang odd: 1x cpu=1 example.com/unheard=1, min 1, phase Inqueue", FINE)
    assert gangs_bound(cycle(engine)) == {"fine": 2}
    assert "example.com/unheard" in why(engine, "odd")


def test_a_second_pod_of_the_same_name_is_another_pod():
    engine = engine_with("1 node: cpu=4", "gang one: 1x cpu=1, min 1")
    confirm(engine, cycle(engine))
    again = PodSeen(PodUid("another-uid"), "ns", "one-0", ShapeSpec((("cpu", 1_000),)), GangId("ns/one"), "task")
    engine.observe([again])
    assert [bind.uid for bind in cycle(engine).decisions if hasattr(bind, "node")] == ["another-uid"]


def test_a_second_node_of_the_same_name_replaces_the_first():
    engine = engine_with("node a: cpu=4", "node a: cpu=1", FINE + ", phase Inqueue")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "fine") == "NeedsCapacity"


@pytest.mark.parametrize("least", [3, 10**9, 2**31])
def test_a_minimum_above_its_members_waits_for_members(least):
    engine = engine_with("1 node: cpu=4", FINE, f"gang odd: 2x cpu=1, min {least}, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {"fine": 2}
    assert blocker(engine, "odd") == "NeedsMembers"


@pytest.mark.parametrize("least", [-1, -(2**31)])
def test_a_negative_minimum_is_none(least):
    engine = engine_with("1 node: cpu=2", "gang one: 3x cpu=1, min 1, phase Inqueue")
    seen = msgspec.structs.replace(engine.state.gangs[GangId("ns/one")].fact, min_members=least)
    engine.observe([seen])
    assert gangs_bound(cycle(engine)) == {"one": 2}


def test_negative_priorities_come_last():
    engine = engine_with("1 node: cpu=1", "gang low: 1x cpu=1, min 1, priority -5", "gang plain: 1x cpu=1, min 1")
    assert gangs_bound(cycle(engine)) == {"plain": 1}


def test_a_task_minimum_of_a_task_that_does_not_exist_waits_and_says_so():
    engine = engine_with("1 node: cpu=4", FINE, "gang odd: 2x a cpu=1, min 2, min-ghost 1, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {"fine": 2}
    assert '"ghost"' in why(engine, "odd")


def _gang(name: str, pods: int, **units: int) -> list[GangSeen | PodSeen]:
    gang = GangId(f"ns/{name}")
    shape = ShapeSpec(tuple(sorted(units.items())))
    seen = GangSeen(gang, f"uid-{name}", QueueName("default"), Instant(99), 0, pods, phase="Inqueue")
    return [seen, *(PodSeen(PodUid(f"{name}-{i}"), "ns", f"{name}-{i}", shape, gang, "task", i) for i in range(pods))]
