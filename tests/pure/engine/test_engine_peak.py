"""Does a later phase get the room of an earlier one, one for one and before anybody else, and no more than it needs?"""

from msgspec.structs import replace

from flowbatch.engine.engine import Engine
from flowbatch.engine.events import NodeGone
from flowbatch.model.facts import PodSeen
from tests.textcluster import TICK, bound, engine_with, node, pod, shape

PHASES = "gang j: 2x a cpu=2, ?2x b cpu=2 ~a heir a 2, phase Inqueue"


def seen(engine: Engine, name: str, phase: str) -> PodSeen:
    task = engine.state.tasks[name]
    return replace(task.fact, phase=phase, node=task.node.name if task.node else task.fact.node)


def succeed(engine: Engine, *names: str) -> None:
    for phase in ("Running", "Succeeded"):
        engine.observe([seen(engine, name, phase) for name in names])


def start(*lines: str) -> Engine:
    """An engine that checks all its numbers, with the first phase of the gang running."""
    engine = engine_with(*lines)
    assert {"j-a-0", "j-a-1"} <= set(bound(engine.cycle(TICK)))
    return engine


def reserved(engine: Engine) -> dict[str, int]:
    return {each.role: each.total for each in engine.state.gangs["ns/j"].reservations}


def phase_two(engine: Engine) -> dict[str, str]:
    engine.observe([pod(f"j-b-{index}", shape("cpu=2"), "j", task="b", index=index) for index in range(2)])
    return bound(engine.cycle(TICK))


def test_a_gang_with_phases_starts_where_there_is_room_for_the_larger_of_them_only():
    engine = start("1 node: cpu=4", PHASES)
    assert reserved(engine) == {}


def test_room_passes_from_phase_to_phase_and_nobody_else_gets_it_in_between():
    engine = start("1 node: cpu=4", PHASES, "gang other: 1x cpu=2, phase Inqueue")
    succeed(engine, "j-a-0")
    assert reserved(engine) == {"b": 1}
    assert bound(engine.cycle(TICK)) == {}
    succeed(engine, "j-a-1")
    assert reserved(engine) == {"b": 2}
    assert bound(engine.cycle(TICK)) == {}
    assert phase_two(engine) == {"j-b-0": "n1", "j-b-1": "n1"}
    assert reserved(engine) == {}


def test_a_larger_later_phase_holds_the_difference_from_the_start():
    engine = start("1 node: cpu=6", "gang j: 2x a cpu=2, ?3x b cpu=2 ~a heir a 2, phase Inqueue")
    assert reserved(engine) == {"b": 1}
    succeed(engine, "j-a-0", "j-a-1")
    assert reserved(engine) == {"b": 3}


def test_a_gang_whose_later_phase_does_not_fit_does_not_start():
    engine = engine_with("1 node: cpu=4", "gang j: 2x a cpu=2, ?3x b cpu=2 ~a heir a 2, phase Inqueue")
    assert bound(engine.cycle(TICK)) == {}


def test_two_heirs_share_and_the_rest_goes_to_the_others():
    line = "gang j: 3x a cpu=2, ?1x b cpu=2 ~a heir a 1, ?1x c cpu=1 ~a heir a 1, phase Inqueue"
    engine = start("1 node: cpu=6", line, "gang other: 1x cpu=3, phase Inqueue")
    succeed(engine, "j-a-0", "j-a-1", "j-a-2")
    assert reserved(engine) == {"b": 1, "c": 1}
    assert bound(engine.cycle(TICK)) == {"other-0": "n1"}


def test_a_pod_that_fails_leaves_its_room_to_everybody():
    engine = start("1 node: cpu=4", PHASES, "gang other: 1x cpu=2, phase Inqueue")
    engine.observe([seen(engine, "j-a-0", "Running")])
    engine.observe([seen(engine, "j-a-0", "Failed")])
    assert reserved(engine) == {}
    assert bound(engine.cycle(TICK)) == {"other-0": "n1"}


def test_room_on_a_node_that_goes_away_is_looked_for_elsewhere():
    engine = start("1 node: cpu=4", PHASES)
    succeed(engine, "j-a-0", "j-a-1")
    engine.observe([NodeGone("n1"), node("n2")])
    engine.cycle(TICK)
    assert reserved(engine) == {"b": 2}
    assert phase_two(engine) == {"j-b-0": "n2", "j-b-1": "n2"}


def test_a_scheduler_that_was_not_there_when_they_succeeded_looks_for_room():
    engine = engine_with("1 node: cpu=4", PHASES.replace("phase Inqueue", "phase Running"))
    engine.observe([replace(engine.state.tasks[f"j-a-{index}"].fact, phase="Succeeded") for index in range(2)])
    engine.cycle(TICK)
    assert reserved(engine) == {"b": 2}
