"""Does every lifecycle policy of Volcano's error handling suite do what it says, over real HTTP?

Volcano: test/e2e/jobseq/job_error_handling.go; which of its cases is which test here is in docs/parity-jobs.md.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flowbatch.api.kinds import JOB, POD, POD_GROUP
from tests.embedded.controllers.stage import World, task

Blow = Callable[[World], Awaitable[None]]


async def pod_fails(world: World, code: int = 1) -> None:
    pod = next(pod for pod in await world.pods("j") if pod.metadata.name == "j-main-0")
    await world.stage.pod_phase(pod, "Failed", code)


async def pod_exits_with_3(world: World) -> None:
    await pod_fails(world, 3)


async def pod_is_deleted(world: World) -> None:
    await world.client.delete(POD, "j-main-0", "default")


async def task_completes(world: World) -> None:
    await world.end("j", task="main")


async def containers_restart(world: World) -> None:
    """In place, as often as the task's maxRetry says."""
    pod = next(pod for pod in await world.pods("j") if pod.metadata.name == "j-main-0")
    container = {
        "name": "main",
        "ready": True,
        "restartCount": 3,
        "image": "x",
        "imageID": "",
        "state": {"running": {}},
    }
    body = {"status": {"phase": "Running", "containerStatuses": [container]}}
    await world.client.patch(POD, pod.metadata.name, body, "default", subresource="status")


async def gang_cannot_be_scheduled(world: World) -> None:
    (group,) = await world.client.list(POD_GROUP, "default")
    await world.stage.group_phase(group, "Unknown")


def on(event: Any, action: str, **more: Any) -> dict[str, Any]:
    key = "events" if isinstance(event, list) else "exitCode" if isinstance(event, int) else "event"
    return {key: event, "action": action, **more}


#: name -> (policies of the job, policies of task main, what happens, what the job comes to)
CASES: dict[str, tuple[list[Any], list[Any], Blow, str]] = {
    "pod_failed_restarts_the_job": ([on("PodFailed", "RestartJob")], [], pod_fails, "Restarting"),
    "pod_failed_terminates_the_job": ([on("PodFailed", "TerminateJob")], [], pod_fails, "Terminated"),
    "pod_failed_aborts_the_job": ([on("PodFailed", "AbortJob")], [], pod_fails, "Aborted"),
    "pod_evicted_restarts_the_job": ([on("PodEvicted", "RestartJob")], [], pod_is_deleted, "Restarting"),
    "pod_evicted_terminates_the_job": ([on("PodEvicted", "TerminateJob")], [], pod_is_deleted, "Terminated"),
    "pod_evicted_aborts_the_job": ([on("PodEvicted", "AbortJob")], [], pod_is_deleted, "Aborted"),
    "any_event_restarts_the_job": ([on("*", "RestartJob")], [], pod_is_deleted, "Restarting"),
    "unschedulable_restarts_the_job": ([on("Unknown", "RestartJob")], [], gang_cannot_be_scheduled, "Restarting"),
    "unschedulable_aborts_the_job": ([on("Unknown", "AbortJob")], [], gang_cannot_be_scheduled, "Aborted"),
    "task_completed_completes_the_job": ([on("TaskCompleted", "CompleteJob")], [], task_completes, "Completed"),
    "task_failed_terminates_the_job": ([on("TaskFailed", "TerminateJob")], [], containers_restart, "Terminated"),
    "exit_code_restarts_the_job": ([on(3, "RestartJob")], [], pod_exits_with_3, "Restarting"),
    "one_of_several_events_terminates_the_job": (
        [on(["PodEvicted", "PodFailed"], "TerminateJob")],
        [],
        pod_fails,
        "Terminated",
    ),
    "task_pod_failed_restarts_the_job": ([], [on("PodFailed", "RestartJob")], pod_fails, "Restarting"),
    "task_pod_evicted_restarts_the_job": ([], [on("PodEvicted", "RestartJob")], pod_is_deleted, "Restarting"),
    "task_pod_evicted_terminates_the_job": ([], [on("PodEvicted", "TerminateJob")], pod_is_deleted, "Terminated"),
    "task_completed_in_a_task_completes_the_job": (
        [],
        [on("TaskCompleted", "CompleteJob")],
        task_completes,
        "Completed",
    ),
    "the_tasks_policy_wins": ([on("PodFailed", "AbortJob")], [on("PodFailed", "RestartJob")], pod_fails, "Restarting"),
}


async def started(world: World, of_job: list[Any], of_task: list[Any], **spec: Any) -> dict[str, str]:
    """A job whose three pods run; their uids."""
    await world.start()
    tasks = (task("main", 2, policies=of_task, maxRetry=3), task("side", 1))
    await world.submit("j", *tasks, policies=of_job, **spec)
    await world.until_phase("j", "Running")
    await world.until_pods("j", dict.fromkeys(("j-main-0", "j-main-1", "j-side-0"), "Running"))
    await world.settled()
    return await uids(world)


async def uids(world: World) -> dict[str, str]:
    return {pod.metadata.name: pod.metadata.uid for pod in await world.pods("j")}


async def history(world: World) -> list[str]:
    return [each.status for each in (await world.client.get(JOB, "j", "default")).status.conditions]


@pytest.mark.parametrize("name", CASES)
async def test_a_policy_answers_its_event(world: World, name: str) -> None:
    of_job, of_task, blow, phase = CASES[name]
    before = await started(world, of_job, of_task)
    await blow(world)
    if phase != "Restarting":
        await world.until_phase("j", phase)
        await world.settled()
        running = [name for name, each in (await world.pod_phases("j")).items() if each == "Running"]
        assert running == []
        return

    async def all_new() -> bool:
        now = await uids(world)
        return len(now) == 3 and not set(now.values()) & set(before.values())

    await world.until(all_new, "three new pods", 30)
    await world.until_phase("j", "Running")
    assert "Restarting" in await history(world)


async def test_one_pod_is_restarted_and_a_timer_for_evictions_is_not_started_by_that(world: World) -> None:
    policies = [on("PodFailed", "RestartPod"), on("PodEvicted", "TerminateJob", timeout="5m")]
    before = await started(world, policies, [])
    await pod_fails(world)

    async def renewed() -> bool:
        now = await uids(world)
        return {name for name in now if now[name] != before[name]} == {"j-main-0"}

    await world.until(renewed, "the failed pod to be made anew", 30)
    await world.until_phase("j", "Running")
    job = await world.client.get(JOB, "j", "default")
    assert "timers" not in job.status.controlled_resources["flowbatch.dev/ledger"]
    assert job.status.retry_count == 1


async def test_a_timer_runs_on_in_a_new_controller_and_acts_once(world: World) -> None:
    await started(world, [on("PodFailed", "TerminateJob", timeout="2s")], [])
    await pod_fails(world)

    async def timed() -> bool:
        return "timers" in (await world.client.get(JOB, "j", "default")).status.controlled_resources.get(
            "flowbatch.dev/ledger", ""
        )

    await world.until(timed, "the timer to be written")
    assert await world.phase("j") != "Terminated"
    await world.kill()
    await world.start()
    await world.until_phase("j", "Terminated")
    assert (await history(world)).count("Terminating") == 1


async def test_restarted_pods_wait_keep_off_the_bad_node_and_have_more_memory(world: World) -> None:
    retry = {"backoffSeconds": 4, "avoidFailedNodes": True, "memoryIncreasePercent": 100, "memoryLimit": "1Gi"}
    await world.start()
    small = task("main", 1)
    small["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "128Mi"
    await world.submit("j", small, policies=[on("PodFailed", "RestartJob")], retry=retry)
    await world.until_pods("j", {"j-main-0": "Running"})
    (pod,) = await world.pods("j")
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    container = {"name": "main", "ready": False, "restartCount": 0, "image": "x", "imageID": ""}
    body = {"status": {"phase": "Failed", "containerStatuses": [{**container, "state": {"terminated": ended}}]}}
    await world.client.patch(POD, "j-main-0", body, "default", subresource="status")

    async def waits() -> bool:
        message = (await world.client.get(JOB, "j", "default")).status.state.message
        return "before retry 1" in message and not await world.client.list(POD_GROUP, "default")

    await world.until(waits, "the job to say that it waits, and to hold no place")
    await world.kill()
    await world.start()
    await world.until_pods("j", {"j-main-0": "Running"})
    (again,) = await world.pods("j")
    assert again.metadata.uid != pod.metadata.uid
    assert again.spec.containers[0].resources.requests["memory"] == "256Mi"
    (test,) = again.spec.affinity.node_affinity.required.node_selector_terms[0].match_fields
    assert (test.key, test.operator, test.values) == ("metadata.name", "NotIn", ("stage",))
