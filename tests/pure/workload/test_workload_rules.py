"""Is every wrong Job refused at the right path, with all its problems at once, and every right one let through?"""

import copy
from typing import Any

import pytest

from flowbatch.workload.defaults import default_job
from flowbatch.workload.rules import check_job
from flowbatch.workload.vocabulary import ACTIONS, EVENTS

POD = {"spec": {"containers": [{"name": "main", "image": "busybox"}]}}


def shown(value: Any) -> str:
    """A test's name: integers of thousands of digits cannot be printed."""
    return "huge" if isinstance(value, int) and value > 2**64 else "..." if isinstance(value, dict) else str(value)[:50]


def good() -> dict[str, Any]:
    return {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {"name": "pi", "namespace": "default"},
        "spec": {"tasks": [{"name": "worker", "replicas": 2, "template": copy.deepcopy(POD)}]},
    }


def at(manifest: Any, path: str, value: Any) -> Any:
    """`manifest` with `value` at `path` ("spec.tasks.0.name"); DROP removes what is there."""
    place, parts = manifest, path.split(".")
    for part in parts[:-1]:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    last: Any = int(parts[-1]) if isinstance(place, list) else parts[-1]
    if value is DROP:
        del place[last]
    else:
        place[last] = value
    return manifest


DROP = object()
C = "spec.tasks.0.template.spec.containers.0"
SHOWN = "spec.tasks[0].template.spec.containers[0]"

#: (where, what is put there, where the problem is reported, a piece of what is said)
WRONG: list[tuple[str, Any, str, str]] = [
    # counts
    ("spec.tasks.0.replicas", -1, "spec.tasks[0].replicas", "at least 0"),
    ("spec.tasks.0.replicas", 2**31, "spec.tasks[0].replicas", "at most 2147483647"),
    ("spec.tasks.0.replicas", 10**9, "spec.tasks", "at most 1000000"),
    ("spec.tasks.0.replicas", 2.0, "spec.tasks[0].replicas", "a whole number"),
    ("spec.tasks.0.replicas", True, "spec.tasks[0].replicas", "not a boolean"),
    ("spec.tasks.0.replicas", "3", "spec.tasks[0].replicas", "not a string"),
    ("spec.tasks.0.replicas", 10**5000, "spec.tasks[0].replicas", "at most"),
    ("spec.tasks.0.minAvailable", 3, "spec.tasks[0].minAvailable", "greater than replicas"),
    ("spec.tasks.0.minAvailable", -1, "spec.tasks[0].minAvailable", "at least 0"),
    ("spec.minAvailable", 3, "spec.minAvailable", "replicas of all tasks (2)"),
    ("spec.minAvailable", -1, "spec.minAvailable", "at least 0"),
    ("spec.maxRetry", -1, "spec.maxRetry", "at least 0"),
    ("spec.tasks.0.maxRetry", -2, "spec.tasks[0].maxRetry", "at least -1"),
    ("spec.ttlSecondsAfterFinished", -1, "spec.ttlSecondsAfterFinished", "at least 0"),
    ("spec.minSuccess", 0, "spec.minSuccess", "at least 1"),
    ("spec.minSuccess", 3, "spec.minSuccess", "replicas of all tasks"),
    ("spec.tasks", [], "spec.tasks", "at least one task"),
    ("spec.tasks", DROP, "spec.tasks", "at least one task"),
    ("spec", DROP, "spec", "is missing"),
    # names
    ("metadata.name", "", "metadata.name", "is missing"),
    ("metadata.name", "Pi", "metadata.name", "lower-case"),
    ("metadata.name", "a" * 64, "metadata.name", "at most 63"),
    ("metadata.name", "a" * 254, "metadata.name", "at most 253"),
    ("metadata.name", "pi-", "metadata.name", "begin and end"),
    ("metadata.name", "п", "metadata.name", "lower-case"),
    ("metadata.name", "a\u202eb", "metadata.name", "lower-case"),
    ("metadata.name", "a\x00", "metadata.name", "lower-case"),
    ("metadata.name", "..", "metadata.name", "lower-case"),
    ("metadata.name", "a\n", "metadata.name", "lower-case"),
    ("metadata.name", "x" * 60, "spec.tasks[0].name", "pod name of 69 characters"),
    ("spec.tasks.0.name", "Worker_1", "spec.tasks[0].name", "lower-case"),
    ("spec.tasks.0.name", "a" * 64, "spec.tasks[0].name", "at most 63"),
    ("spec.tasks.0.name", 7, "spec.tasks[0].name", "a string, not a number"),
    ("spec.queue", "Not OK", "spec.queue", "lower-case"),
    ("spec.queue", "root", "spec.queue", "takes no jobs"),
    ("spec.priorityClassName", "High!", "spec.priorityClassName", "lower-case"),
    ("spec.schedulerName", "s" * 64, "spec.schedulerName", "63"),
    ("metadata.labels", {"a b": "x"}, "metadata.labels.a b", "label name"),
    ("metadata.labels", {"a": "x" * 64}, "metadata.labels.a", "at most 63"),
    ("metadata.labels", {"a": 1}, "metadata.labels.a", "a string"),
    ("metadata.annotations", {"a": "x" * 300_000}, "metadata.annotations", "at most 262144"),
    (
        "metadata.annotations",
        {"volcano.sh/jdb-min-available": "0%"},
        "metadata.annotations.volcano.sh/jdb-min-available",
        "1%",
    ),
    # graph
    ("spec.tasks.0.dependsOn", {"name": ["worker"]}, "spec.tasks[0].dependsOn.name[0]", "the task itself"),
    ("spec.tasks.0.dependsOn", {"name": ["wroker"]}, "spec.tasks[0].dependsOn.name[0]", "not a task"),
    ("spec.tasks.0.dependsOn", {"name": "worker"}, "spec.tasks[0].dependsOn.name", "a list"),
    ("spec.tasks.0.dependsOn", {"name": [], "iteration": "al"}, "spec.tasks[0].dependsOn.iteration", "not known"),
    # policies
    ("spec.policies", [{"event": "PodFialed", "action": "RestartJob"}], "spec.policies[0].event", "not an event"),
    ("spec.policies", [{"event": "PodFailed", "action": "Restart"}], "spec.policies[0].action", "not an action"),
    ("spec.policies", [{"event": "PodFailed"}], "spec.policies[0].action", "is missing"),
    ("spec.policies", [{"action": "RestartJob"}], "spec.policies[0]", "event, events or an exitCode"),
    ("spec.policies", [{"event": "PodFailed", "exitCode": 3, "action": "AbortJob"}], "spec.policies[0]", "both"),
    ("spec.policies", [{"exitCode": 0, "action": "AbortJob"}], "spec.policies[0].exitCode", "success"),
    ("spec.policies", [{"exitCode": 256, "action": "AbortJob"}], "spec.policies[0].exitCode", "1 to 255"),
    ("spec.policies", [{"exitCode": 3, "action": "AbortJob"}] * 2, "spec.policies[1].exitCode", "already"),
    ("spec.policies", [{"event": "Unknown", "action": "AbortJob"}] * 2, "spec.policies[1].event", "already"),
    (
        "spec.policies",
        [{"event": "*", "action": "AbortJob"}, {"event": "PodFailed", "action": "RestartJob"}],
        "spec.policies",
        "leaves nothing",
    ),
    ("spec.policies", [{"event": "PodPending", "action": "AbortJob"}], "spec.policies[0].timeout", "is missing"),
    (
        "spec.policies",
        [{"event": "PodPending", "action": "AbortJob", "timeout": "0s"}],
        "spec.policies[0].timeout",
        "longer",
    ),
    (
        "spec.policies",
        [{"event": "PodFailed", "action": "AbortJob", "timeout": "1d"}],
        "spec.policies[0].timeout",
        "duration",
    ),
    (
        "spec.policies",
        [{"event": "PodFailed", "action": "AbortJob", "timeout": "1h30"}],
        "spec.policies[0].timeout",
        "duration",
    ),
    (
        "spec.policies",
        [{"event": "PodFailed", "action": "AbortJob", "timeout": "1e9s"}],
        "spec.policies[0].timeout",
        "duration",
    ),
    (
        "spec.policies",
        [{"event": "PodFailed", "action": "AbortJob", "timeout": "-5s"}],
        "spec.policies[0].timeout",
        "longer",
    ),
    ("spec.policies", [{"event": "PodFailed", "action": "SyncJob"}], "spec.policies[0].action", "not an action"),
    (
        "spec.policies",
        [{"event": "PodFailed", "action": "RestartPartition"}],
        "spec.policies[0].action",
        "partitionPolicy",
    ),
    (
        "spec.tasks.0.policies",
        [{"events": ["PodFailed", "Oops"], "action": "AbortJob"}],
        "spec.tasks[0].policies[0].events[1]",
        "not an event",
    ),
    # plugins
    ("spec.plugins", {"scv": []}, "spec.plugins.scv", "not a plugin"),
    ("spec.plugins", {"svc": ["--publish"]}, "spec.plugins.svc[0]", "not a flag"),
    ("spec.plugins", {"svc": ["publish"]}, "spec.plugins.svc[0]", "not a flag"),
    ("spec.plugins", {"svc": ["--disable-network-policy=maybe"]}, "spec.plugins.svc[0]", "true or false"),
    ("spec.plugins", {"pytorch": ["--port=x", "--master=worker"]}, "spec.plugins.pytorch[0]", "whole number"),
    ("spec.plugins", {"pytorch": ["--port", "70000", "--master=worker"]}, "spec.plugins.pytorch", "1 to 65535"),
    ("spec.plugins", {"pytorch": ["--port"]}, "spec.plugins.pytorch[0]", "needs a value"),
    ("spec.plugins", {"mpi": ["--master=wrkr"]}, "spec.plugins.mpi", "needs a master task"),
    ("spec.plugins", {"tensorflow": ["--worker=w"]}, "spec.plugins.tensorflow", "no task of any role"),
    ("spec.plugins", {"svc": "x"}, "spec.plugins.svc", "a list"),
    ("spec.plugins", ["svc"], "spec.plugins", "an object"),
    # volumes
    ("spec.volumes", [{"volumeClaimName": "a"}], "spec.volumes[0].mountPath", "is missing"),
    ("spec.volumes", [{"mountPath": "/a:b", "volumeClaimName": "a"}], "spec.volumes[0].mountPath", "':'"),
    ("spec.volumes", [{"mountPath": "/a", "volumeClaimName": "a"}] * 2, "spec.volumes[1].mountPath", "already"),
    ("spec.volumes", [{"mountPath": "/a"}], "spec.volumes[0]", "volumeClaimName or a volumeClaim"),
    # topology and partitions
    (
        "spec.tasks.0.partitionPolicy",
        {"totalPartitions": 2, "partitionSize": 2},
        "spec.tasks[0].partitionPolicy",
        "must be the task's replicas",
    ),
    (
        "spec.tasks.0.partitionPolicy",
        {"totalPartitions": 2, "partitionSize": 1, "minPartitions": 3},
        "spec.tasks[0].partitionPolicy",
        "exceed",
    ),
    ("spec.networkTopology", {"highestTierAllowed": 1, "highestTierName": "rack"}, "spec.networkTopology", "both"),
    ("spec.networkTopology", {"mode": "firm"}, "spec.networkTopology.mode", "hard or soft"),
    ("spec.tasks.0.topologyPolicy", "single", "spec.tasks[0].topologyPolicy", "not known"),
    ("spec.tasks.0.topologyPolicy", "restricted", SHOWN + ".resources", "whole cpus"),
    ("spec.runningEstimate", "soon", "spec.runningEstimate", "duration"),
    # pods
    ("spec.tasks.0.template", DROP, "spec.tasks[0].template", "is missing"),
    ("spec.tasks.0.template.spec.containers", [], "spec.tasks[0].template.spec.containers", "at least one"),
    ("spec.tasks.0.template.spec.containers", {}, "spec.tasks[0].template.spec.containers", "a list"),
    (C + ".name", DROP, SHOWN + ".name", "is missing"),
    (C + ".name", "A", SHOWN + ".name", "lower-case"),
    (C + ".image", DROP, SHOWN + ".image", "is missing"),
    (C + ".image", "", SHOWN + ".image", "is missing"),
    (C + ".imagePullPolicy", "always", SHOWN + ".imagePullPolicy", "not known"),
    (C + ".comand", ["x"], SHOWN + ".comand", "is not a field"),
    (C + ".command", "python x.py", SHOWN + ".command", "a list"),
    (C + ".env", [{"name": "A=B"}], SHOWN + ".env[0].name", "'='"),
    (C + ".env", [{"name": ""}], SHOWN + ".env[0].name", "empty"),
    (C + ".env", [{"name": "A", "value": 1}], SHOWN + ".env[0].value", "a string, not a number"),
    (C + ".env", [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {}}}], SHOWN + ".env[0]", "both"),
    (C + ".ports", [{"containerPort": 0}], SHOWN + ".ports[0].containerPort", "1 to 65535"),
    (C + ".ports", [{"containerPort": 1, "hostPort": 70000}], SHOWN + ".ports[0].hostPort", "1 to 65535"),
    (C + ".ports", [{"containerPort": 1, "protocol": "tcp"}], SHOWN + ".ports[0].protocol", "not known"),
    (C + ".ports", [{"containerPort": 1, "name": "a-name-far-too-long"}], SHOWN + ".ports[0].name", "at most 15"),
    (C + ".volumeMounts", [{"name": "x", "mountPath": "/x"}], SHOWN + ".volumeMounts[0].name", "not a volume"),
    (
        "spec.tasks.0.template.spec.restartPolicy",
        "never",
        "spec.tasks[0].template.spec.restartPolicy",
        "restart policy",
    ),
    (
        "spec.tasks.0.template.spec.terminationGracePeriodSeconds",
        -1,
        "spec.tasks[0].template.spec.terminationGracePeriodSeconds",
        "at least 0",
    ),
    ("spec.tasks.0.template.spec.nodeSelector", {"a": 1}, "spec.tasks[0].template.spec.nodeSelector.a", "a string"),
    ("spec.tasks.0.template.spec.hostname", "A", "spec.tasks[0].template.spec.hostname", "lower-case"),
    # resources
    (C + ".resources", {"requests": {"cpu": "4 cores"}}, SHOWN + ".resources.requests.cpu", 'did you mean "4"'),
    (C + ".resources", {"requests": {"memory": "1GB"}}, SHOWN + ".resources.requests.memory", 'did you mean "1G"'),
    (C + ".resources", {"requests": {"cpu": -1}}, SHOWN + ".resources.requests.cpu", "negative"),
    (C + ".resources", {"requests": {"cpu": "-0"}}, SHOWN + ".resources.requests.cpu", "negative"),
    (C + ".resources", {"requests": {"cpu": "."}}, SHOWN + ".resources.requests.cpu", "no digits"),
    (C + ".resources", {"requests": {"cpu": float("nan")}}, SHOWN + ".resources.requests.cpu", "not a quantity"),
    (C + ".resources", {"requests": {"cpu": None}}, SHOWN + ".resources.requests.cpu", "not null"),
    (C + ".resources", {"requests": {"cpu": ["1"]}}, SHOWN + ".resources.requests.cpu", "a string or a number"),
    (C + ".resources", {"requests": {"cpu": 10**6000}}, SHOWN + ".resources.requests.cpu", "larger than any amount"),
    (C + ".resources", {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}, SHOWN + ".resources.requests.cpu", "limit"),
    (C + ".resources", {"requests": {"gpus": "2"}}, SHOWN + ".resources.requests.gpus", "not a resource"),
    (C + ".resources", {"limits": {"nvidia.com/gpu": "0.5"}}, SHOWN + ".resources.limits.nvidia.com/gpu", "whole"),
    (C + ".resources", {"requests": {"nvidia.com/gpu": 1}}, SHOWN + ".resources.limits.nvidia.com/gpu", "is missing"),
    (
        C + ".resources",
        {"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}},
        SHOWN + ".resources.requests.nvidia.com/gpu",
        "equal its limit",
    ),
    # structure
    ("kind", "Jop", "kind", "must be Job"),
    ("apiVersion", "batch/v1", "apiVersion", "must be batch.volcano.sh/v1alpha1"),
    ("spec", None, "spec", "not null"),
    ("spec", [], "spec", "an object, not a list"),
    ("spec", "x", "spec", "an object, not a string"),
    ("metadata", "x", "metadata", "an object"),
    ("spec.tasks", {}, "spec.tasks", "a list, not an object"),
    ("spec.tasks", "worker", "spec.tasks", "write [worker]"),
    ("spec.tasks.0", "worker", "spec.tasks[0]", "an object, not a string"),
    ("spec.tasks.0.template", [], "spec.tasks[0].template", "an object"),
    ("spec.queue", None, "spec.queue", "a string, not null"),
    ("spec.taks", [], "spec.taks", 'did you mean "tasks"'),
    ("spec.tasks.0.minAvailabel", 1, "spec.tasks[0].minAvailabel", 'did you mean "minAvailable"'),
    ("spec.parallelism", 1, "spec.parallelism", "is not a field"),
    ("status", {"anything": 1}, "", ""),
]


@pytest.mark.parametrize(("where", "value", "path", "said"), WRONG, ids=shown)
def test_each_wrong_thing_is_refused_at_its_path(where, value, path, said):
    problems = check_job(at(good(), where, value))
    if not path:
        assert problems == []
        return
    found = [str(problem) for problem in problems if problem.path == path]
    assert any(said in text for text in found), [str(problem) for problem in problems]


RIGHT: list[tuple[str, Any]] = [
    ("spec.tasks.0.replicas", 0),
    ("spec.tasks.0.name", DROP),
    ("spec.queue", ""),
    ("spec.tasks.0.maxRetry", -1),
    ("spec.plugins", {"svc": None, "env": [], "ssh": ["--ssh-port=2222", "--no-root"]}),
    ("spec.plugins", {"pytorch": ["--master", "worker", "-port=23456", "--wait-master-enabled"]}),
    ("spec.policies", [{"event": event, "action": "RestartJob", "timeout": "5m"} for event in EVENTS[1:]]),
    ("spec.tasks.0.policies", [{"event": "*", "action": "RestartTask"}, {"exitCode": 3, "action": "AbortJob"}]),
    ("spec.volumes", [{"mountPath": "/a", "volumeClaimName": "a"}, {"mountPath": "/b", "volumeClaim": {"x": 1}}]),
    ("spec.suspend", True),
    ("spec.tasks.0.template.metadata", {"creationTimestamp": None, "labels": {"app": "x"}}),
    (C + ".securityContext", {"privileged": True}),
    (C + ".resources", {"requests": {"cpu": 0.5, "memory": "1Gi"}, "limits": {"cpu": 1, "nvidia.com/gpu": 2}}),
    (C + ".aFieldOfTheFuture", {"deep": [1]}),
    ("spec.tasks.0.topologyPolicy", "none"),
    ("metadata.resourceVersion", "7"),
    ("metadata.managedFields", [{"anything": {}}]),
]


@pytest.mark.parametrize(("where", "value"), RIGHT, ids=shown)
def test_what_is_right_passes_before_and_after_defaulting(where, value):
    job = at(good(), where, value)
    assert [str(problem) for problem in check_job(job)] == []
    assert [str(problem) for problem in check_job(default_job(job))] == []


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "RestartPartition"])
def test_every_action_is_known(action):
    assert check_job(at(good(), "spec.policies", [{"event": "PodFailed", "action": action}])) == []


def test_all_problems_come_at_once_and_each_once():
    job = good()
    for where, value in (("spec.maxRetry", -1), ("spec.taks", 1), (C + ".image", ""), ("metadata.name", "A")):
        at(job, where, value)
    paths = [problem.path for problem in check_job(job)]
    assert sorted(paths) == sorted({"spec.maxRetry", "spec.taks", SHOWN + ".image", "metadata.name"})


def test_duplicate_tasks_are_named():
    job = good()
    job["spec"]["tasks"].append(copy.deepcopy(job["spec"]["tasks"][0]))
    assert [(each.path, each.problem) for each in check_job(job)] == [
        ("spec.tasks[1].name", "is the name of spec.tasks[0] already")
    ]


def test_a_default_name_collides_with_a_given_one():
    job = good()
    job["spec"]["tasks"] = [{"name": "default1", "template": POD}, {"template": POD}]
    assert check_job(job)[0].path == "spec.tasks[1].name"


def test_mpi_needs_both_its_tasks_and_says_which_flag_names_them():
    job = at(good(), "spec.plugins", {"mpi": []})
    problems = check_job(job)
    assert len(problems) == 1
    assert "--master=" in problems[0].hint


def test_services_need_names_that_a_job_alone_does_not():
    assert check_job(at(good(), "metadata.name", "1st.job")) == []
    for name in ("1st-job", "my.job", "j" * 60):
        job = at(at(good(), "metadata.name", name), "spec.plugins", {"svc": []})
        assert any(each.path == "metadata.name" for each in check_job(job)), name


def test_a_generated_name_counts_with_its_ending():
    job = good()
    job["metadata"] = {"generateName": "x" * 53 + "-"}
    assert check_job(job)[0].path == "spec.tasks[0].name"


def test_a_field_that_the_cluster_does_not_serve_is_refused_by_name():
    job = at(good(), "spec.suspend", True)
    assert check_job(job, served=frozenset({"JobSpec.suspend"})) == []
    (problem,) = check_job(job, served=frozenset())
    assert problem.path == "spec.suspend"
    assert "flowbatch.dev/suspended" in problem.hint


@pytest.mark.parametrize("manifest", [None, [], "x", 7, {}])
def test_what_is_no_manifest_at_all_is_refused_too(manifest):
    assert check_job(manifest)


ADDED_PLACES = {
    "spec.retry": {"backoffSeconds": 1},
    "spec.activeDeadlineSeconds": 1,
    "spec.ttlSecondsAfterSuspended": 1,
    "spec.reservationPolicy": "Phase",
    "spec.tasks.0.retry": {"backoffSeconds": 1},
}


@pytest.mark.parametrize("path", ADDED_PLACES)
def test_each_added_field_is_refused_where_it_would_be_pruned(path):
    job = at(good(), path, ADDED_PLACES[path])
    assert check_job(job) == []
    assert [problem.path for problem in check_job(job, served=frozenset())] == [path.replace(".0.", "[0].")]
