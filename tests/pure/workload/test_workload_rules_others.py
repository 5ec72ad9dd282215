"""Are queues, PodGroups, Commands and changes of jobs judged as volcano.md 7 says? And is the CEL the same table?"""

import copy

import pytest

from flowbatch.workload.defaults import default_job, default_pod_group, default_queue
from flowbatch.workload.expand import pod_group
from flowbatch.workload.rules import cel_rules, check_command, check_job_update, check_pod_group, check_queue
from flowbatch.workload.rules.job import JOB_RULES
from flowbatch.workload.rules.schema import DECLARED_TASK
from flowbatch.workload.vocabulary import ORDERS
from tests.jobworld import a_job, a_task


def queue(spec=None, *, name="q", annotations=None, state=None):
    manifest = {"metadata": {"name": name, "annotations": annotations or {}}, "spec": spec or {}}
    return manifest | ({"status": {"state": state}} if state else {})


CPU = {"cpu": "4"}
HIERARCHY, WEIGHTS = "volcano.sh/hierarchy", "volcano.sh/hierarchy-weights"


@pytest.mark.parametrize(
    "manifest",
    [
        queue(),
        queue(state="Open"),
        queue(state="Closed"),
        queue({"deserved": CPU}),
        queue({"deserved": CPU, "capability": {"memory": "1Gi"}}),
        queue({"deserved": {"cpu": "2"}, "guarantee": {"resource": {"cpu": "1"}}, "capability": {"memory": "1Gi"}}),
        queue({"weight": 65535, "reclaimable": False, "parent": "root", "dequeueStrategy": "fifo", "priority": -5}),
        queue(annotations={HIERARCHY: "root/a", WEIGHTS: "1/2.5"}),
    ],
)
def test_right_queues_pass_before_and_after_defaulting(manifest):
    assert [str(each) for each in check_queue(manifest)] == []
    assert [str(each) for each in check_queue(default_queue(manifest))] == []


@pytest.mark.parametrize(
    ("manifest", "path", "said"),
    [
        (queue({"weight": -1}), "spec.weight", "1 to 65535"),
        (queue({"weight": 65536}), "spec.weight", "1 to 65535"),
        (queue({"guarantee": {"resource": CPU}}), "spec.guarantee.resource.cpu", "deserved"),
        (queue({"deserved": {"cpu": "8"}, "capability": CPU}), "spec.deserved.cpu", "capability"),
        (queue({"deserved": {"cpu": "1"}, "guarantee": {"resource": CPU}}), "spec.guarantee.resource.cpu", "deserved"),
        (
            queue({"deserved": {"cpu": "8"}, "guarantee": {"resource": {"cpu": "8"}}, "capability": CPU}),
            "spec.guarantee.resource.cpu",
            "capability",
        ),
        (queue({"capability": {"cpu": -1}}), "spec.capability.cpu", "negative"),
        (queue({"capability": {"memory": "1GB"}}), "spec.capability.memory", 'did you mean "1G"'),
        (queue(annotations={HIERARCHY: "root/a"}), f"metadata.annotations.{WEIGHTS}", "missing"),
        (queue(annotations={HIERARCHY: "root/a", WEIGHTS: "1"}), f"metadata.annotations.{WEIGHTS}", "2 parts"),
        (queue(annotations={HIERARCHY: "root/a", WEIGHTS: "1/-1"}), f"metadata.annotations.{WEIGHTS}", "above 0"),
        (queue(annotations={HIERARCHY: "root/a", WEIGHTS: "1/x"}), f"metadata.annotations.{WEIGHTS}", "above 0"),
        (queue(annotations={HIERARCHY: "root/a", WEIGHTS: "1/0.0"}), f"metadata.annotations.{WEIGHTS}", "above 0"),
        (queue(state="Ajar"), "status.state", "not a state"),
        (queue({"dequeueStrategy": "lifo"}), "spec.dequeueStrategy", 'did you mean "fifo"'),
        (queue({"parent": "q"}), "spec.parent", "itself"),
        (queue({"parent": "x"}, name="root"), "spec.parent", "must be empty"),
        (queue(name="Q"), "metadata.name", "lower-case"),
        (queue(name="q" * 64), "metadata.name", "at most 63"),
        (queue({"wieght": 1}), "spec.wieght", 'did you mean "weight"'),
    ],
)
def test_wrong_queues_are_refused(manifest, path, said):
    found = [str(each) for each in check_queue(manifest) if each.path == path]
    assert any(said in each for each in found), [str(each) for each in check_queue(manifest)]


def test_queue_defaults_are_volcanos():
    assert default_queue(queue())["spec"] == {"weight": 1, "reclaimable": True, "parent": "root"}
    assert default_queue(queue(name="root"))["spec"] == {"weight": 1, "reclaimable": False}
    own = {"weight": 3, "reclaimable": False, "parent": "p"}
    assert default_queue(queue(own))["spec"] == own


def test_pod_group_defaults_are_volcanos():
    assert default_pod_group({"metadata": {"name": "g"}})["spec"] == {"queue": "default", "minMember": 1}
    own = {"queue": "q", "minMember": 3}
    assert default_pod_group({"metadata": {"name": "g"}, "spec": own})["spec"] == own


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"minMember": -1}, "spec.minMember"),
        ({"minMember": "1"}, "spec.minMember"),
        ({"queue": "root"}, "spec.queue"),
        ({"minTaskMember": {"a": -1}}, "spec.minTaskMember.a"),
        ({"minResources": {"cpu": "x"}}, "spec.minResources.cpu"),
        ({"declaredTasks": [{"count": 1}]}, "spec.declaredTasks[0].name"),
        ({"declaredTasks": [{"name": "a", "count": 1, "minimum": 2}]}, "spec.declaredTasks[0].minimum"),
        ({"declaredTasks": [{"name": "a", "waitsFor": ["b"]}]}, "spec.declaredTasks[0].waitsFor[0]"),
        ({"declaredTasks": [{"name": "a", "waitsFor": ["a"]}]}, "spec.declaredTasks[0].waitsFor"),
        ({"subGroupPolicy": [{"subGroupSize": 0}]}, "spec.subGroupPolicy[0].subGroupSize"),
        ({"networkTopology": {"highestTierAllowed": 1, "highestTierName": "rack"}}, "spec.networkTopology"),
    ],
)
def test_wrong_pod_groups_are_refused(spec, path):
    assert path in [each.path for each in check_pod_group({"metadata": {"name": "g"}, "spec": spec})]


def command(action, kind="Job", **target):
    return {"metadata": {"name": "c"}, "action": action, "target": {"kind": kind, "name": "x", **target}}


@pytest.mark.parametrize("action", ORDERS)
def test_every_order_has_a_kind_it_is_for(action):
    kind = "Queue" if action.endswith("Queue") else "Job"
    assert check_command(command(action, kind)) == []
    assert check_command(command(action, "Job" if kind == "Queue" else "Queue"))


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (command("Abort"), "action"),
        ({"action": "AbortJob"}, "target"),
        ({"target": {"kind": "Job", "name": "x"}}, "action"),
        ({"action": "AbortJob", "target": {"kind": "Job"}}, "target.name"),
    ],
)
def test_wrong_commands_are_refused(manifest, path):
    assert path in [each.path for each in check_command(manifest)]


# Changes of a job --------------------------------------------------------------------------------------------------

JOB = {
    "metadata": {"name": "j"},
    "spec": {
        "minAvailable": 2,
        "plugins": {"svc": []},
        "tasks": [{"name": "a", "replicas": 2, "template": {"spec": {"containers": []}}}, {"name": "b", "replicas": 1}],
    },
}


def changed(**spec):
    job = copy.deepcopy(JOB)
    job["spec"] |= spec
    return job


def tasks(*changes):
    return [{**task, **change} for task, change in zip(copy.deepcopy(JOB["spec"]["tasks"]), changes, strict=True)]


@pytest.mark.parametrize(
    "new",
    [
        changed(),
        changed(minAvailable=1),
        changed(priorityClassName="high"),
        changed(suspend=True),
        changed(tasks=tasks({"replicas": 5}, {"minAvailable": 0})),
        default_job(JOB),
    ],
)
def test_size_urgency_and_suspension_may_change(new):
    assert [str(each) for each in check_job_update(JOB, new)] == []


@pytest.mark.parametrize(
    ("new", "path"),
    [
        (changed(queue="other"), "spec.queue"),
        (changed(plugins={"svc": ["--x"]}), "spec.plugins"),
        (changed(maxRetry=9), "spec.maxRetry"),
        (changed(tasks=tasks({"name": "c"}, {})), "spec.tasks"),
        (changed(tasks=tasks({}, {})[:1]), "spec.tasks"),
        (changed(tasks=[*tasks({}, {}), {"name": "c"}]), "spec.tasks"),
        (changed(tasks=tasks({}, {})[::-1]), "spec.tasks"),
        (changed(tasks=tasks({"template": {"spec": {"containers": [{"name": "x"}]}}}, {})), "spec.tasks[0].template"),
        (changed(tasks=tasks({}, {"policies": [{"event": "*"}]})), "spec.tasks[1].policies"),
    ],
)
def test_nothing_else_may_change(new, path):
    assert [each.path for each in check_job_update(JOB, new)] == [path]


def test_claim_names_that_a_controller_fills_in_are_no_change():
    old = changed(volumes=[{"mountPath": "/a", "volumeClaim": {"x": 1}}])
    new = changed(volumes=[{"mountPath": "/a", "volumeClaim": {"x": 1}, "volumeClaimName": "job-pvc-1"}])
    assert check_job_update(old, new) == []


# CEL ---------------------------------------------------------------------------------------------------------------


def test_every_rule_with_a_cel_form_is_handed_to_the_crd():
    said = {(path, rule) for path, rule, _ in cel_rules("Job")}
    assert {(rule.path, rule.cel) for rule in JOB_RULES if rule.cel} <= said
    assert ("spec.maxRetry", "self >= 0") in said
    assert cel_rules("Queue")
    assert cel_rules("PodGroup")
    assert cel_rules("Command") == []


@pytest.mark.parametrize("kind", ["Job", "Queue", "PodGroup"])
def test_no_cel_rule_walks_a_list_inside_a_list(kind):
    for path, rule, message in cel_rules(kind):
        assert path.count("[]") <= 1, "the API server bounds the cost of rules"
        assert rule
        assert message


def test_every_group_that_the_job_controller_makes_is_accepted():
    near = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"}
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}}
    spec = {
        "containers": [{"name": "main", "image": "i"}],
        "restartPolicy": "Never",
        "affinity": affinity,
        "topologySpreadConstraints": [spread],
        "tolerations": [{"key": "k", "operator": "Exists"}],
        "nodeSelector": {"zone": "a"},
    }
    waits = {"name": ["a"], "status": "Succeeded"}
    tasks = [a_task("a", 2), a_task("b", 2, dependsOn=waits)]
    for task in tasks:
        task["template"] = {"spec": spec}
    group = pod_group(a_job(*tasks, reservationPolicy="Peak"))
    assert check_pod_group(group) == []
    named = {field for task in group["spec"]["declaredTasks"] for field in task}
    assert named == set(DECLARED_TASK.known) - {"requests"}
