"""Do jobs live through what Volcano's jobp and jobseq suites put them through, with scheduler, controllers and nodes?

Which of its cases is which test is in docs/parity-jobs.md.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.cluster.test_cluster_dependencies import SLEEP, condition, running, task
from tests.cluster.world import NODES, Cluster

FAIL = ["python3", "-c", "import sys; sys.exit(3)"]
DONE = ["python3", "-c", "pass"]


def apply(cluster: Cluster, name: str, *tasks: dict[str, Any], **spec: Any) -> None:
    body = {"schedulerName": "volcano", "queue": "default", "tasks": list(tasks), **spec}
    manifest = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": name}, "spec": body}
    cluster.apply(yaml.dump(manifest, Dumper=_WholeDumper))


class _WholeDumper(yaml.SafeDumper):
    """Without aliases, which flowbatch refuses."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def until_running(cluster: Cluster, job: str, wanted: set[str]) -> None:
    cluster.until(lambda: running(cluster, job) == wanted, f"{sorted(wanted)} to run", story=lambda: cluster.story(job))


def nothing_left(cluster: Cluster) -> bool:
    kinds = "pods,podgroups,services,configmaps,secrets,networkpolicies"
    found = json.loads(cluster.kubectl("get", kinds, "-o", "json"))["items"]
    standing = ("kube-root-ca.crt", "kubernetes")
    return not [each for each in found if each["metadata"]["name"] not in standing]


@contextmanager
def cordoned(cluster: Cluster) -> Iterator[None]:
    """No node takes new pods."""
    nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
    cluster.kubectl("cordon", *nodes)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", *nodes)


#: Phase -> a job that comes to it and stays there.
LIVES: dict[str, dict[str, Any]] = {
    "Pending": {"tasks": [task("main", NODES + 1, cpu="1900m")]},
    "Running": {"tasks": [task("main", 2)]},
    "Completed": {"tasks": [task("main", 2, DONE)]},
    "Failed": {"tasks": [task("main", 1, FAIL)]},
    "Terminated": {
        "tasks": [task("bad", 1, FAIL), task("good", 1)],
        "policies": [{"event": "PodFailed", "action": "TerminateJob"}],
    },
    "Aborted": {
        "tasks": [task("bad", 1, FAIL), task("good", 1)],
        "policies": [{"event": "PodFailed", "action": "AbortJob"}],
    },
}


@pytest.mark.parametrize("phase", LIVES)
def test_a_job_deleted_in_any_phase_leaves_nothing_behind(cluster: Cluster, phase: str) -> None:
    life = dict(LIVES[phase])
    apply(cluster, "gone", *life.pop("tasks"), plugins={"svc": [], "ssh": [], "env": []}, **life)
    cluster.wait_phase("gone", phase)
    cluster.kubectl("delete", "vcjob", "gone")
    cluster.until(lambda: nothing_left(cluster), "everything of the job to go")


def test_a_job_that_cannot_be_placed_says_so_in_an_event_and_in_its_group(cluster: Cluster) -> None:
    apply(cluster, "large", task("main", NODES + 1, cpu="1900m"))
    cluster.until(lambda: "Unschedulable" in cluster.kubectl("get", "events"), "an Event of that reason")
    assert condition(cluster)


@pytest.mark.parametrize(("action", "phase"), [("RestartJob", "Restarting"), ("AbortJob", "Aborted")])
def test_a_gang_that_loses_a_member_for_which_there_is_no_room_is_unknown_and_answered(
    cluster: Cluster, action: str, phase: str
) -> None:
    apply(cluster, "gang", task("main", 2), policies=[{"event": "Unknown", "action": action}])
    cluster.wait_phase("gang", "Running")
    with cordoned(cluster):
        cluster.kubectl("delete", "pod", "gang-main-0", "--wait=false")

        def answered() -> bool:
            status = cluster.get("vcjob", "gang")["status"]
            return phase in [each["status"] for each in status["conditions"]]

        cluster.until(answered, f"the job to be {phase}", story=lambda: cluster.story("gang"))
    if action == "AbortJob":
        cluster.wait_phase("gang", "Aborted")
        cluster.flowbatch("resume", "gang", "-n", cluster.namespace)
    cluster.wait_phase("gang", "Running")


def test_the_failed_pod_of_the_last_retry_stays_and_the_running_one_goes(cluster: Cluster) -> None:
    apply(
        cluster,
        "twice",
        task("bad", 1, FAIL),
        task("good", 1),
        maxRetry=2,
        policies=[{"event": "PodFailed", "action": "RestartJob"}],
    )
    cluster.wait_phase("twice", "Failed")
    assert cluster.get("vcjob", "twice")["status"]["retryCount"] == 2
    cluster.until(lambda: pods(cluster, "twice") == {"twice-bad-0": "Failed"}, "only the failed pod to be there")


def test_a_completed_job_keeps_its_succeeded_pods(cluster: Cluster) -> None:
    policies = [{"event": "TaskCompleted", "action": "CompleteJob"}]
    apply(cluster, "kept", task("quick", 1, DONE, policies=policies), task("server", 1))
    cluster.wait_phase("kept", "Completed")
    cluster.until(lambda: pods(cluster, "kept") == {"kept-quick-0": "Succeeded"}, "only the succeeded pod to be there")


def pods(cluster: Cluster, job: str) -> dict[str, str]:
    found = cluster.get("pods", "-l", f"volcano.sh/job-name={job}")["items"]
    return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in found}


def scale(cluster: Cluster, job: str, replicas: int, minimum: int) -> None:
    patch = [
        {"op": "replace", "path": "/spec/tasks/0/replicas", "value": replicas},
        {"op": "replace", "path": "/spec/tasks/0/minAvailable", "value": minimum},
        {"op": "replace", "path": "/spec/minAvailable", "value": minimum},
    ]
    cluster.kubectl("patch", "vcjob", job, "--type=json", "-p", json.dumps(patch))


def test_a_job_is_scaled_up_down_to_nothing_and_up_again_with_its_hosts(cluster: Cluster) -> None:
    apply(cluster, "sized", task("main", 2, minAvailable=2), minAvailable=2, plugins={"svc": []})
    for replicas in (2, 4, 1, 0, 3):
        if replicas != 2:
            scale(cluster, "sized", replicas, replicas)
        until_running(cluster, "sized", {f"sized-main-{index}" for index in range(replicas)})

        def hosts() -> list[str]:
            return str(cluster.get("configmap", "sized-svc")["data"]["main.host"]).split()

        cluster.until(lambda: len(hosts()) == replicas, f"{replicas} hosts")  # noqa: B023
    cluster.wait_phase("sized", "Running")


def test_an_elastic_job_runs_between_its_minimum_and_its_size_as_room_comes_and_goes(cluster: Cluster) -> None:
    apply(cluster, "filler", task("main", NODES - 2, cpu="1500m"))
    cluster.wait_phase("filler", "Running")
    apply(cluster, "elastic", task("main", NODES, cpu="1500m", minAvailable=2), minAvailable=2)
    cluster.wait_phase("elastic", "Running")
    cluster.until(lambda: len(running(cluster, "elastic")) == 2, "its minimum to run")
    cluster.kubectl("delete", "vcjob", "filler")
    cluster.until(lambda: len(running(cluster, "elastic")) == NODES, "all of it to run")
    scale(cluster, "elastic", 3, 1)
    cluster.until(lambda: len(running(cluster, "elastic")) == 3, "one less to run")
    cluster.wait_phase("elastic", "Running")


def test_enough_successes_complete_a_job_early(cluster: Cluster) -> None:
    apply(cluster, "enough", task("quick", 2, DONE), task("slow", 1), minSuccess=2)
    cluster.wait_phase("enough", "Completed")
    cluster.until(lambda: "Running" not in pods(cluster, "enough").values(), "the slow one to be stopped")


def test_a_group_asks_for_what_its_minimum_needs(cluster: Cluster) -> None:
    apply(cluster, "asks", task("a", 2, cpu="100m"), task("b", 3, cpu="200m", minAvailable=1), minAvailable=3)
    cluster.wait_phase("asks", "Running")
    (group,) = cluster.get("podgroups")["items"]
    assert (group["spec"]["minMember"], group["spec"]["minResources"]["cpu"]) == (3, "400m")


def test_with_room_for_one_task_the_one_of_higher_priority_runs(cluster: Cluster) -> None:
    classes = {"life-low": 10, "life-high": 1000}
    for name, value in classes.items():
        body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        cluster.apply(yaml.safe_dump({**body, "value": value}))
    low, high = task("low", NODES, cpu="1500m"), task("high", NODES, cpu="1500m")
    low["template"]["spec"]["priorityClassName"] = "life-low"
    high["template"]["spec"]["priorityClassName"] = "life-high"
    with cordoned(cluster):  # until all have come: whoever waits together goes in the order of importance
        apply(cluster, "two", low, high, minAvailable=NODES)
        cluster.until(
            lambda: len(cluster.get("pods")["items"]) == 2 * NODES, "all pods", story=lambda: cluster.story("two")
        )
    until_running(cluster, "two", {f"two-high-{index}" for index in range(NODES)})


def test_a_running_job_whose_pods_are_gone_is_pending_and_starts_again(cluster: Cluster) -> None:
    apply(cluster, "again", task("main", 2))
    cluster.wait_phase("again", "Running")
    with cordoned(cluster):
        cluster.kubectl("delete", "pods", "-l", "volcano.sh/job-name=again", "--wait=false")
        cluster.wait_phase("again", "Pending")
    cluster.wait_phase("again", "Running")


def test_a_suspended_queue_takes_its_jobs_down_and_gives_them_back(cluster: Cluster) -> None:
    name = f"life-{cluster.namespace}"
    assert cluster.flowbatch("queue", "create", name).returncode == 0
    try:
        apply(cluster, "tenant", task("main", 2, SLEEP), queue=name)
        cluster.wait_phase("tenant", "Running")
        assert f"queue/{name} suspended" in cluster.flowbatch("suspend", f"queue/{name}").stdout
        cluster.wait_phase("tenant", "Aborted")
        cluster.until(lambda: pods(cluster, "tenant") == {}, "its pods to go")
        assert f"suspended with queue {name}" in cluster.flowbatch("why", "tenant", "-n", cluster.namespace).stdout
        assert cluster.flowbatch("resume", f"queue/{name}").returncode == 0
        cluster.wait_phase("tenant", "Running")
        assert cluster.get("vcjob", "tenant")["status"].get("retryCount", 0) == 0
        cluster.kubectl("delete", "vcjob", "tenant")
    finally:
        cluster.kubectl("delete", "queue", name, "--wait=false")
