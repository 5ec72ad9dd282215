"""Is a job that is as it was left recognised at a glance, and none that is not?

That a yes is always true is asked of random lives in test_workload_crashes.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from flowbatch.workload.reconcile import is_settled
from tests.jobworld import JobWorld, a_job, a_task, running

POLICIES = [{"event": "PodFailed", "action": "RestartJob"}]


def settled(world: JobWorld) -> bool:
    yes = is_settled(world.job, world.children())
    changes = world.changes()
    assert not yes or (changes.empty and changes.wake_at is None)
    return yes


@pytest.mark.parametrize(
    "spec", [{}, {"policies": POLICIES}, {"plugins": {"svc": [], "ssh": []}}, {"minSuccess": 2}, {"queue": "ads"}]
)
def test_a_job_that_runs_whole_is_settled(spec: dict[str, Any]) -> None:
    assert settled(running(a_job(a_task("a", 2), a_task("b", 1), **spec)))


def test_a_job_with_phases_is_settled_when_all_of_them_run() -> None:
    world = running(a_job(a_task("a", 2), a_task("b", 1, dependsOn={"name": ["a"]})))
    assert not settled(world)
    world.run()
    world.settle()
    assert settled(world)


@pytest.mark.parametrize("end", ["Completed", "Failed", "Terminated"])
def test_a_job_that_has_ended_and_been_wound_up_is_settled(end: str) -> None:
    world = running(a_job(policies=[{"event": "PodFailed", "action": "TerminateJob"}] * (end == "Terminated")))
    world.finish("j-worker-0", code=end != "Completed")
    world.settle()
    if end != "Terminated":
        assert not settled(world)
    world.finish(*(name for name in world.alive if world.pods[name].status.phase == "Running"))
    world.settle()
    world.sweep()
    world.settle()
    assert world.phase == end
    assert settled(world)


DISTURBANCES: dict[str, Any] = {
    "a pod failed": lambda world: world.finish("j-worker-0", code=1),
    "a pod succeeded": lambda world: world.finish("j-worker-0"),
    "a pod is gone": lambda world: world.lose("j-worker-1"),
    "a pod is being deleted": lambda world: world.delete_pod("j-worker-1"),
    "a container restarted in place": lambda world: world.restart_in_place("j-worker-0", 3),
    "an order": lambda world: world.order("AbortJob"),
    "suspended": lambda world: world.edit(suspend=True),
    "grown": lambda world: world.resize("worker", 3),
    "shrunk": lambda world: world.resize("worker", 1),
    "another minimum": lambda world: world.edit(min_available=1),
    "the gang is unknown": lambda world: world.set_group("Unknown"),
    "the group is gone": lambda world: setattr(world, "group", None),
    "a deadline": lambda world: world.edit(active_deadline_seconds=10),
}


@pytest.mark.parametrize("what", DISTURBANCES)
def test_a_job_to_which_something_has_happened_is_looked_at(what: str) -> None:
    world = running(a_job())
    assert settled(world)
    DISTURBANCES[what](world)
    assert not settled(world)


def test_a_job_whose_queue_is_suspended_is_looked_at() -> None:
    world = running(a_job())
    assert not is_settled(world.job, replace(world.children(), suspended_queue="root"))
