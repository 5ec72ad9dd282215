"""Do flows and cron jobs live as their authors expect, with kubectl, on this kind of cluster?"""

import json

import pytest
import yaml

from tests.cluster.world import Cluster


def template(name: str, *command: str, **spec: object) -> str:
    container = {"name": "main", "image": "busybox", "command": list(command)}
    container["resources"] = {"requests": {"cpu": "100m"}}  # type: ignore[assignment]
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    task = {"name": "main", "replicas": 1, "template": {"spec": pod}}
    return document(
        "flow.volcano.sh/v1alpha1", "JobTemplate", name, {"schedulerName": "volcano", "tasks": [task], **spec}
    )


def document(version: str, kind: str, name: str, spec: object) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})


def flow(name: str, *steps: dict[str, object]) -> str:
    return document("flow.volcano.sh/v1alpha1", "JobFlow", name, {"flows": list(steps)})


def phase(cluster: Cluster, kind: str, name: str) -> str:
    return str(cluster.get(kind, name).get("status", {}).get("state", {}).get("phase", ""))


@pytest.mark.smoke
def test_a_flow_passes_values_on_and_is_shown_as_a_graph(cluster: Cluster) -> None:
    write = """echo '{"parts": [1, 2], "name": "$it is"}' > /dev/termination-log"""
    read = """test "$NAME" = '"$it is"' && echo "part $FLOWBATCH_ITEM of $NAME" """
    steps = [
        {"name": "cut", "jobTemplate": "cut", "outputs": [{"name": "parts"}, {"name": "name"}]},
        {
            "name": "sew",
            "jobTemplate": "sew",
            "forEach": {"from": "cut.parts"},
            "inputs": [{"name": "NAME", "from": "cut.name"}],
        },
        {"name": "done", "jobTemplate": "cut", "dependsOn": {"targets": ["sew"]}},
    ]
    texts = [template("cut", "sh", "-c", write), template("sew", "sh", "-c", read), flow("dress", *steps)]
    cluster.apply("---\n".join(texts))
    cluster.until(
        lambda: phase(cluster, "jf", "dress") == "Succeed", "the flow to succeed", story=lambda: shown(cluster)
    )
    assert "part 2 of" in cluster.kubectl("logs", "dress-sew-1-main-0")
    picture = shown(cluster)
    assert "✓ sew" in picture
    assert "2 of 2 items" in picture


def shown(cluster: Cluster) -> str:
    return cluster.flowbatch("describe", "jobflow", "dress", "-n", cluster.namespace).stdout


@pytest.mark.smoke
def test_a_step_begins_while_its_target_runs_if_a_probe_says_so(cluster: Cluster) -> None:
    probe = {"taskStatusList": [{"taskName": "main", "phase": "Running"}]}
    steps = [
        {"name": "serve", "jobTemplate": "sleep"},
        {"name": "use", "jobTemplate": "quick", "dependsOn": {"targets": ["serve"], "probe": probe}},
    ]
    texts = [template("sleep", "sleep", "3600"), template("quick", "true"), flow("probed", *steps)]
    cluster.apply("---\n".join(texts))
    cluster.until(lambda: phase_of(cluster, "probed-use") == "Completed", "the step behind the probe")
    assert phase_of(cluster, "probed-serve") == "Running"
    cluster.kubectl("delete", "jf", "probed")
    cluster.until(lambda: not cluster.get("vcjob")["items"], "the jobs to go with their flow")


def phase_of(cluster: Cluster, job: str) -> str:
    found = [each for each in cluster.get("vcjob")["items"] if each["metadata"]["name"] == job]
    return str(found[0].get("status", {}).get("state", {}).get("phase", "")) if found else ""


@pytest.mark.smoke
def test_a_cron_job_runs_again_and_again_and_keeps_its_limit(cluster: Cluster) -> None:
    job = {"spec": yaml.safe_load(template("x", "true"))["spec"]}
    spec = {"schedule": "@every 2s", "successfulJobsHistoryLimit": 1, "jobTemplate": job}
    cluster.apply(document("batch.volcano.sh/v1alpha1", "CronJob", "tick", spec))
    seen: set[str] = set()

    def thrice() -> bool:
        seen.update(each["metadata"]["name"] for each in cluster.get("vcjob")["items"])
        return len(seen) >= 3

    cluster.until(thrice, "three runs")
    cluster.kubectl("patch", "cronvcjob", "tick", "--type", "merge", "-p", json.dumps({"spec": {"suspend": True}}))
    cluster.until(lambda: len(cluster.get("vcjob")["items"]) == 1, "all but one of the runs to go")
