"""Does a failed flow go on from what completed when it is asked to, once for each wish, through crashes?"""

from typing import Any

import pytest
from msgspec.structs import replace

from flowbatch.api.names import ANEW
from flowbatch.errors import FlowbatchError
from flowbatch.workload.flow.anew import resume_patch
from tests.flowworld import SERVED, FlowWorld, a_step


def wish(world: FlowWorld, token: str, *, settle: bool = True) -> None:
    meta = world.flow.metadata
    world.flow = replace(world.flow, metadata=replace(meta, annotations={**meta.annotations, ANEW: token}))
    if settle:
        world.settle()


def failed() -> FlowWorld:
    cleanup: dict[str, Any] = {"name": "clean", "dependsOn": {"targets": ["b"], "states": ["Completed", "Failed"]}}
    world = FlowWorld(a_step("a"), a_step("b", "a"), a_step("c", "b"), cleanup)
    world.settle()
    world.end("a")
    world.fail("b")
    world.end("clean")
    assert world.states == {"a": "Completed", "b": "Failed", "c": "Skipped", "clean": "Completed"}
    assert world.flow_phase == "Failed"
    return world


def test_what_failed_runs_once_more_and_what_completed_does_not():
    world = failed()
    wish(world, "1")
    assert world.states == {"a": "Completed", "b": "Running", "c": "Waiting", "clean": "Completed"}
    assert (world.flow_phase, world.step("b").attempts) == ("Running", 2)
    assert world.made == ["f-a", "f-b", "f-clean", "f-b"]
    world.end("b")
    world.end("c")
    assert (world.flow_phase, world.step("b").state) == ("Succeed", "Completed")


def test_a_wish_is_heard_once_and_another_one_again():
    world = failed()
    wish(world, "1")
    world.fail("b")
    assert (world.flow_phase, world.step("b").attempts) == ("Failed", 2)
    wish(world, "1")
    assert world.flow_phase == "Failed"
    wish(world, "2")
    assert (world.flow_phase, world.step("b").attempts) == ("Running", 3)


def test_resuming_lifts_a_suspension_and_wishes_only_for_what_failed():
    world = failed()
    patch = resume_patch(world.flow, SERVED)
    assert patch == resume_patch(world.flow, SERVED)
    assert patch["spec"] == {"suspend": False}
    assert patch["metadata"]["annotations"].pop(ANEW).startswith("at-")
    going = FlowWorld(a_step("a")).flow
    assert ANEW not in resume_patch(going, SERVED)["metadata"]["annotations"]
    with pytest.raises(FlowbatchError, match="install flowbatch's CRDs"):
        resume_patch(world.flow, frozenset())


def test_a_wish_while_the_flow_goes_on_is_none():
    world = FlowWorld(a_step("a"), a_step("b"))
    world.settle()
    world.fail("a")
    wish(world, "1")
    assert world.states == {"a": "Failed", "b": "Running"}


def test_a_flow_that_succeeded_hears_nothing():
    world = FlowWorld(a_step("a"))
    world.settle()
    world.end("a")
    wish(world, "1")
    assert (world.flow_phase, world.made) == ("Succeed", ["f-a"])


def test_of_a_list_only_the_items_that_failed_run_once_more():
    world = FlowWorld(a_step("a", forEach={"items": [1, 2, 3]}, outputs=[{"name": "out"}]))
    world.settle()
    world.end("a-0", out="x")
    world.fail("a-1")
    world.end("a-2", out="z")
    assert world.flow_phase == "Failed"
    wish(world, "1")
    assert world.made == ["f-a-0", "f-a-1", "f-a-2", "f-a-1"]
    world.end("a-1", out="y")
    assert (world.flow_phase, world.step("a").outputs) == ("Succeed", {"out": ["x", "y", "z"]})


@pytest.mark.parametrize("crash_after", [0, 1, 2, 3])
def test_a_crash_in_the_middle_loses_and_doubles_nothing(crash_after: int):
    world = failed()
    wish(world, "1", settle=False)
    world.turn(crash_after=crash_after)
    world.settle()
    assert (world.made.count("f-b"), world.step("b").attempts, world.flow_phase) == (2, 2, "Running")


def test_values_that_kubernetes_would_expand_arrive_as_they_are():
    step = a_step("b", inputs=[{"name": "IN", "from": "a.out"}], forEach={"items": ["$(HOME)"]})
    world = FlowWorld(a_step("a", outputs=[{"name": "out"}]), step)
    world.settle()
    world.end("a", out="$$ $(OWN) $x")
    given = world.variables("b-0")
    assert given["IN"] == r'"\u0024$ \u0024(OWN) $x"'
    assert given["FLOWBATCH_ITEM"] == r'"\u0024(HOME)"'
