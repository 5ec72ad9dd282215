"""Killed between any two writes and started again, does a job end where it would have ended, at the same price?"""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowbatch.workload.reconcile import is_settled
from tests.jobworld import TEMPLATE, JobWorld, a_job, a_task, running

RESTART = [{"event": "PodFailed", "action": "RestartJob"}, {"event": "PodEvicted", "action": "RestartPod"}]


def ending(name: str, replicas: int, **more: Any) -> dict[str, Any]:
    """A task whose pods can succeed."""
    return a_task(name, replicas, **more) | {"template": {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}}


def scenario_jobs() -> dict[str, Any]:
    done = {"name": ["a"], "status": "Succeeded"}
    pair = (a_task("a", 2), a_task("b", 2, dependsOn={"name": ["a"]}))
    return {
        "plain": a_job(*pair, plugins={"svc": [], "ssh": []}, maxRetry=4),
        "restarts": a_job(*pair, policies=RESTART, maxRetry=4),
        "task": a_job(*pair, policies=[{"event": "*", "action": "RestartTask"}], maxRetry=4),
        "aborts": a_job(*pair, policies=[{"event": "PodFailed", "action": "AbortJob"}]),
        "completes": a_job(
            a_task("a", 2, policies=[{"event": "TaskCompleted", "action": "CompleteJob"}]), a_task("b", 2)
        ),
        "again": a_job(*pair, policies=RESTART, maxRetry=4, retry={"backoffSeconds": 60, "avoidFailedNodes": True}),
        "phases": a_job(ending("a", 2), ending("b", 2, dependsOn=done), reservationPolicy="Phase", policies=RESTART),
        "peak": a_job(ending("a", 2), ending("b", 2, dependsOn=done), reservationPolicy="Peak"),
        "deadline": a_job(*pair, activeDeadlineSeconds=100, policies=RESTART),
        "timed": a_job(*pair, policies=[{"event": "PodFailed", "action": "RestartJob", "timeout": "30s"}]),
    }


#: What happens to a world: a verb, and which pod it picks.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["run", "succeed", "fail", "delete", "lose", "sweep", "suspend", "resume", "wait", "grow", "restart"]
        ),
        st.integers(0, 3),
    ),
    max_size=14,
)


def play(world: JobWorld, verb: str, which: int) -> None:
    """One event, the same for worlds that look the same."""
    names = sorted(world.pods)
    name = names[which % len(names)] if names else ""
    phase = world.pods[name].status.phase if names else ""
    match verb:
        case "run":
            world.run()
        case "succeed" if phase == "Running":
            world.finish(name)
        case "fail" if phase == "Running":
            world.finish(name, code=1)
        case "delete" if names:
            world.delete_pod(name)
        case "lose" if names:
            world.lose(name)
        case "sweep":
            world.sweep()
        case "suspend":
            world.order("AbortJob")
        case "resume":
            world.order("ResumeJob")
        case "restart":
            world.order("RestartJob")
        case "wait":
            world.pass_time(40)
        case "grow":
            world.resize("a", 3)


def verdict(world: JobWorld) -> dict[str, Any]:
    """What must not depend on crashes."""
    status = world.job.status
    return {
        "phase": world.phase,
        "retries": world.retries,
        "pods": {name: pod.status.phase for name, pod in world.pods.items()},
        "made": sorted(world.pods_made),
        "objects": sorted(world.objects),
        "group": world.group is not None,
        "counts": (status.succeeded, status.failed, status.running, status.pending),
        "commands": sorted(world.commands),
        "history": world.history,
        "version": status.version,
    }


@pytest.mark.parametrize("kind", scenario_jobs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS, crashes=st.lists(st.integers(0, 6), min_size=1, max_size=12), instant=st.booleans())
def test_a_controller_killed_between_any_two_writes_converges_to_the_same_end(kind, steps, crashes, instant):
    calm, struck = JobWorld(scenario_jobs()[kind]), JobWorld(scenario_jobs()[kind])
    calm.instant = struck.instant = instant
    left = list(crashes)
    for verb, which in [("run", 0), *steps, ("sweep", 0), ("run", 0)]:
        for world in (calm, struck):
            play(world, verb, which)
        while left and not struck.changes().empty:
            struck.turn(crash_after=left.pop())
        calm.settle()
        struck.settle()
        assert verdict(struck) == verdict(calm)


@pytest.mark.parametrize("kind", scenario_jobs())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_whatever_happens_the_invariants_of_a_job_hold(kind, steps):
    world = JobWorld(scenario_jobs()[kind])
    world.settle()
    ended: str = ""
    for verb, which in steps:
        play(world, verb, which)
        if is_settled(world.job, world.children()):
            changes = world.changes()
            assert (changes.empty, changes.wake_at) == (True, None), "what is settled at a glance is settled"
        world.settle()
        assert world.changes().empty, "settled means no writes"
        assert not is_settled(world.job, world.children()) or world.changes().wake_at is None
        assert world.retries <= (world.job.spec.max_retry or 3), "J2: no more attempts than were paid for"
        suspended = world.job.metadata.annotations.get("flowbatch.dev/suspended") == "true"
        if suspended and world.phase in ("Aborting", "Aborted"):
            running_pods = [
                name for name in world.alive if world.pods[name].status.phase not in ("Succeeded", "Failed")
            ]
            assert running_pods == [], "J3: a suspended job owns no running pod"
        if ended:
            assert world.phase == ended, "J4: an end is an end"
        if world.phase in ("Completed", "Failed", "Terminated"):
            ended = world.phase


def test_every_single_crash_point_of_a_whole_life_leads_to_the_same_end():
    def life(crash_at: int | None) -> dict[str, Any]:
        world = JobWorld(a_job(a_task("a", 2), a_task("b", 1), plugins={"svc": []}, policies=RESTART, maxRetry=3))
        world.settle = lambda **_: settle(world, crash_at)  # type: ignore[method-assign]
        for step in ("run", "fail", "sweep", "run", "delete", "sweep", "run", "finish"):
            world.settle()
            names = sorted(world.pods)
            match step:
                case "run":
                    world.run()
                case "fail":
                    world.finish(names[0], code=1)
                case "delete":
                    world.delete_pod(names[1])
                case "sweep":
                    world.sweep()
                case "finish":
                    world.finish(*names)
        world.settle()
        return {**verdict(world), "writes": None}

    def settle(world: JobWorld, crash_at: int | None) -> None:
        if crash_at is not None and world.writes <= crash_at:
            changes = world.changes()
            if world.writes + len(world.writes_of(changes)) > crash_at:
                world.turn(crash_after=crash_at - world.writes)
        JobWorld.settle(world)

    expected = life(None)
    assert expected["phase"] == "Completed"
    for crash_at in range(60):
        assert life(crash_at) == expected, f"crash after write {crash_at}"


def test_a_settled_running_job_is_left_alone_for_ever():
    world = running(a_job(plugins={"svc": [], "env": []}, policies=RESTART))
    before = world.writes
    for _ in range(5):
        world.pass_time(1000)
        assert world.turn().empty
    assert world.writes == before
