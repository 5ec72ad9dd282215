"""Do tasks wait for what they depend on, as far as it must have come, and can every graph that is let in start?"""

from typing import Any

import pytest

from flowbatch.api.core import ContainerStatus
from flowbatch.workload.explain import explain
from flowbatch.workload.rules import check_job
from tests.jobworld import RUNNING, TEMPLATE, JobWorld, a_job, running
from tests.jobworld import a_task as some_task


def a_task(name: str, replicas: int, **more: Any) -> dict[str, Any]:
    """A task whose pods can succeed."""
    return some_task(name, replicas, template={"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}, **more)


def after(name: str = "a", status: str = "", **more: Any) -> dict[str, Any]:
    return {"dependsOn": {"name": [name], "status": status, **more}}


def two(status: str = "", **spec: Any) -> JobWorld:
    """Task b waits for task a."""
    world = JobWorld(a_job(a_task("a", 2), a_task("b", 2, **after("a", status)), **spec))
    world.settle()
    return world


def run_unready(world: JobWorld, name: str) -> None:
    world._status(name, "Running", ContainerStatus(name="main", ready=False, state=RUNNING))


def declared(world: JobWorld) -> dict[str, tuple[int, int]]:
    return {task.name: (task.count, task.minimum) for task in world.group.spec.declared_tasks}


# How far they must have come -----------------------------------------------------------------------------------------


def test_running_is_enough_where_that_is_asked_for_and_ready_is_not_waited_for():
    world, strict = two("Running"), two("Ready")
    for each in (world, strict):
        run_unready(each, "j-a-0")
        run_unready(each, "j-a-1")
        each.settle()
    assert world.alive == ["j-a-0", "j-a-1", "j-b-0", "j-b-1"]
    assert strict.alive == ["j-a-0", "j-a-1"]


def test_success_is_waited_for_where_that_is_asked_for():
    world = two("Succeeded")
    world.run()
    world.settle()
    assert world.alive == ["j-a-0", "j-a-1"]
    world.finish("j-a-0")
    world.settle()
    assert "j-b-0" not in world.alive
    world.finish("j-a-1")
    world.settle()
    assert world.alive == ["j-a-0", "j-a-1", "j-b-0", "j-b-1"]
    world.run()
    world.finish("j-b-0", "j-b-1")
    world.settle()
    assert world.phase == "Completed"


def test_a_success_whose_pod_is_gone_still_counts():
    world = two("Succeeded")
    world.run()
    world.finish("j-a-0", "j-a-1")
    world.settle()
    world.lose("j-a-0")
    world.settle()
    assert "j-b-0" in world.alive


def test_the_success_of_a_task_that_need_not_run_is_not_to_be_had_for_nothing():
    world = JobWorld(a_job(a_task("a", 2, minAvailable=0), a_task("b", 1, **after("a", "Succeeded"))))
    world.settle()
    world.run()
    world.settle()
    assert "j-b-0" not in world.alive
    world.finish("j-a-0")
    world.settle()
    assert "j-b-0" in world.alive


def test_without_the_success_that_is_waited_for_the_job_fails():
    world = two("Succeeded")
    world.run()
    world.finish("j-a-0")
    world.finish("j-a-1", code=1)
    world.settle()
    assert (world.phase, world.job.status.state.reason) == ("Failed", "DependencyFailed")


def test_what_is_waited_for_is_said():
    world = two("Succeeded")
    world.run()
    world.settle()
    told = explain(world.job, world.group, world.queue, list(world.pods.values()))
    assert "task b waits for a to succeed" in told.details


def test_a_job_runs_when_all_runs_that_can_by_now():
    world = two("Succeeded")
    assert world.phase == "Pending"
    world.run("j-a-0")
    world.settle()
    assert world.phase == "Pending", "the first phase is a gang too"
    world.run()
    world.settle()
    assert world.phase == "Running"


def test_a_job_whose_minimum_leaves_some_out_runs_with_as_many_of_its_first_phase():
    tasks = (a_task("a", 4, minAvailable=2), a_task("b", 2, **after("a", "Succeeded")))
    world = JobWorld(a_job(*tasks, minAvailable=4))
    world.settle()
    world.run("j-a-0")
    world.settle()
    assert world.phase == "Pending"
    world.run("j-a-1")
    world.settle()
    assert world.phase == "Running"
    any_two = JobWorld(a_job(a_task("a", 4), a_task("b", 2, **after("a")), minAvailable=2))
    any_two.settle()
    any_two.run("j-a-0")
    any_two.settle()
    assert any_two.phase == "Pending"


# Room for later phases ------------------------------------------------------------------------------------------------


def test_room_for_all_phases_is_asked_for_unless_the_job_says_otherwise():
    world = two()
    assert world.group.spec.min_member == 4
    assert declared(world) == {"a": (2, 2), "b": (2, 2)}


def test_a_gang_of_one_phase_asks_only_for_those_who_may_start_and_later_for_the_rest():
    world = two("Succeeded", reservationPolicy="Phase")
    assert (world.group.spec.min_member, world.group.spec.min_task_member) == (2, {"a": 2, "b": 0})
    assert declared(world) == {"a": (2, 2), "b": (2, 0)}
    assert world.group.spec.min_resources == {"cpu": "2"}
    world.run()
    world.finish("j-a-0", "j-a-1")
    world.settle()
    assert (world.group.spec.min_member, declared(world)["b"]) == (4, (2, 2))
    assert "j-b-0" in world.alive


def test_a_chain_of_phases_grows_step_by_step_and_begins_anew_after_a_restart():
    tasks = (a_task("a", 1), a_task("b", 1, **after("a")), a_task("c", 1, **after("b")))
    world = JobWorld(a_job(*tasks, reservationPolicy="Phase"))
    sizes = []
    for _ in range(3):
        world.settle()
        sizes.append(world.group.spec.min_member)
        world.run()
    assert sizes == [1, 2, 3]
    world.order("RestartJob")
    world.settle()
    world.sweep()
    world.settle()
    assert world.group.spec.min_member == 1


def heritage(world: JobWorld) -> dict[str, dict[str, int]]:
    return {task.name: task.takes_over for task in world.group.spec.declared_tasks if task.takes_over}


def test_at_its_peak_a_job_uses_the_room_of_those_who_have_succeeded_again():
    world = two("Succeeded", reservationPolicy="Peak")
    assert heritage(world) == {"b": {"a": 2}}
    assert (world.group.spec.min_member, world.group.spec.min_resources) == (4, {"cpu": "2"})


def test_only_certain_room_is_counted_twice():
    chain = [a_task("a", 2), a_task("b", 3, **after("a", "Succeeded")), a_task("c", 1, **after("b", "Succeeded"))]
    world = JobWorld(a_job(*chain, a_task("d", 1, **after("a", "Succeeded")), reservationPolicy="Peak"))
    world.settle()
    assert heritage(world) == {"b": {"a": 2}, "c": {"b": 1}}, "what b has taken is no longer there for d"
    assert world.group.spec.min_resources == {"cpu": "4"}
    elsewhere = a_task("b", 2, **after("a", "Succeeded"))
    elsewhere["template"] = {"spec": {**elsewhere["template"]["spec"], "nodeSelector": {"zone": "x"}}}
    larger = a_task("b", 2, **after("a", "Succeeded"))
    container = {"name": "main", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "1"}}}
    larger["template"] = {"spec": {**larger["template"]["spec"], "containers": [container]}}
    either = a_task("b", 2, dependsOn={"name": ["a", "z"], "iteration": "any", "status": "Succeeded"})
    for late in (a_task("b", 2, **after("a", "Ready")), elsewhere, larger, either):
        other = JobWorld(a_job(a_task("a", 2), a_task("z", 2), late, reservationPolicy="Peak"))
        other.settle()
        assert heritage(other) == {}


# Graphs that can never start ------------------------------------------------------------------------------------------


def manifest(*tasks: dict[str, Any], **spec: Any) -> dict[str, Any]:
    meta = {"name": "j", "namespace": "ns"}
    return {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": meta,
        "spec": {"tasks": tasks, **spec},
    }


def ending(policy: str | None, name: str = "a") -> dict[str, Any]:
    container = {"name": "main", "image": "i"}
    pod = {"containers": [container]} | ({"restartPolicy": policy} if policy else {})
    return {"name": name, "replicas": 1, "template": {"spec": pod}}


@pytest.mark.parametrize(
    ("policy", "refused"), [(None, True), ("Always", True), ("Never", False), ("OnFailure", False)]
)
def test_success_of_pods_that_are_restarted_for_ever_is_not_to_be_waited_for(policy, refused):
    job = manifest(ending(policy), {**ending("Never", "b"), **after("a", "Succeeded")})
    paths = [problem.path for problem in check_job(job)]
    assert paths == (["spec.tasks[1].dependsOn.name[0]"] if refused else [])


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"reservationPolicy": "peak"}, "spec.reservationPolicy"),
        (
            {"tasks": [ending("Never"), {**ending("Never", "b"), **after("a", "Done")}]},
            "spec.tasks[1].dependsOn.status",
        ),
    ],
)
def test_words_that_are_not_known_are_refused(spec, path):
    assert path in [problem.path for problem in check_job(manifest(ending("Never"), **spec))]


def test_a_running_job_with_a_dependency_is_settled():
    world = running(a_job(a_task("a", 2), a_task("b", 2, **after("a", "Running")), reservationPolicy="Phase"))
    world.run()
    world.settle()
    assert world.changes().empty
