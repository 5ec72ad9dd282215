"""On a cluster whose CRDs are Volcano's own: does everything still work, and is nothing silently pruned?"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.world import ROOT, Cluster, Replicas

#: Its PodGroup goes when it completes, so it must not do that at once.
DEPENDENT = (ROOT / "examples" / "volcano" / "dependency.yaml").read_text().replace("echo my", "sleep 2; echo my")


def sleeper(name: str, **spec: object) -> str:
    container = {"name": "main", "image": "busybox", "command": ["sleep", "3600"]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    task = {"name": "main", "replicas": 1, "template": {"spec": pod}}
    return yaml.safe_dump(
        {
            "apiVersion": "batch.volcano.sh/v1alpha1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"schedulerName": "volcano", "tasks": [task], **spec},
        }
    )


@pytest.mark.smoke
def test_a_job_with_dependencies_runs_and_its_declared_tasks_are_an_annotation(there: Cluster) -> None:
    there.apply(DEPENDENT)
    groups: list[dict[str, Any]] = []

    def seen() -> bool:
        groups[:] = there.get("podgroups")["items"]
        return bool(groups)

    there.until(seen, "its PodGroup")
    (group,) = groups
    assert "declaredTasks" not in group["spec"]
    declared = json.loads(group["metadata"]["annotations"]["flowbatch.dev/declared-tasks"])
    assert {each["name"]: each.get("waitsFor", []) for each in declared} == {"server": [], "worker": ["server"]}
    there.wait_phase("dependency", "Completed")


@pytest.mark.smoke
def test_suspending_is_an_annotation_and_resuming_takes_it_off(there: Cluster) -> None:
    there.apply(sleeper("nap"))
    there.wait_phase("nap", "Running")
    assert there.flowbatch("suspend", "nap", "-n", there.namespace).returncode == 0
    there.wait_phase("nap", "Aborted")
    job = there.get("vcjob", "nap")
    assert job["metadata"]["annotations"]["flowbatch.dev/suspended"] == "true"
    assert "suspend" not in job["spec"]
    assert there.flowbatch("resume", "nap", "-n", there.namespace).returncode == 0
    there.wait_phase("nap", "Running")
    assert "flowbatch.dev/suspended" not in there.get("vcjob", "nap")["metadata"].get("annotations", {})


@pytest.mark.smoke
def test_a_queues_status_is_written_though_it_must_say_what_is_allocated(there: Cluster) -> None:
    name = f"q-{there.namespace}"
    # No state, no weight, no parent: nobody's webhook fills anything in here.
    there.apply(
        yaml.safe_dump(
            {
                "apiVersion": "scheduling.volcano.sh/v1beta1",
                "kind": "Queue",
                "metadata": {"name": name},
                "spec": {"capability": {"cpu": "1"}},
            }
        )
    )
    there.until(lambda: there.get("queue", name).get("status", {}).get("state") == "Open", "the queue to be Open")
    there.apply(sleeper("in-it", queue=name))
    there.wait_phase("in-it", "Running")
    there.until(lambda: there.get("queue", name)["status"].get("running") == 1, "the queue to count its PodGroup")
    there.until(lambda: "pods" in there.get("queue", name)["status"]["allocated"], "what is allocated")
    assert there.flowbatch("queue", "close", name).returncode == 0
    there.until(lambda: there.get("queue", name)["status"]["state"] == "Closing", "the queue to be Closing")


@pytest.mark.parametrize("verb", ["validate", "run"])
def test_a_manifest_with_a_field_that_would_be_pruned_is_refused_by_name(
    there: Cluster, tmp_path: Path, verb: str
) -> None:
    file = tmp_path / "suspended.yaml"
    file.write_text(sleeper("early", suspend=True))
    done = there.flowbatch(verb, str(file), "--kubeconfig", str(there.kubeconfig))
    assert done.returncode == 2, done.stderr
    assert "spec.suspend" in done.stderr
    assert "flowbatch.dev/suspended" in done.stderr
    assert there.get("vcjob")["items"] == []


def test_the_dsl_refuses_it_too(there: Cluster) -> None:
    program = """
from flowbatch_dsl import Job, Task
Job("early", tasks=[Task("main", ["true"])], extra={"suspend": True}).submit(%r)
"""
    done = there.run("python", "-c", program % str(there.kubeconfig))
    assert done.returncode != 0
    assert "suspend" in done.stderr
    assert there.get("vcjob")["items"] == []


def test_the_programs_say_nothing_of_fields_the_server_did_not_keep(replicas: Replicas) -> None:
    for log in replicas.folder.glob("*.log"):
        assert "does not keep" not in log.read_text()
