"""Volcano's admission suites (its test/e2e/admission, 111 cases), in our words: what is created, and what comes of it.

A row's `wanted` is where it is refused (the beginning of a path), or what the stored object must contain; `{}` is "let
in". Updates and deletions begin from an object that is there.
"""

from typing import Any, NamedTuple

from tests.admissionworld import flow, hyper_node, job, pod, pod_group, queue, task

Wanted = str | dict[str, Any]


class Row(NamedTuple):
    suite: str
    behaviour: str
    obj: dict[str, Any] | None
    wanted: Wanted
    old: dict[str, Any] | None = None
    namespace: str = "default"


def _hyper(**selector: Any) -> dict[str, Any]:
    return hyper_node("s1", {"type": "Node", "selector": selector})


EXACT, REGEX = _hyper(exactMatch={"name": "node-1"}), _hyper(regexMatch={"pattern": "node-[0-9]+"})
LABELS = _hyper(labelMatch={"matchLabels": {"rack": "r1"}})
HYPER_NODES = [
    ("an exact name selects", EXACT, {}),
    ("a regular expression selects", REGEX, {}),
    ("labels select", LABELS, {}),
    ("an exact name must not be empty", _hyper(exactMatch={"name": ""}), "spec.members[0]"),
    ("a pattern must not be empty", _hyper(regexMatch={"pattern": ""}), "spec.members[0]"),
    ("a pattern must be one", _hyper(regexMatch={"pattern": "[a-z"}), "spec.members[0].selector.regexMatch.pattern"),
    ("somebody must be a member", hyper_node("s1"), "spec.members"),
    ("an exact name is a DNS name", _hyper(exactMatch={"name": "Node_1!"}), "spec.members[0]"),
]


def _plugins(*names: str, **arguments: list[str]) -> dict[str, Any]:
    tasks = [task("master", 1), task("worker", 1), task("ps", 1)]
    return job(plugins={**{name: [] for name in names}, **arguments}, tasks=tasks)


JOB_DEFAULTS = [
    ("a queue", job(), {"queue": "default"}),
    ("a scheduler", job(), {"schedulerName": "volcano"}),
    ("retries", job(), {"maxRetry": 3}),
    ("a minimum of all replicas", job(tasks=[task("a", 2), task("b", 3)]), {"minAvailable": 5}),
    ("the minimums of tasks", job(tasks=[task("a", 3, minAvailable=1), task("b", 3)]), {"minAvailable": 4}),
    ("svc for tensorflow", _plugins("tensorflow"), {"plugins": {"tensorflow": [], "svc": []}}),
    ("svc for mpi", _plugins("mpi"), {"plugins": {"svc": []}}),
    ("svc for pytorch", _plugins("pytorch"), {"plugins": {"svc": []}}),
    ("ssh for mpi", _plugins("mpi"), {"plugins": {"ssh": []}}),
    (
        "plugins that are there as they are",
        _plugins("mpi", svc=["--publish-not-ready-addresses=true"]),
        {"plugins": {"svc": ["--publish-not-ready-addresses=true"]}},
    ),
    (
        "what is said as it is said",
        job(schedulerName="mine", maxRetry=5, minAvailable=1),
        {"schedulerName": "mine", "maxRetry": 5, "minAvailable": 1},
    ),
]
FAILED = {"event": "PodFailed", "action": "AbortJob"}
EVICTED = {"event": "PodEvicted", "action": "RestartJob"}
JOBS = [
    ("a job that is right", job(policies=[EVICTED], plugins={"env": []}), {}),
    ("two tasks of one name", job(tasks=[task("a"), task("a")]), "spec.tasks[1].name"),
    ("a minimum below 0", job(minAvailable=-1), "spec.minAvailable"),
    ("retries below 0", job(maxRetry=-1), "spec.maxRetry"),
    ("a time to live below 0", job(ttlSecondsAfterFinished=-1), "spec.ttlSecondsAfterFinished"),
    ("no tasks", job(tasks=[]), "spec.tasks"),
    ("replicas below 0", job(tasks=[task("a", -1)]), "spec.tasks[0].replicas"),
    ("a task's minimum below 0", job(tasks=[task("a", 1, minAvailable=-1)]), "spec.tasks[0].minAvailable"),
    ("a task's minimum above its replicas", job(tasks=[task("a", 1, minAvailable=2)]), "spec.tasks[0].minAvailable"),
    ("a minimum above all replicas", job(minAvailable=3), "spec.minAvailable"),
    ("a task's name that is no label", job(tasks=[task("Task_1")]), "spec.tasks[0].name"),
    ("an event twice", job(policies=[FAILED, FAILED]), "spec.policies[1].event"),
    ("an event and an exit code", job(policies=[{**FAILED, "exitCode": 3}]), "spec.policies[0]"),
    ("neither event nor exit code", job(policies=[{"action": "AbortJob"}]), "spec.policies[0]"),
    ("an action nobody knows", job(policies=[{"event": "PodFailed", "action": "Explode"}]), "spec.policies[0].action"),
    ("exit code 0", job(policies=[{"exitCode": 0, "action": "AbortJob"}]), "spec.policies[0].exitCode"),
    ("an exit code twice", job(policies=[{"exitCode": 3, "action": "AbortJob"}] * 2), "spec.policies[1].exitCode"),
    ("any event beside another", job(policies=[{"event": "*", "action": "AbortJob"}, EVICTED]), "spec.policies"),
    (
        "a mount path that is none",
        job(volumes=[{"mountPath": "", "volumeClaimName": "c"}]),
        "spec.volumes[0].mountPath",
    ),
    (
        "a mount path twice",
        job(volumes=[{"mountPath": "/a", "volumeClaimName": "c"}, {"mountPath": "/a", "volumeClaimName": "d"}]),
        "spec.volumes[1].mountPath",
    ),
    ("a volume without a claim", job(volumes=[{"mountPath": "/a"}]), "spec.volumes[0]"),
    (
        "dependencies without a circle",
        job(tasks=[task("a"), task("b", dependsOn={"name": ["a"]}), task("c", dependsOn={"name": ["a", "b"]})]),
        {},
    ),
]
JOB_CHANGES = [
    ("sizes may change", job(minAvailable=1, tasks=[task(replicas=5, minAvailable=1)]), {"minAvailable": 1}),
    ("a minimum above all replicas", job(minAvailable=9), "spec.minAvailable"),
    ("a task more", job(tasks=[task(), task("more")]), "spec.tasks"),
    ("another queue", job(queue="ads"), "spec.queue"),
]


def _step(name: str, *targets: str) -> dict[str, Any]:
    return {"name": name, "dependsOn": {"targets": list(targets)}} if targets else {"name": name}


JOB_FLOWS = [
    ("steps in order", flow(_step("a"), _step("b", "a"), _step("c", "b")), {}),
    ("a step that waits for nobody known", flow(_step("a", "nobody")), "spec.flows[0]"),
    ("two that wait for one", flow(_step("a"), _step("b", "a"), _step("c", "a")), {}),
    ("a chain", flow(_step("a"), _step("b", "a")), {}),
    ("a diamond", flow(_step("a"), _step("b", "a"), _step("c", "a"), _step("d", "b", "c")), {}),
    ("no steps", flow(), {}),
    ("one step", flow(_step("a")), {}),
    ("a step that waits for itself", flow(_step("a", "a")), "spec.flows[0].dependsOn"),
]
MIN, MAX = "volcano.sh/jdb-min-available", "volcano.sh/jdb-max-unavailable"
PODS = [
    ("a count", pod(annotations={MIN: "2"}), {}),
    ("a percentage", pod(annotations={MAX: "30%"}), {}),
    ("a count below 0", pod(annotations={MIN: "-1"}), "metadata.annotations"),
    ("a count of 0", pod(annotations={MIN: "0"}), "metadata.annotations"),
    ("0%", pod(annotations={MAX: "0%"}), "metadata.annotations"),
    ("100%", pod(annotations={MAX: "100%"}), "metadata.annotations"),
    ("a word", pod(annotations={MIN: "most"}), "metadata.annotations"),
    ("both budgets", pod(annotations={MIN: "1", MAX: "1"}), "metadata.annotations"),
    ("no budget", pod(), {}),
    ("a pod of another scheduler", pod("default-scheduler", annotations={MIN: "most"}), {}),
]
PATH, WEIGHTS = "volcano.sh/hierarchy", "volcano.sh/hierarchy-weights"


def _path(path: str, weights: str = "") -> dict[str, Any]:
    return queue(annotations={PATH: path, **({WEIGHTS: weights} if weights else {})})


QUEUES = [
    ("an open one", queue(state="Open"), {}),
    ("a closed one", queue(state="Closed"), {}),
    ("one without a state", queue(), {}),
    ("a weight below 0", queue(weight=-1), "spec.weight"),
    ("no weight", queue(reclaimable=True), {"weight": 1}),
    ("deserved alone", queue(deserved={"cpu": "4"}), {}),
    ("a guarantee alone", queue(guarantee={"resource": {"cpu": "4"}}), "spec.guarantee"),
    ("capability below deserved", queue(capability={"cpu": "1"}, deserved={"cpu": "2"}), "spec.deserved"),
    (
        "capability below the guarantee",
        queue(capability={"cpu": "1"}, deserved={"cpu": "2"}, guarantee={"resource": {"cpu": "2"}}),
        "spec.guarantee",
    ),
    (
        "deserved below the guarantee",
        queue(deserved={"cpu": "1"}, guarantee={"resource": {"cpu": "2"}}),
        "spec.guarantee",
    ),
    ("deserved of what capability does not name", queue(capability={"cpu": "4"}, deserved={"memory": "1Gi"}), {}),
    (
        "a guarantee of what capability does not name",
        queue(capability={"cpu": "4"}, deserved={"memory": "1Gi"}, guarantee={"resource": {"memory": "1Gi"}}),
        {},
    ),
    (
        "a guarantee of what is not deserved",
        queue(deserved={"cpu": "4"}, guarantee={"resource": {"memory": "1Gi"}}),
        "spec.guarantee",
    ),
    ("a path without weights", _path("root/a"), "metadata.annotations"),
    ("a path longer than its weights", _path("root/a/b", "1/2"), "metadata.annotations"),
    ("weights longer than their path", _path("root/a", "1/2/3"), "metadata.annotations"),
    ("a weight of the path below 0", _path("root/a", "1/-2"), "metadata.annotations"),
    ("a weight of the path that is no number", _path("root/a", "1/much"), "metadata.annotations"),
    ("a parent that is there", queue(parent="ads"), {}),
]
QUEUE_DEFAULTS = [
    ("others may reclaim", queue(weight=2), {"reclaimable": True}),
    ("a weight", queue(reclaimable=False), {"weight": 1}),
    ("both", queue(), {"reclaimable": True, "weight": 1}),
    ("what is said as it is said", queue(weight=7, reclaimable=False), {"reclaimable": False, "weight": 7}),
]
GROUPS = [
    ("a queue of its own stays", pod_group(queue="ads"), {"queue": "ads"}, "night"),
    ("the namespace's queue instead of the default one", pod_group(), {"queue": "night"}, "night"),
    ("the default queue where the namespace has none", pod_group(), {"queue": "default"}, "default"),
    ("the same for the next one", pod_group("h", queue="default"), {"queue": "night"}, "night"),
    ("an open queue", pod_group(queue="ads"), {}, "default"),
    ("no queue", pod_group(), {}, "default"),
]


def _rows(suite: str, cases: Any, old: dict[str, Any] | None = None) -> list[Row]:
    return [Row(suite, behaviour, obj, wanted, old) for behaviour, obj, wanted in cases]


ROWS: list[Row] = [
    *_rows("hypernode", HYPER_NODES),
    Row("hypernode", "may change to what is right", REGEX, {}, EXACT),
    Row("hypernode", "may not change to what is wrong", _hyper(regexMatch={"pattern": ""}), "spec.members[0]", EXACT),
    *_rows("job defaults", JOB_DEFAULTS),
    *_rows("job", JOBS),
    *_rows("job change", JOB_CHANGES, job()),
    *_rows("jobflow", JOB_FLOWS),
    Row(
        "jobflow",
        "may change to another order",
        flow(_step("a"), _step("c", "a")),
        {},
        flow(_step("a"), _step("b", "a")),
    ),
    *_rows("pod", PODS),
    *_rows("queue", QUEUES),
    Row("queue", "may be closed", queue(state="Closed"), {}, queue(state="Open")),
    Row("queue", "a weight below 0 as a change", queue(weight=-1), "spec.weight", queue()),
    Row("queue", "may be deleted", None, {}, queue()),
    *_rows("queue defaults", QUEUE_DEFAULTS),
    *(Row("podgroup", behaviour, obj, wanted, None, namespace) for behaviour, obj, wanted, namespace in GROUPS),
]
