"""Are attempts counted before they are made, waited for as the step says, and never one too many?"""

import pytest
from msgspec.structs import replace

from tests.flowworld import START, FlowWorld, a_step


def retrying(limit=2, backoff=10, longest=None, **more):
    retry = {"limit": limit, "backoffSeconds": backoff}
    if longest is not None:
        retry["maxBackoffSeconds"] = longest
    world = FlowWorld(a_step("a", retry=retry, **more), a_step("b", "a"))
    world.settle()
    return world


def test_a_failed_job_is_deleted_and_made_anew_after_the_back_off():
    world = retrying()
    world.fail("a")
    step = world.step("a")
    assert (step.state, step.reason, step.attempts) == ("Running", "Retrying", 1)
    assert step.message == "attempt 1 of 3: job f-a failed"
    assert world.wake_at == step.retry_time
    assert (step.retry_time - START).total_seconds() == 10
    world.wait(9)
    assert world.made == ["f-a"]
    world.wait(1)
    assert world.made == ["f-a", "f-a"]
    assert world.jobs["f-a"].metadata.annotations["flowbatch.dev/flow-attempt"] == "2"
    world.end("a")
    assert (world.step("a").state, world.step("a").attempts, world.step("a").retry_time) == ("Completed", 2, None)
    assert world.made == ["f-a", "f-a", "f-b"]


def test_back_off_doubles_to_its_bound():
    world = retrying(limit=5, backoff=10, longest=35)
    waits = []
    for _ in range(5):
        world.fail("a")
        waits.append((world.step("a").retry_time - world.now).total_seconds())
        world.wait(waits[-1])
    assert waits == [10, 20, 35, 35, 35]
    world.fail("a")
    assert (world.step("a").state, world.step("a").attempts, world.flow_phase) == ("Failed", 6, "Failed")
    assert len(world.made) == 6


def test_without_back_off_the_next_attempt_is_made_at_once():
    world = retrying(backoff=0)
    world.fail("a")
    assert world.made == ["f-a", "f-a"]


def test_a_job_that_was_terminated_on_purpose_is_not_tried_again():
    world = retrying()
    world.end("a", phase="Terminated")
    assert (world.step("a").state, world.step("a").reason) == ("Failed", "JobTerminated")


def test_the_last_failed_job_stays_for_its_logs():
    world = retrying(limit=1, backoff=0)
    world.fail("a")
    world.fail("a")
    assert list(world.jobs) == ["f-a"]
    assert world.jobs["f-a"].status.state.phase == "Failed"


@pytest.mark.parametrize("crash_after", range(5))
def test_a_crash_at_any_write_of_a_retry_costs_no_attempt_and_makes_none_too_many(crash_after):
    world = retrying(limit=1)
    world.fail("a")
    world.now = world.step("a").retry_time
    world.turn(crash_after)
    world.settle()
    assert world.made == ["f-a", "f-a"]
    assert world.step("a").attempts == 2
    world.fail("a")
    assert world.flow_phase == "Failed"
    assert len(world.made) == 2


def test_the_attempt_is_on_the_server_before_the_job_before_it_goes():
    world = retrying()
    world.fail("a")
    world.now = world.step("a").retry_time
    changes = world.changes()
    assert changes.status_first
    assert changes.status.steps[0].attempts == 2
    assert [each.name for each in changes.deletes] == ["f-a"]
    assert all(each.foreground for each in changes.deletes), "its pods must be gone before their names are used again"
    assert changes.creates == ()


def test_a_flow_that_is_suspended_tries_again_when_it_is_resumed():
    world = retrying()
    suspended = world.flow.spec
    world.fail("a")
    world.flow = replace(world.flow, spec=replace(suspended, suspend=True))
    world.wait(60)
    assert world.made == ["f-a"]
    world.flow = replace(world.flow, spec=suspended)
    world.settle()
    assert world.made == ["f-a", "f-a"]


def test_a_job_that_ended_and_went_before_anybody_looked_has_ended_all_the_same():
    world = FlowWorld(a_step("a"), a_step("b", "a", retry={"limit": 1, "backoffSeconds": 0}))
    world.settle()
    world.phase("a", "Completed")
    world.vanish("a")
    world.settle()
    assert world.made == ["f-a", "f-b"]
    world.phase("b", "Failed")
    world.vanish("b")
    world.settle()
    assert (world.made, world.step("b").attempts) == (["f-a", "f-b", "f-b"], 2), "the next attempt, and only that"
    world.phase("b", "Failed")
    world.vanish("b")
    world.settle()
    assert (len(world.made), world.flow_phase) == (3, "Failed")


# Loops ----------------------------------------------------------------------------------------------------------------


def looping(items=("x", 2, None), **more):
    limit = {"maxParallel": more.pop("most")} if "most" in more else {}
    step = a_step("l", forEach={"items": list(items), **limit}, outputs=[{"name": "v"}], **more)
    world = FlowWorld(step, a_step("after", inputs=[{"name": "ALL", "from": "l.v"}]))
    world.settle()
    return world


def test_one_job_for_each_item_which_it_is_told():
    world = looping()
    assert world.made == ["f-l-0", "f-l-1", "f-l-2"]
    assert [world.variables(f"l-{at}")["FLOWBATCH_ITEM"] for at in range(3)] == ['"x"', "2", "null"]
    assert world.variables("l-1")["FLOWBATCH_ITEM_INDEX"] == "1"
    items = world.step("l").items
    assert (items.total, items.running, items.completed, items.failed) == (3, 3, 0, 0)


def test_values_come_together_in_the_order_of_the_items_and_outlive_their_jobs():
    world = looping()
    world.end("l-2", v="c")
    world.end("l-0", v="a")
    assert world.step("l").outputs == {"v": ["a", None, "c"]}
    assert world.step("l").items.completed_indexes == "0,2"
    del world.jobs["f-l-0"]
    world.settle()
    world.end("l-1", v="b")
    assert world.step("l").state == "Completed"
    assert world.made == ["f-l-0", "f-l-1", "f-l-2", "f-after"]
    assert world.variables("after")["ALL"] == '["a","b","c"]'


def test_a_list_that_grows_while_it_is_run_over_keeps_what_was_given():
    world = looping(range(2))
    world.end("l-1", v="b")
    step = world.flow.spec.flows[0]
    longer = replace(step, for_each=replace(step.for_each, items=(0, 1, 2)))
    world.flow = replace(world.flow, spec=replace(world.flow.spec, flows=(longer, *world.flow.spec.flows[1:])))
    world.settle()
    assert world.made == ["f-l-0", "f-l-1", "f-l-2"]
    assert world.step("l").outputs == {"v": [None, "b", None]}


def test_no_more_than_so_many_run_at_once():
    world = looping(range(5), most=2)
    assert world.made == ["f-l-0", "f-l-1"]
    world.end("l-1", v=1)
    assert world.made == ["f-l-0", "f-l-1", "f-l-2"]
    for at in (0, 2, 3, 4):
        world.end(f"l-{at}", v=at)
        assert world.step("l").items.running <= 2
    assert (world.step("l").state, len(world.made)) == ("Completed", 6)


def test_an_empty_list_is_done_at_once_and_gives_empty_lists():
    world = looping([])
    assert (world.step("l").state, world.step("l").outputs) == ("Completed", {"v": []})
    assert world.variables("after")["ALL"] == "[]"


def test_one_item_that_fails_fails_the_step_when_all_have_run():
    world = looping(range(3), most=1)
    world.end("l-0", v=0)
    world.fail("l-1")
    assert world.step("l").state == "Running"
    world.end("l-2", v=2)
    step = world.step("l")
    assert (step.state, step.reason, step.message) == ("Failed", "ItemsFailed", "1 of 3 items failed: 1")
    assert (step.items.completed_indexes, step.items.failed_indexes) == ("0,2", "1")
    assert world.states["after"] == "Skipped"


def test_items_are_tried_again_each_by_itself():
    world = looping(range(2), retry={"limit": 1, "backoffSeconds": 5})
    world.fail("l-1")
    world.wait(5)
    assert world.made == ["f-l-0", "f-l-1", "f-l-1"]
    assert world.step("l").items.attempts == {"1": 2}
    world.end("l-0", v=0)
    world.end("l-1", v=1)
    assert (world.step("l").state, world.step("l").attempts) == ("Completed", 2)


@pytest.mark.parametrize(
    ("value", "said"),
    [("text", "is no list"), (list(range(1001)), "has 1001 items: at most 1000")],
)
def test_a_value_that_is_no_list_to_run_over_fails_the_step(value, said):
    world = FlowWorld(a_step("give", outputs=[{"name": "n"}]), a_step("l", forEach={"from": "give.n"}))
    world.settle()
    world.end("give", n=value)
    assert world.step("l").reason == "BadItems"
    assert said in world.step("l").message


def test_outputs_that_fit_into_no_object_or_variable_fail_their_step_and_say_so():
    big = "x" * 4000
    steps = [a_step("l", forEach={"items": list(range(200))}, outputs=[{"name": "v"}])]
    world = FlowWorld(*steps, a_step("take", inputs=[{"name": "V", "from": "l.v"}]))
    world.settle()
    for at in range(199):
        world.phase(f"l-{at}", "Completed", v=big if at < 30 else 1)
    world.end("l-199", v=1)
    assert (world.step("take").state, world.step("take").reason) == ("Failed", "InputTooLarge")
    world = FlowWorld(*steps)
    world.settle()
    for at in range(199):
        world.phase(f"l-{at}", "Completed", v=big)
    world.end("l-199", v=big)
    assert (world.step("l").state, world.step("l").reason) == ("Failed", "OutputTooLarge")
    assert world.step("l").outputs == {}
