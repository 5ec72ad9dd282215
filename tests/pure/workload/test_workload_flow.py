"""Does each step begin when what it depends on has ended as it says, once, and does the flow end as its steps did?"""

import pytest
from msgspec.structs import replace

from flowbatch.api.names import CREATED_BY_FLOW, CREATED_BY_TEMPLATE
from tests.flowworld import SPEC, FlowWorld, a_step

DIAMOND = (a_step("a"), a_step("b", "a"), a_step("c", "a"), a_step("d", "b", "c"))


def settled(*steps, **spec):
    world = FlowWorld(*steps, **spec)
    world.settle()
    return world


def test_a_step_begins_when_all_of_its_targets_are_completed():
    world = settled(*DIAMOND)
    assert world.made == ["f-a"]
    world.end("a")
    assert world.made == ["f-a", "f-b", "f-c"]
    world.end("b")
    assert len(world.made) == 3
    world.end("c")
    assert world.made == ["f-a", "f-b", "f-c", "f-d"]
    world.end("d")
    assert world.flow_phase == "Succeed"


def test_a_job_is_made_as_volcano_makes_it():
    job = settled(a_step("a")).jobs["f-a"]
    assert job.metadata.labels[CREATED_BY_TEMPLATE] == job.metadata.annotations[CREATED_BY_TEMPLATE] == "ns.a"
    assert job.metadata.labels[CREATED_BY_FLOW] == "ns.f"
    owner = job.metadata.controller
    assert owner is not None
    assert (owner.kind, owner.name, owner.uid) == ("JobFlow", "f", "flow-1")
    assert job.spec.tasks[0].name == "main"


@pytest.mark.parametrize("phase", ["Pending", "Running", "Restarting", "Aborted", "Completing", "Terminating"])
def test_only_a_completed_target_opens_a_step(phase):
    world = settled(a_step("a"), a_step("b", "a"))
    world.end("a", phase=phase)
    assert (world.made, world.flow_phase) == (["f-a"], "Running")


@pytest.mark.parametrize("phase", ["Failed", "Terminated"])
def test_a_flow_fails_when_a_job_has_and_nothing_can_run_any_more(phase):
    world = settled(a_step("a"), a_step("b"), a_step("c", "a"))
    world.end("a", phase=phase)
    assert world.states == {"a": "Failed", "b": "Running", "c": "Skipped"}
    assert world.flow_phase == "Running"
    world.end("b")
    assert world.flow_phase == "Failed"
    assert world.flow.status.state.message == f"step a: job f-a {phase.lower()}"
    assert "StepFailed" in world.notes


def test_a_flow_without_steps_has_succeeded():
    assert settled().flow_phase == "Succeed"


def test_volcanos_lists_tell_of_every_job():
    world = settled(*DIAMOND)
    assert world.flow.status.pending_jobs == ("f-a",)
    world.end("a", phase="Running")
    assert world.flow.status.running_jobs == ("f-a",)
    world.end("a")
    world.end("b", phase="Failed")
    world.end("c", phase="Aborted")
    status = world.flow.status
    assert (status.completed_jobs, status.failed_jobs, status.un_know_jobs) == (("f-a",), ("f-b",), ("f-c",))
    assert {name: each.phase for name, each in status.conditions.items()} == {
        "f-a": "Completed",
        "f-b": "Failed",
        "f-c": "Aborted",
    }
    first = status.job_status_list[0]
    assert (first.name, first.state) == ("f-a", "Completed")
    assert [each.state for each in first.running_histories] == ["Running", "Completed"]
    assert first.running_histories[0].end_timestamp == first.running_histories[1].start_timestamp


def test_counts_of_pods_alone_are_not_worth_a_write():
    world = settled(a_step("a"))
    world.end("a", phase="Running")
    before = world.writes
    job = world.jobs["f-a"]
    world.jobs["f-a"] = replace(job, status=replace(job.status, running=1, running_duration="3s"))
    world.settle()
    assert world.writes == before


def test_a_step_that_has_completed_is_not_run_again_when_its_job_is_gone():
    world = settled(a_step("a"), a_step("b", "a"))
    world.end("a")
    del world.jobs["f-a"]
    world.settle()
    world.end("b")
    assert (world.made, world.flow_phase) == (["f-a", "f-b"], "Succeed")
    assert world.flow.status.completed_jobs == ("f-a", "f-b")


def test_a_job_that_was_deleted_while_it_ran_is_made_again():
    world = settled(a_step("a"))
    world.end("a", phase="Running")
    del world.jobs["f-a"]
    world.settle()
    assert world.made == ["f-a", "f-a"]


@pytest.mark.parametrize(("policy", "left"), [("retain", ["f-a"]), ("", ["f-a"]), ("delete", [])])
def test_jobs_of_a_flow_that_succeeded_stay_or_go_as_it_says(policy, left):
    world = settled(a_step("a"), jobRetainPolicy=policy)
    world.end("a")
    assert (list(world.jobs), world.flow_phase, world.flow.status.completed_jobs) == (left, "Succeed", ("f-a",))


def test_jobs_of_a_flow_that_failed_stay_for_their_logs():
    world = settled(a_step("a"), jobRetainPolicy="delete")
    world.fail("a")
    assert list(world.jobs) == ["f-a"]


def test_a_missing_template_is_said_and_heals_when_it_comes():
    world = settled(a_step("a"), a_step("b"), templates={"a": SPEC})
    assert world.states == {"a": "Running", "b": "Waiting"}
    state = world.flow.status.state
    assert (state.reason, state.message) == ("TemplateMissing", 'step b: JobTemplate "b" does not exist')
    assert world.notes == [], "it may be on its way"
    assert world.wake_at is not None
    world.wait(5)
    assert "TemplateMissing" in world.notes
    world.templates["b"] = world.templates["a"]
    world.settle()
    assert (world.made, world.flow.status.state.reason) == (["f-a", "f-b"], "")


def test_two_steps_may_share_a_template():
    world = settled(a_step("a", jobTemplate="t"), a_step("b", jobTemplate="t"))
    assert world.made == ["f-a", "f-b"]
    assert {job.metadata.annotations[CREATED_BY_TEMPLATE] for job in world.jobs.values()} == {"ns.t"}


def test_a_patch_changes_the_job_and_leaves_the_template():
    patch = {
        "jobSpec": {
            "queue": "fast",
            "plugins": {"env": []},
            "tasks": [
                {
                    "name": "main",
                    "replicas": 3,
                    "template": {"spec": {"containers": [{"name": "main", "image": "new"}]}},
                }
            ],
        }
    }
    world = settled(a_step("a", patch=patch), a_step("b", jobTemplate="a"))
    patched, plain = world.jobs["f-a"].spec, world.jobs["f-b"].spec
    assert (patched.queue, patched.plugins, patched.tasks[0].replicas) == ("fast", {"env": ()}, 3)
    container = patched.tasks[0].template["spec"]["containers"][0]
    assert (container["image"], container["env"]) == ("new", [{"name": "OWN", "value": "1"}])
    assert (plain.queue, plain.tasks[0].replicas) == ("", 1)
    assert plain.tasks[0].template["spec"]["containers"][0]["image"] == "busybox"


# Clean-up, conditions, suspension -------------------------------------------------------------------------------------


def depends(*targets, states):
    return {"dependsOn": {"targets": list(targets), "states": list(states)}}


def test_a_clean_up_step_runs_however_the_others_ended():
    always = depends("a", "b", states=["Completed", "Failed", "Skipped"])
    world = settled(a_step("a"), a_step("b", "a"), a_step("clean", **always))
    world.fail("a")
    assert world.states == {"a": "Failed", "b": "Skipped", "clean": "Running"}
    world.end("clean")
    assert world.flow_phase == "Failed"


def test_a_step_for_failures_only_is_skipped_when_there_are_none():
    world = settled(a_step("a"), a_step("mend", **depends("a", states=["Failed"])))
    world.end("a")
    assert (world.states["mend"], world.step("mend").reason) == ("Skipped", "DependencyCompleted")
    assert world.flow_phase == "Succeed"


GIVE = a_step("give", outputs=[{"name": "n"}])


@pytest.mark.parametrize(
    ("operator", "values", "value", "runs"),
    [
        ("In", ["yes", "maybe"], "yes", True),
        ("In", ["yes"], "no", False),
        ("In", ["3"], 3, True),
        ("In", ["true"], True, True),
        ("In", ['{"a":[1,null]}'], {"a": [1, None]}, True),
        ("NotIn", ["yes"], "no", True),
        ("NotIn", ["yes"], "yes", False),
        ("Exists", [], None, True),
        ("DoesNotExist", [], 1, False),
        ("Gt", ["0.9"], 0.95, True),
        ("Gt", ["0.9"], 0.9, False),
        ("Gt", ["1"], "2", True),
        ("Gt", ["1"], True, False),
        ("Gt", ["1"], [2], False),
        ("Lt", ["-1"], -1.5, True),
        ("Lt", ["1"], "much", False),
    ],
)
def test_a_step_runs_when_its_condition_holds(operator, values, value, runs):
    world = settled(GIVE, a_step("b", when=[{"from": "give.n", "operator": operator, "values": values}]))
    assert world.made == ["f-give"], "a condition is an edge"
    world.end("give", n=value)
    assert world.states["b"] == ("Running" if runs else "Skipped")
    if not runs:
        assert world.step("b").reason == "ConditionNotMet"
        assert world.flow_phase == "Succeed"


def test_all_conditions_must_hold():
    when = [
        {"from": "give.n", "operator": "Gt", "values": ["1"]},
        {"from": "give.n", "operator": "Lt", "values": ["3"]},
    ]
    for value, state in ((2, "Running"), (3, "Skipped"), (1, "Skipped")):
        world = settled(GIVE, a_step("b", when=when))
        world.end("give", n=value)
        assert world.states["b"] == state


def test_what_a_skipped_step_would_have_given_is_absent():
    never = [{"from": "give.n", "operator": "DoesNotExist"}]
    maybe = a_step("maybe", when=never, outputs=[{"name": "m"}])
    any_end = {"dependsOn": {"targets": ["maybe"], "states": ["Completed", "Skipped"]}}
    absent = a_step("absent", when=[{"from": "maybe.m", "operator": "DoesNotExist"}], **any_end)
    reads = a_step("reads", inputs=[{"name": "M", "from": "maybe.m"}], **any_end)
    world = settled(GIVE, maybe, absent, reads)
    world.end("give", n=1)
    assert world.states == {"give": "Completed", "maybe": "Skipped", "absent": "Running", "reads": "Running"}
    assert "M" not in world.variables("reads")


def test_suspended_no_step_begins_and_jobs_that_run_are_suspended_until_it_is_resumed():
    world = settled(a_step("a"), a_step("b"), a_step("c", "a"))
    world.end("b", phase="Running")
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=True))
    world.settle()
    assert all(job.spec.suspend for job in world.jobs.values())
    world.end("a")
    assert world.made == ["f-a", "f-b"]
    assert world.flow_phase == "Running"
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=False))
    world.settle()
    assert world.made == ["f-a", "f-b", "f-c"]
    assert not world.jobs["f-b"].spec.suspend
    assert not any(name.startswith("flowbatch.dev/suspended") for name in world.jobs["f-b"].metadata.annotations)


def test_a_job_that_somebody_suspended_himself_stays_so_when_its_flow_is_resumed():
    world = settled(a_step("a"))
    job = world.jobs["f-a"]
    world.jobs["f-a"] = replace(job, spec=replace(job.spec, suspend=True))
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=True))
    world.settle()
    world.flow = replace(world.flow, spec=replace(world.flow.spec, suspend=False))
    world.settle()
    assert world.jobs["f-a"].spec.suspend


def test_suspended_by_annotation_where_the_field_is_not_served():
    world = FlowWorld(a_step("a"))
    meta = replace(world.flow.metadata, annotations={"flowbatch.dev/suspended": "true"})
    world.flow = replace(world.flow, metadata=meta)
    world.settle()
    assert world.made == []


def test_a_step_that_is_added_to_a_flow_that_has_succeeded_is_run():
    world = settled(a_step("a"))
    world.end("a")
    steps = (*world.flow.spec.flows, replace(world.flow.spec.flows[0], name="late", job_template="a"))
    world.flow = replace(world.flow, spec=replace(world.flow.spec, flows=steps))
    world.settle()
    assert (world.made, world.flow_phase) == (["f-a", "f-late"], "Running")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((a_step("a", "b"), a_step("b", "a")), "2 steps wait for each other in a circle"),
        ((a_step("a", "a"),), "1 steps wait for each other in a circle"),
        ((a_step("a", "ghost"),), "step a waits for ghost, which is no step"),
        ((a_step("a"), a_step("a")), "two steps have the same name"),
    ],
)
def test_a_bad_graph_that_no_rule_stopped_is_said_and_nothing_is_made(steps, said):
    world = settled(*steps)
    assert (world.made, world.flow.status.state.reason) == ([], "BadGraph")
    assert world.flow.status.state.message == said


def test_where_the_schema_is_volcanos_and_keeps_no_steps_its_own_lists_say_what_has_ended():
    world = settled(a_step("a"), a_step("b", "a"))
    world.end("a")
    world.flow = replace(world.flow, status=replace(world.flow.status, steps=()))
    del world.jobs["f-a"]
    world.settle()
    assert world.made == ["f-a", "f-b"]
