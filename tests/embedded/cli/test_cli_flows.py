"""Do the verbs know workflows and cron jobs, show where they are, and do the examples run?"""

import json
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


def template(name, script="true"):
    container = {"name": "main", "image": "python", "command": ["sh", "-c", script]}
    container["resources"] = {"requests": {"cpu": "100m", "memory": "16Mi"}}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    spec = {"tasks": [{"name": "t", "replicas": 1, "template": {"spec": pod}}], "maxRetry": 1}
    return {"apiVersion": "flow.volcano.sh/v1alpha1", "kind": "JobTemplate", "metadata": {"name": name}, "spec": spec}


def flow(name, *steps, **spec):
    spec = {"flows": list(steps), **spec}
    return {"apiVersion": "flow.volcano.sh/v1alpha1", "kind": "JobFlow", "metadata": {"name": name}, "spec": spec}


def step(name, of, *targets, **more):
    depends = {"dependsOn": {"targets": list(targets)}} if targets else {}
    return {"name": name, "jobTemplate": of, **depends, **more}


@pytest.fixture
def until(flowbatch):
    """Repeat a command until its output has these words."""

    def wait(*words, command, patience_s=60.0):
        deadline = time.monotonic() + patience_s
        while True:
            _, out, err = flowbatch(*command)
            if all(word in out for word in words):
                return out
            assert time.monotonic() < deadline, f"never saw {words}:\n{out}{err}"
            time.sleep(0.2)

    return wait


def test_a_workflow_is_shown_suspended_resumed_and_deleted(flowbatch, written, unique, until):
    name, quick, slow = unique("flow"), unique("quick"), unique("slow")
    steps = [
        step("load", quick),
        step("left", slow, "load"),
        step("right", slow, "load"),
        step("merge", quick, "left", "right"),
    ]
    code, _, err = flowbatch("run", "-d", written(template(quick), template(slow, "sleep 3600"), flow(name, *steps)))
    assert code == 0, err
    shown = until("✓ load", "▶ left", "▶ right", command=("describe", "jobflow", name))
    drawn = shown[shown.index("Steps:") :].splitlines()[2:6]
    assert [line.split()[:3] for line in drawn] == [
        ["✓", "load", "Completed"],
        ["┌", "▶", "left"],
        ["└", "▶", "right"],
        ["·", "merge", "Waiting"],
    ]
    assert "waits for left, right" in drawn[3]
    wide = until(name, command=("get", "jobflow", "-o", "wide"))
    assert "✓load > ▶left,▶right > ·merge" in wide
    said = until("step left: running: 1 of 1 pods", command=("why", f"jobflow/{name}"))
    assert "step merge: waits for left, right" in said
    assert flowbatch("why", f"jobflow/{name}/merge")[1] == "Waiting: waits for left, right\n"
    assert "running: 1 of 1 pods" in flowbatch("why", f"jobflow/{name}/left")[1]
    assert 'did you mean "left"?' in flowbatch("why", f"jobflow/{name}/lefft")[2]
    assert flowbatch("suspend", f"jobflow/{name}")[1] == f"jobflow/{name} suspended\n"
    assert flowbatch("suspend", f"jobflow/{name}")[1] == f"jobflow/{name} already suspended\n"
    until("Suspended", command=("get", "jf", name))
    until("Suspended", command=("get", "jobs", f"{name}-left"))
    assert f"flowbatch resume jobflow/{name}" in flowbatch("why", f"jobflow/{name}")[1]
    assert flowbatch("resume", f"jobflow/{name}")[1] == f"jobflow/{name} resumed\n"
    until("Running", command=("get", "jobs", f"{name}-left"))
    assert slow in flowbatch("get", "jobtemplates")[1]
    assert flowbatch("delete", f"jobflow/{name}")[0] == 0
    until(command=("get", "jobs"))
    code, _, err = flowbatch("describe", f"jobflow/{name}")
    assert (code, f'no jobflow "{name}"' in err) == (1, True)


def test_a_bad_workflow_is_refused_before_anything_is_made(flowbatch, written, unique):
    name = unique("flow")
    bad = flow(name, step("a", "t", "b"), step("b", "t", "a"), step("c", "t", "ghost"))
    code, _, err = flowbatch("validate", written(bad))
    assert code == 2
    assert "spec.flows[0].dependsOn: closes a cycle of 2 steps" in err
    assert "spec.flows[2].dependsOn.targets[0]: 'ghost'" in err
    assert flowbatch("run", written(bad))[0] == 2
    assert flowbatch("get", "jf", name)[0] == 1


def test_a_cron_job_is_shown_suspended_and_resumed(flowbatch, written, unique, until):
    name = unique("cron")
    spec = template("x")["spec"]
    cron = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "CronJob", "metadata": {"name": name}}
    cron["spec"] = {"schedule": "@every 2s", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": spec}}
    assert flowbatch("run", "-d", written(cron))[0] == 0
    until("SawCompletedJob", "Last run:", "@every 2s (UTC)", command=("describe", f"cronjob/{name}"))
    assert flowbatch("suspend", f"cronjob/{name}")[1] == f"cronjob/{name} suspended\n"
    row = until(name, "yes", command=("get", "cronjob", name))
    assert "@every 2s" in row
    assert flowbatch("resume", f"cronvj/{name}")[1] == f"cronjob/{name} resumed\n"
    assert json.loads(flowbatch("get", "cronjob", name, "-o", "json")[1])["spec"]["suspend"] is False
    assert flowbatch("delete", f"cronjob/{name}")[0] == 0


def test_the_example_of_a_probe_runs_for_real(flowbatch):
    code, out, err = flowbatch("run", "--plain", str(EXAMPLES / "jobflow_probe.yaml"))
    assert code == 0, out + err
    assert "ask Probing" in out
    assert "the server says: hello from the server" in out
    assert 'the client heard: "hello from the server"' in out


@pytest.mark.parametrize("name", ["cron.yaml", "jobflow_probe.yaml"])
def test_the_examples_have_no_problem(flowbatch, name):
    assert "no problems" in flowbatch("validate", str(EXAMPLES / name))[1]


def test_the_example_of_a_cron_job_is_taken(flowbatch):
    assert flowbatch("run", "-d", str(EXAMPLES / "cron.yaml"))[0] == 0
    assert "Europe/Berlin" in flowbatch("get", "cronjobs")[1]
    assert flowbatch("delete", "-f", str(EXAMPLES / "cron.yaml"))[0] == 0
