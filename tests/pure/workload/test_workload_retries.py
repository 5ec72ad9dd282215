"""Is what a policy restarts tried again as `retry` says: later, elsewhere, with more memory?"""

from typing import Any

import pytest
from msgspec.structs import replace

from flowbatch.api.batch import RetryRules
from flowbatch.api.core import ContainerState, ContainerStateTerminated, ContainerStatus
from flowbatch.workload.retries import backoff_s, more_memory
from flowbatch.workload.rules import check_job
from tests.jobworld import JobWorld, a_job, a_task, running

RESTART = [{"event": "PodFailed", "action": "RestartJob"}]
RESTART_POD = [{"event": "PodFailed", "action": "RestartPod"}]
MEMORY = {"memoryIncreasePercent": 50, "memoryLimit": "4Gi"}


def with_memory(memory: str = "2Gi", **more: Any) -> dict[str, Any]:
    resources = {"requests": {"cpu": "1", "memory": memory}, "limits": {"memory": memory}}
    return {"spec": {"containers": [{"name": "main", "image": "i", "resources": resources}], **more}}


def place(world: JobWorld, name: str, node: str) -> None:
    pod = world.pods[name]
    world.pods[name] = replace(pod, spec=replace(pod.spec, node_name=node))


def kill_for_memory(world: JobWorld, name: str) -> None:
    world.finish(name, code=137)
    ended = ContainerStateTerminated(exit_code=137, reason="OOMKilled", finished_at=world.now)
    status = ContainerStatus(name="main", state=ContainerState(terminated=ended))
    pod = world.pods[name]
    world.pods[name] = replace(pod, status=replace(pod.status, container_statuses=(status,)))


def restarted(world: JobWorld) -> JobWorld:
    world.settle()
    world.sweep()
    world.settle()
    return world


def excluded(world: JobWorld, name: str) -> list[str]:
    affinity = world.pods[name].spec.affinity
    if affinity is None:
        return []
    (term,) = affinity.node_affinity.required.node_selector_terms
    return [value for test in term.match_fields for value in test.values]


def memory(world: JobWorld, name: str) -> str:
    return world.pods[name].spec.containers[0].resources.requests["memory"]


# Back-off ----------------------------------------------------------------------------------------------------------


def test_a_restart_waits_and_twice_as_long_the_next_time():
    world = running(a_job(policies=RESTART, maxRetry=9, retry={"backoffSeconds": 10, "maxBackoffSeconds": 30}))
    for expected in (10, 20, 30, 30):
        world.finish("j-worker-0", code=1)
        restarted(world)
        assert world.alive == []
        wake = world.changes().wake_at
        assert (wake - world.now).total_seconds() == expected
        world.pass_time(expected)
        world.settle()
        world.run()
        world.settle()
        assert world.phase == "Running"


def test_a_job_in_its_back_off_holds_no_place_in_its_queue_and_says_why():
    world = running(a_job(policies=RESTART, retry={"backoffSeconds": 60}))
    world.finish("j-worker-0", code=1)
    restarted(world)
    assert world.group is None
    assert "before retry 1" in world.job.status.state.message
    world.pass_time(60)
    world.settle()
    assert world.group is not None
    assert world.job.status.state.message == ""


def test_only_the_restarted_pod_waits():
    world = running(a_job(a_task(replicas=3), policies=RESTART_POD, retry={"backoffSeconds": 60}))
    world.finish("j-worker-1", code=1)
    world.settle()
    world.sweep()
    world.delete_pod("j-worker-2")
    restarted(world)
    assert world.alive == ["j-worker-0", "j-worker-2"], "an eviction waits for nothing"
    world.pass_time(60)
    world.settle()
    assert world.alive == ["j-worker-0", "j-worker-1", "j-worker-2"]


def test_a_gang_that_is_short_for_its_back_off_is_no_event():
    policies = [{"exitCode": 3, "action": "RestartPod"}]
    catch_all = [{"event": "*", "action": "AbortJob"}]
    world = running(a_job(a_task(replicas=3, policies=policies), policies=catch_all, retry={"backoffSeconds": 60}))
    world.finish("j-worker-1", code=3)
    restarted(world)
    world.set_group("Unknown")
    world.settle()
    world.pass_time(60)
    world.settle()
    assert (world.phase, "j-worker-1" in world.alive) == ("Pending", True)
    world.run()
    world.set_group("Running")
    world.settle()
    world.set_group("Unknown")
    restarted(world)
    assert world.phase == "Aborted", "what comes later is an event again"


def test_the_tasks_own_rules_stand_in_place_of_the_jobs():
    tasks = (a_task("a", 1, retry={"backoffSeconds": 5}), a_task("b", 1))
    world = running(a_job(*tasks, policies=RESTART_POD, retry={"backoffSeconds": 60}))
    world.finish("j-a-0", "j-b-0", code=1)
    restarted(world)
    world.pass_time(5)
    world.settle()
    assert world.alive == ["j-a-0"]


def test_infrastructure_failures_and_resumptions_do_not_wait():
    world = running(a_job(policies=[{"event": "*", "action": "RestartJob"}], retry={"backoffSeconds": 60}))
    world.finish("j-worker-0", code=137, disrupted=True)
    restarted(world)
    assert world.alive == ["j-worker-0", "j-worker-1"]
    world.run()
    world.settle()
    world.finish("j-worker-0", code=1)
    restarted(world)
    world.order("AbortJob")
    restarted(world)
    world.order("ResumeJob")
    restarted(world)
    assert world.alive == ["j-worker-0", "j-worker-1"]


def test_a_last_retry_tells_its_cause_and_not_its_wait():
    world = running(a_job(policies=RESTART, maxRetry=1, retry={"backoffSeconds": 60}))
    world.finish("j-worker-0", code=1)
    restarted(world)
    assert world.phase == "Failed"
    assert "PodFailed of worker-0 (exit code 1)" in world.job.status.state.message


@pytest.mark.parametrize(("retry", "expected"), [(1, 10), (2, 20), (7, 600), (1000, 600)])
def test_the_wait_doubles_up_to_ten_minutes(retry, expected):
    assert backoff_s(RetryRules(backoff_seconds=10), retry) == expected


def test_a_first_wait_beyond_the_default_bound_is_kept():
    assert backoff_s(RetryRules(backoff_seconds=900), 3) == 900


# Other nodes -------------------------------------------------------------------------------------------------------


def test_new_pods_keep_off_the_nodes_on_which_pods_have_failed():
    world = running(a_job(policies=RESTART_POD, maxRetry=9, retry={"avoidFailedNodes": True}))
    for node in ("n1", "n2", "n1"):
        place(world, "j-worker-0", node)
        world.finish("j-worker-0", code=1)
        restarted(world)
        world.run()
        world.settle()
    assert excluded(world, "j-worker-0") == ["n2", "n1"]
    assert excluded(world, "j-worker-1") == []


def test_a_node_that_refused_a_pod_is_kept_off_too():
    world = JobWorld(a_job(retry={"avoidFailedNodes": True}))
    world.settle()
    place(world, "j-worker-0", "n1")
    world.refuse("j-worker-0")
    world.pass_time(5)
    restarted(world)
    assert excluded(world, "j-worker-0") == ["n1"]


def test_only_the_newest_few_nodes_are_kept_off():
    world = running(a_job(policies=RESTART_POD, maxRetry=99, retry={"avoidFailedNodes": True}))
    for number in range(12):
        place(world, "j-worker-0", f"n{number}")
        world.finish("j-worker-0", code=1)
        restarted(world)
        world.run()
        world.settle()
    assert excluded(world, "j-worker-0") == [f"n{number}" for number in range(4, 12)]


def test_the_pods_own_wishes_for_nodes_stay():
    label = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    own = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [label]}}}
    task = {**a_task(replicas=1), "template": with_memory(affinity=own)}
    world = running(a_job(task, policies=RESTART, retry={"avoidFailedNodes": True}))
    place(world, "j-worker-0", "n1")
    world.finish("j-worker-0", code=1)
    restarted(world)
    (term,) = world.pods["j-worker-0"].spec.affinity.node_affinity.required.node_selector_terms
    assert [test.key for test in term.match_expressions] == ["zone"]
    assert excluded(world, "j-worker-0") == ["n1"]


# Memory ------------------------------------------------------------------------------------------------------------


def test_memory_is_raised_after_each_kill_for_want_of_it_up_to_the_limit():
    task = {**a_task(replicas=2), "template": with_memory()}
    world = running(a_job(task, policies=RESTART, maxRetry=9, retry=MEMORY))
    for expected in ("3Gi", "4Gi", "4Gi"):
        kill_for_memory(world, "j-worker-0")
        restarted(world)
        world.run()
        world.settle()
        assert memory(world, "j-worker-0") == memory(world, "j-worker-1") == expected
        assert world.group.spec.min_resources["memory"] == f"{2 * int(expected[0])}Gi"
    assert world.job.spec.tasks[0].template == with_memory(), "the spec is the user's"


def test_another_failure_raises_nothing():
    world = running(a_job({**a_task(), "template": with_memory()}, policies=RESTART, retry=MEMORY))
    world.finish("j-worker-0", code=137)
    restarted(world)
    assert memory(world, "j-worker-0") == "2Gi"


def test_memory_beyond_the_limit_is_never_lowered():
    rules = RetryRules(memory_increase_percent=50, memory_limit="1Gi")
    assert more_memory("2Gi", rules, 3) == "2Gi"
    assert more_memory("1000", rules, 1) == "1500"
    assert more_memory("nonsense", rules, 1) == "nonsense"
    assert more_memory("1Mi", rules, 10**9) == "1Gi"


# What is refused ---------------------------------------------------------------------------------------------------

WRONG = [
    ({"backoffSeconds": -1}, "spec.retry.backoffSeconds"),
    ({"backoffSeconds": 10**7}, "spec.retry.backoffSeconds"),
    ({"maxBackoffSeconds": 5}, "spec.retry.maxBackoffSeconds"),
    ({"backoffSeconds": 10, "maxBackoffSeconds": 5}, "spec.retry.maxBackoffSeconds"),
    ({"memoryIncreasePercent": 50}, "spec.retry.memoryLimit"),
    ({"memoryLimit": "1Gi"}, "spec.retry.memoryLimit"),
    ({"memoryIncreasePercent": 0, "memoryLimit": "1Gi"}, "spec.retry.memoryIncreasePercent"),
    ({"memoryIncreasePercent": 50, "memoryLimit": "1 Gi"}, "spec.retry.memoryLimit"),
    ({"memoryIncreasePercent": 50, "memoryLimit": "0"}, "spec.retry.memoryLimit"),
    ({"backoff": 3}, "spec.retry.backoff"),
]


@pytest.mark.parametrize(("retry", "path"), WRONG)
def test_what_makes_no_sense_is_refused_where_it_stands(retry, path):
    manifest = {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "ns"},
        "spec": {"tasks": [{"name": "w", "replicas": 1, "template": with_memory()}], "retry": retry},
    }
    assert path in [problem.path for problem in check_job(manifest)]
    assert check_job({**manifest, "spec": {**manifest["spec"], "retry": {"backoffSeconds": 10, **MEMORY}}}) == []
