"""Mutations of valid manifests, each with who can tell: the CEL that is shipped, or only what runs the whole table.

`specs(count)` are the same ones on every machine: valid manifests of every kind with none to three mutations.
"""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.admissionworld import command, cron, flow, hyper_node, job, pod_group, queue, task, template

Change = Callable[[Any], None]


class Mutation(NamedTuple):
    """`cel`: a CRD's schema, its rules or a policy of the API server refuses it; else the table alone does."""

    name: str
    change: Change
    cel: bool = True


class Spec(NamedTuple):
    """A manifest, and what was done to it; without a mutation it is valid."""

    manifest: dict[str, Any]
    mutations: tuple[Mutation, ...]

    @property
    def valid(self) -> bool:
        return not self.mutations

    @property
    def cel_refuses(self) -> bool:
        return any(each.cel for each in self.mutations)

    @property
    def story(self) -> str:
        return f"{self.manifest['kind']} with {[each.name for each in self.mutations]}: {self.manifest}"


DROP = object()


def put(path: str, value: Any) -> Change:
    """Set (or DROP) what is at a dotted path; numbers index lists."""

    def change(manifest: Any) -> None:
        *way, last = path.split(".")
        at = manifest
        for part in way:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        if value is DROP:
            at.pop(int(last) if isinstance(at, list) else last, None)
        else:
            at[int(last) if isinstance(at, list) else last] = copy.deepcopy(value)

    return change


def wrong(path: str, value: Any, cel: bool = True) -> Mutation:
    return Mutation(f"{path} = {'nothing' if value is DROP else value!r}"[:90], put(path, value), cel)


def _circle(manifest: Any) -> None:
    put("spec.tasks.0.dependsOn", {"name": ["other"]})(manifest)
    put("spec.tasks.1.dependsOn", {"name": ["worker"]})(manifest)


T, C = "spec.tasks.0", "spec.tasks.0.template.spec.containers.0"
ABORT = {"event": "PodFailed", "action": "AbortJob"}


def _policies(scope: str) -> list[Mutation]:
    lists: list[list[dict[str, Any]]] = [
        [{"event": "PodFailed", "action": "Explode"}],
        [{"event": "PodFailed"}],
        [{"action": "AbortJob"}],
        [{"event": "PodFailed", "exitCode": 3, "action": "AbortJob"}],
        [{"exitCode": 0, "action": "AbortJob"}],
        [{"exitCode": 256, "action": "AbortJob"}],
        [{"exitCode": 3, "action": "AbortJob"}] * 2,
        [ABORT, ABORT],
        [ABORT, {"events": ["Unknown", "PodFailed"], "action": "RestartJob"}],
        [{"event": "*", "action": "AbortJob"}, ABORT],
        [{"event": "PodPending", "action": "AbortJob"}],
        [{"event": "PodPending", "action": "AbortJob", "timeout": "0s"}],
        [{**ABORT, "timeout": "1d"}],
        [{**ABORT, "timeout": "1h30"}],
        [{**ABORT, "timeout": "-5s"}],
        [{"event": "OutOfSync", "action": "AbortJob"}],
        [{"event": "Nonsense", "action": "AbortJob"}],
    ]
    return [wrong(f"{scope}.policies", each) for each in lists]


JOB: list[Mutation] = [
    wrong("spec.maxRetry", -1),
    wrong("spec.minAvailable", -1),
    wrong("spec.minAvailable", 100),
    wrong("spec.minSuccess", 0),
    wrong("spec.minSuccess", 100),
    wrong("spec.ttlSecondsAfterFinished", -1),
    wrong("spec.tasks", []),
    wrong("spec.tasks", DROP),
    wrong("spec.queue", "root"),
    wrong("spec.queue", "q" * 64),
    wrong("spec.queue", "Not OK"),
    wrong("spec.schedulerName", "s" * 64),
    wrong("spec.priorityClassName", "High!"),
    wrong("spec.networkTopology", {"mode": "hard", "highestTierAllowed": 1, "highestTierName": "rack"}),
    wrong("spec.networkTopology", {"mode": "firm"}),
    wrong("metadata.name", "x" * 64),
    wrong("metadata.name", "x" * 56),
    wrong("metadata.name", "Pi"),
    wrong("spec.plugins", {"scv": []}),
    wrong("spec.volumes", [{"mountPath": "/a:b", "volumeClaimName": "c"}]),
    wrong("spec.volumes", [{"volumeClaimName": "c"}]),
    wrong("spec.volumes", [{"mountPath": "/a"}]),
    wrong("spec.volumes", [{"mountPath": "/a", "volumeClaimName": "c"}, {"mountPath": "/a", "volumeClaimName": "d"}]),
    wrong(f"{T}.replicas", -1),
    wrong(f"{T}.replicas", 2_000_000),
    wrong(f"{T}.minAvailable", 50),
    wrong(f"{T}.minAvailable", -1),
    wrong(f"{T}.maxRetry", -2),
    wrong(f"{T}.name", "Worker_1"),
    wrong(f"{T}.name", "w" * 64),
    wrong(f"{T}.topologyPolicy", "strict"),
    wrong(f"{T}.dependsOn", {"name": ["nobody"]}),
    wrong(f"{T}.dependsOn", {"name": ["worker"]}),
    wrong(f"{T}.dependsOn", {"name": ["other"], "iteration": "some"}),
    wrong(f"{T}.dependsOn", {"name": ["other", "other"]}),
    wrong(f"{T}.partitionPolicy", {"totalPartitions": 3, "partitionSize": 5}),
    wrong(f"{T}.partitionPolicy", {"totalPartitions": 0, "partitionSize": 1}),
    wrong(f"{T}.partitionPolicy", {"totalPartitions": 2, "partitionSize": 1, "minPartitions": 3}),
    wrong(f"{T}.template.spec.containers", []),
    wrong(f"{C}.image", DROP),
    wrong(f"{C}.name", "Main"),
    wrong("spec.tasks.1.name", "worker"),
    *_policies("spec"),
    *_policies(T),
    wrong(f"{T}.dependsOn", {"name": ["other"], "status": "Sleeping"}),
    wrong("spec.reservationPolicy", "half"),
    wrong("spec.activeDeadlineSeconds", 0),
    wrong("spec.ttlSecondsAfterSuspended", -1),
    # flowbatch's own fields, where they depend on each other.
    wrong("spec.retry", {"maxBackoffSeconds": 5}, cel=False),
    wrong("spec.retry", {"memoryIncreasePercent": 50}, cel=False),
    wrong("spec.inputs", [{"name": "a", "url": "not a url", "path": "/a"}], cel=False),
    wrong("spec.outputs", [{"name": "a", "url": "file:///data/x", "path": "relative"}], cel=False),
    wrong("spec.policies", [{"event": "PodFailed", "action": "RestartPartition"}], cel=False),
    # What a pod would be refused for, circles, arguments: the table alone.
    wrong("spec.runningEstimate", "1 day", cel=False),
    wrong("spec.plugins", {"mpi": []}, cel=False),
    wrong("spec.plugins", {"svc": ["--no-such-flag"]}, cel=False),
    wrong(f"{C}.resources", {"requests": {"cpu": "4 cores"}}, cel=False),
    wrong(f"{C}.resources", {"requests": {"cpu": "-1"}}, cel=False),
    wrong(f"{C}.resources", {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}, cel=False),
    wrong(f"{C}.env", [{"name": "A=B", "value": "1"}], cel=False),
    wrong(f"{C}.ports", [{"containerPort": 0}], cel=False),
    wrong(f"{C}.volumeMounts", [{"name": "nowhere", "mountPath": "/x"}], cel=False),
    wrong(f"{C}.imagePullPolicy", "Sometimes", cel=False),
    wrong(f"{T}.template.spec.restartPolicy", "Maybe", cel=False),
    wrong(f"{T}.template.metadata", {"labels": {"a b": "c"}}, cel=False),
    wrong(f"{T}.topologyPolicy", "single-numa-node", cel=False),
    Mutation("spec.tasks = a circle of two", _circle, cel=False),
]
#: A template's name is not its jobs' name.
TEMPLATE = [each for each in JOB if not each.name.startswith("metadata")]
PATH, WEIGHTS = "volcano.sh/hierarchy", "volcano.sh/hierarchy-weights"
QUEUE: list[Mutation] = [
    wrong("spec.weight", -1),
    wrong("spec.weight", 70000),
    wrong("spec.parent", "q"),
    wrong("spec.dequeueStrategy", "random"),
    wrong("spec.deserved", {"cpu": "64"}),
    wrong("spec.guarantee", {"resource": {"cpu": "8"}}),
    wrong("spec.guarantee", {"resource": {"cpu": "64"}}),
    wrong("spec.guarantee", {"resource": {"nvidia.com/gpu": 1}}),
    wrong("spec.capability", {"cpu": "-1"}),
    wrong("spec.deserved", {"cpu": "many"}),
    wrong("metadata.name", "q" * 64),
    wrong("metadata.annotations", {PATH: "root/a"}),
    wrong("metadata.annotations", {PATH: "root/a", WEIGHTS: "1"}),
    wrong("metadata.annotations", {PATH: "root/a/b", WEIGHTS: "1/2"}),
    wrong("metadata.annotations", {PATH: "root/a", WEIGHTS: "1/-2"}),
    wrong("metadata.annotations", {PATH: "root/a", WEIGHTS: "1/x"}),
    wrong("metadata.annotations", {PATH: "root/a", WEIGHTS: "1/0"}),
    wrong("spec.capability", {"cpu": "16", "memory": "9" * 50}, cel=False),
]
POD_GROUP: list[Mutation] = [
    wrong("spec.minMember", -1),
    wrong("spec.queue", "root"),
    wrong("spec.minTaskMember", {"worker": -1}),
    wrong("spec.minResources", {"cpu": "-1"}),
    wrong("spec.minResources", {"cpu": "1 Gi"}),
    wrong("spec.networkTopology", {"mode": "soft", "highestTierAllowed": 2, "highestTierName": "rack"}),
    wrong("spec.subGroupPolicy", [{"name": "a", "subGroupSize": 0}]),
    wrong("spec.declaredTasks", [{"name": "a", "count": 1}, {"name": "a", "count": 1}]),
    wrong("spec.declaredTasks", [{"name": "a", "count": 1, "minimum": 2}]),
    wrong("spec.declaredTasks", [{"name": "a", "count": 1, "waitsFor": ["b"]}], cel=False),
]
HYPER_NODE: list[Mutation] = [
    wrong("spec.tier", -1),
    wrong("spec.members", []),
    wrong("spec.members.0.type", "Rack"),
    wrong("spec.members.0.selector", {}),
    wrong("spec.members.0.selector", DROP),
    wrong("spec.members.0.selector", {"exactMatch": {"name": ""}}),
    wrong("spec.members.0.selector", {"exactMatch": {"name": "Not OK"}}),
    wrong("spec.members.0.selector", {"regexMatch": {"pattern": ""}}),
    wrong("spec.members.0.selector", {"exactMatch": {"name": "n"}, "regexMatch": {"pattern": "n"}}),
    wrong("spec.members.0", {"type": "HyperNode", "selector": {"labelMatch": {"matchLabels": {"a": "b"}}}}),
    wrong("spec.members.0.selector", {"regexMatch": {"pattern": "a("}}, cel=False),
]
COMMAND: list[Mutation] = [
    wrong("action", "Stop"),
    wrong("action", DROP),
    wrong("action", "OpenQueue"),
    wrong("target", DROP),
]
CRON: list[Mutation] = [
    wrong("metadata.name", "n" * 53),
    wrong("spec.concurrencyPolicy", "Maybe"),
    wrong("spec.failedJobsHistoryLimit", -1),
    wrong("spec.schedule", "every day", cel=False),
    wrong("spec.timeZone", "Mars/Olympus", cel=False),
]
FLOW: list[Mutation] = [
    wrong("spec.jobRetainPolicy", "burn"),
    wrong("spec.flows.1.dependsOn", {"targets": ["b"]}),
    wrong("spec.flows.1.dependsOn", {"targets": ["nobody"]}),
    wrong("spec.flows.1.retry", {"limit": -1}),
    wrong("spec.flows.0.dependsOn", {"targets": ["b"]}, cel=False),
]


def _job(draw: random.Random) -> dict[str, Any]:
    spec = {"minAvailable": draw.randint(1, 3)} if draw.random() < 0.5 else {}
    if draw.random() < 0.3:
        spec["policies"] = [{"event": "PodEvicted", "action": "RestartJob"}, {"exitCode": 3, "action": "AbortJob"}]
    if draw.random() < 0.3:
        spec["plugins"] = {"env": [], "svc": []}
    return job(f"j{draw.randrange(10**6)}", tasks=[task(), task("other", draw.randint(1, 4), minAvailable=1)], **spec)


def _queue(draw: random.Random) -> dict[str, Any]:
    return queue("q", weight=draw.randint(1, 9), capability={"cpu": "16"}, deserved={"cpu": "4", "memory": "8Gi"})


#: (how often, a valid manifest, its mutations)
KINDS: list[tuple[int, Callable[[random.Random], Any], list[Mutation]]] = [
    (60, _job, JOB),
    (8, lambda draw: template("t", tasks=[task(), task("other")]), TEMPLATE),
    (12, _queue, QUEUE),
    (8, lambda draw: pod_group(minMember=draw.randint(1, 4)), POD_GROUP),
    (8, lambda draw: hyper_node("s1", {"type": "Node", "selector": {"exactMatch": {"name": "n1"}}}), HYPER_NODE),
    (4, lambda draw: command(), COMMAND),
    (4, lambda draw: cron(), CRON),
    (4, lambda draw: flow({"name": "a"}, {"name": "b", "dependsOn": {"targets": ["a"]}}), FLOW),
]


def specs(count: int, seed: int = 1) -> Iterator[Spec]:
    """First every mutation once, alone; then at random. Two mutations of one place would undo each other."""
    draw = random.Random(seed)
    alone = [(make, each) for _, make, known in KINDS for each in known]
    for number in range(count):
        if number < len(alone):
            make, one = alone[number]
            chosen = [one]
        else:
            (_, make, known) = draw.choices(KINDS, [weight for weight, _, _ in KINDS])[0]
            chosen = draw.sample(known, draw.choice([0, 0, 1, 2, 3]))
        manifest = make(draw)
        kept: list[Mutation] = []
        for each in chosen:
            if not any(_same_place(each, other) for other in kept):
                each.change(manifest)
                kept.append(each)
        yield Spec(manifest, tuple(kept))


def _same_place(one: Mutation, other: Mutation) -> bool:
    """Whether one of the two would undo the other, or find nothing to change."""
    places = [".".join(each.name.split(" = ")[0].split(".")[:3]) + "." for each in (one, other)]
    return places[0].startswith(places[1]) or places[1].startswith(places[0])
