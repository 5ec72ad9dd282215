"""Pods behind their queue's gate: it goes with a place, or where only nodes are missing; not where the queue is full.

Volcano: SchedulingGatesQueueAdmission. An autoscaler must not bring nodes for pods that their queue holds back.
"""

import msgspec

from flowbatch.engine.decisions import Plan, Ungate
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, PodSeen, StepFailed
from flowbatch.model.steps import QUEUE_GATE
from tests.textcluster import binds, blocker, bound, confirm, cycle, engine_with, facts, finish, seen_again


def behind(line: str, **more: object) -> list[Event]:
    """A gang whose pods have nothing but their queue's gate."""
    return [
        msgspec.structs.replace(each, queue_gate=True, **more) if isinstance(each, PodSeen) else each
        for each in facts(line)
    ]


def ungated(plan: Plan) -> list[str]:
    return [each.name for each in plan.decisions if isinstance(each, Ungate)]


def world(*lines: str, gang: str = "gang g: 2x cpu=2, queue q", **more: object) -> Engine:
    engine = engine_with(*lines)
    engine.observe(behind(gang, **more))
    return engine


def test_the_gate_is_taken_off_with_the_place_and_just_before_the_binding() -> None:
    plan = cycle(world("node n: cpu=4", "queue q: weight=1"))
    assert len(bound(plan)) == 2
    assert [[(step.kind, step.name) for step in bind.before] for bind in binds(plan)] == [[("gate", QUEUE_GATE)]] * 2
    assert ungated(plan) == []


def test_where_only_nodes_are_missing_it_is_taken_off_so_that_somebody_brings_them() -> None:
    engine = world("node n: cpu=2", "queue q: weight=1")
    assert ungated(cycle(engine)) == ["g-0", "g-1"]
    assert blocker(engine, "g") == "NeedsCapacity"
    # Once: until the pods have been seen without.
    engine.observe(facts("node m: cpu=1"))
    assert ungated(cycle(engine)) == []
    engine.observe([seen_again(engine, f"g-{index}", queue_gate=False) for index in range(2)])
    engine.observe(facts("node m: cpu=2"))
    plan = cycle(engine)
    assert len(bound(plan)) == 2
    assert all(not bind.before for bind in binds(plan))


def test_where_the_queue_is_full_it_stays_until_there_is_room() -> None:
    engine = engine_with("node n: cpu=2", "queue q: capability(cpu=4)", "gang first: 1x cpu=2, queue q")
    confirm(engine, cycle(engine))
    engine.observe(behind("gang g: 2x cpu=2, queue q"))
    assert ungated(cycle(engine)) == []
    assert blocker(engine, "g") == "NeedsQuota"
    finish(engine, ["first-0"])
    # Now the queue has room for both, and the node for one.
    assert ungated(cycle(engine)) == ["g-0", "g-1"]


def test_the_queues_gate_stays_while_there_are_others() -> None:
    engine = world("node n: cpu=2", "queue q: weight=1", gated=True)
    plan = cycle(engine)
    assert (bound(plan), ungated(plan), blocker(engine, "g")) == ({}, [], "Gated")


def test_of_members_beyond_the_minimum_only_the_next_is_shown() -> None:
    engine = world("node n: cpu=2", "queue q: weight=1", gang="gang g: 4x cpu=2, min 1, queue q")
    assert len(bound(cycle(engine))) == 1
    assert ungated(cycle(engine)) in ([], ["g-1"])


def test_a_gate_that_could_not_be_taken_off_is_tried_again() -> None:
    engine = world("node n: cpu=2", "queue q: weight=1")
    assert ungated(cycle(engine)) == ["g-0", "g-1"]
    engine.observe([StepFailed("g-1", QUEUE_GATE, "no answer")])
    assert ungated(cycle(engine)) == ["g-1"]
