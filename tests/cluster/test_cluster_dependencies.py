"""Do gangs with phases start where Volcano's, and the MPI operator's, wait for ever? And in how much room?

The cluster has 4 nodes of 2 cpu; nothing here may take so long that others of its tests lack the room.
"""

import json
from typing import Any

import pytest
import yaml

from tests.cluster.world import Cluster

SLEEP = ["sleep", "600"]


def task(name: str, replicas: int, command: list[str] = SLEEP, cpu: str = "100m", **more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "any", "command": command, "resources": {"requests": {"cpu": cpu}}}
    pod = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 1}
    return {"name": name, "replicas": replicas, "template": {"spec": pod}, **more}


def after(*names: str, **more: Any) -> dict[str, Any]:
    return {"dependsOn": {"name": list(names), **more}}


def apply(cluster: Cluster, *tasks: dict[str, Any], **spec: Any) -> None:
    body = {"schedulerName": "volcano", "queue": "default", "tasks": list(tasks), **spec}
    meta = {"name": "phased"}
    cluster.apply(
        yaml.safe_dump({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": meta, "spec": body})
    )


def running(cluster: Cluster, job: str = "phased") -> set[str]:
    pods = cluster.get("pods", "-l", f"volcano.sh/job-name={job}")["items"]
    return {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}


def until_running(cluster: Cluster, *names: str) -> None:
    wanted = {f"phased-{name}" for name in names}
    cluster.until(lambda: running(cluster) == wanted, f"{sorted(wanted)} to run", story=lambda: cluster.story("phased"))


#: Known deadlocks: (tasks, who runs in the end).
DEADLOCKS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    # volcano#2944, #2298: the minimum counts a task that its dependency holds back.
    "minimum_counts_a_dependent_task": (
        [task("worker", 2), task("master", 1, **after("worker"))],
        ["worker-0", "worker-1", "master-0"],
    ),
    # volcano#2302, #2226: so does a task's own minimum, in a chain.
    "chain_of_three": (
        [task("c", 1, **after("b")), task("b", 2, minAvailable=2, **after("a")), task("a", 1)],
        ["a-0", "b-0", "b-1", "c-0"],
    ),
    # volcano#2896: any of several, of which one comes much later.
    "any_of_two": (
        [task("a", 1), task("b", 1, **after("a")), task("c", 1, **after("a", "b", iteration="any"))],
        ["a-0", "b-0", "c-0"],
    ),
    # mpi-operator#608: the launcher waits for ready workers, the gang of all for the launcher.
    "launcher_waits_for_ready_workers": (
        [task("launcher", 1, **after("worker", status="Ready")), task("worker", 3)],
        ["launcher-0", "worker-0", "worker-1", "worker-2"],
    ),
    # volcano#2135: merely running is enough where the job says so.
    "running_is_enough": (
        [task("a", 1), task("b", 1, **after("a", status="Running"))],
        ["a-0", "b-0"],
    ),
}


@pytest.mark.parametrize("name", DEADLOCKS)
def test_a_gang_that_deadlocks_elsewhere_starts_whole(cluster: Cluster, name: str) -> None:
    tasks, names = DEADLOCKS[name]
    apply(cluster, *tasks)
    until_running(cluster, *names)
    cluster.wait_phase("phased", "Running")
    group = cluster.get("podgroups")["items"][0]
    assert group["spec"]["minMember"] == sum(each["replicas"] for each in tasks)


def test_a_gang_waits_whole_if_a_later_phase_would_not_fit_and_starts_if_the_job_waives_that(cluster: Cluster) -> None:
    first, second = task("a", 4, cpu="1200m"), task("b", 4, cpu="1200m", **after("a"))
    apply(cluster, first, second)
    cluster.until(lambda: bool(condition(cluster)), "the scheduler to say why")
    assert running(cluster) == set()
    cluster.kubectl("delete", "vcjob", "phased")
    apply(cluster, first, second, reservationPolicy="Phase")
    until_running(cluster, "a-0", "a-1", "a-2", "a-3")
    cluster.until(lambda: bool(condition(cluster)), "the scheduler to say why the second phase waits")


def condition(cluster: Cluster) -> str:
    groups = cluster.get("podgroups")["items"]
    said = [each for group in groups for each in group.get("status", {}).get("conditions", [])]
    return next((str(each) for each in said if each["type"] == "Unschedulable" and each["status"] == "True"), "")


def test_phases_one_after_the_other_run_in_the_room_of_the_larger_one(cluster: Cluster) -> None:
    quick = ["python3", "-c", "import time; time.sleep(1)"]
    phases = [
        task("a", 4, quick, cpu="1200m"),
        task("b", 4, quick, cpu="1200m", **after("a", status="Succeeded")),
        task("c", 2, quick, cpu="1", **after("b", status="Succeeded")),
    ]
    apply(cluster, *phases, reservationPolicy="Peak")
    cluster.wait_phase("phased", "Completed")
    status = cluster.get("vcjob", "phased")["status"]
    assert status["succeeded"] == 10, json.dumps(status)


def test_a_graph_that_can_never_start_is_refused_with_its_cycle_and_its_endless_task(cluster: Cluster) -> None:
    endless = task("a", 1)
    endless["template"]["spec"]["restartPolicy"] = "Always"
    tasks = [
        endless,
        task("b", 1, **after("a", status="Succeeded")),
        task("c", 1, **after("d")),
        task("d", 1, **after("c")),
    ]
    body = {"schedulerName": "volcano", "tasks": tasks}
    manifest = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": "never"}, "spec": body}
    path = cluster.kubeconfig.parent / "never.json"
    path.write_text(json.dumps(manifest))
    done = cluster.flowbatch("validate", str(path))
    assert done.returncode == 2
    told = done.stdout + done.stderr
    assert "never succeeds" in told
    assert "closes a cycle of 2 tasks" in told
