"""JobSet: each replicated job is a task, and the whole is one gang that starts again when a pod fails.

A JobSet's pods find each other by names that are made of the set, the job, its number and the pod's; wherever such a
name stands in a template it is replaced by the name the same pod has here.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from flowbatch.api.meta import JsonObject
from flowbatch.workload.convert.batch_job import task_of
from flowbatch.workload.convert.fields import Fields
from flowbatch.workload.convert.pieces import each_text, job_manifest, life, max_retry, priority_of

Sized = tuple[JsonObject, int]


def convert_job_set(fields: Fields) -> JsonObject:
    """The Job that does what a JobSet does."""
    spec = fields.inside("spec")
    replicated = spec.each("replicatedJobs")
    sized = [_task(each) for each in replicated]
    tasks = [task for task, _ in sized]
    _order(spec, replicated, tasks)
    whole = {
        **_success(spec, tasks),
        "maxRetry": max_retry(_restarts(spec.inside("failurePolicy"))),
        **life(spec),
        **priority_of(*(task["template"] for task in tasks)),
        "plugins": {"svc": []},
        "policies": [{"event": "PodFailed", "action": "RestartJob"}],
        "tasks": tasks,
    }
    spec.lose("coordinator", "no pod carries its annotation")
    job = job_manifest(fields, whole)
    _rename(spec.inside("network"), job, sized)
    return job


def _task(fields: Fields) -> Sized:
    name, copies = fields.text("name"), fields.whole("replicas", 1)
    template = fields.inside("template")
    template.skip("metadata")
    inner = template.inside("spec")
    fields.lose("groupName")
    task, count = task_of(inner, name, copies)
    if inner.whole("backoffLimit", 0):
        fields.findings.lose(
            inner.at("backoffLimit"), "a failed pod starts the whole again, it is not retried by itself first"
        )
    for key in ("activeDeadlineSeconds", "podFailurePolicy", "successPolicy", "suspend", "ttlSecondsAfterFinished"):
        inner.lose(key)
    return task, count


def _order(spec: Fields, replicated: Sequence[Fields], tasks: Sequence[JsonObject]) -> None:
    """Who waits for whom."""
    policy = spec.inside("startupPolicy")
    if policy.text("startupPolicyOrder") == "InOrder":
        for before, task in pairwise(tasks):
            task["dependsOn"] = {"name": [before["name"]]}
    for each, task in zip(replicated, tasks, strict=True):
        waits = [(dependency.text("name"), dependency.text("status", "Ready")) for dependency in each.each("dependsOn")]
        if waits:
            ended = any(status == "Complete" for _, status in waits)
            task["dependsOn"] = {"name": [name for name, _ in waits], "status": "Succeeded" if ended else "Ready"}
        if len({status for _, status in waits}) > 1:
            each.findings.lose(each.at("dependsOn"), "the task waits until all of them have completed")


def _success(spec: Fields, tasks: Sequence[JsonObject]) -> JsonObject:
    """Done when everything is, or when some tasks are."""
    policy = spec.inside("successPolicy")
    named = policy.texts("targetReplicatedJobs") or [task["name"] for task in tasks]
    every = policy.text("operator", "All") == "All"
    if every and len(named) == len(tasks):
        return {}
    if every and len(named) > 1:
        policy.findings.lose(policy.at("targetReplicatedJobs"), "the job is done when all of its tasks are")
        return {}
    for task in tasks:
        if task["name"] in named:
            task["policies"] = [{"event": "TaskCompleted", "action": "CompleteJob"}]
    return {}


def _restarts(policy: Fields) -> int:
    policy.skip("restartStrategy")
    policy.lose("rules", "every failure starts the whole again")
    return policy.whole("maxRestarts", 0)


def _rename(network: Fields, job: JsonObject, sized: Sequence[Sized]) -> None:
    """The pods' names for each other, in every string of every template."""
    network.skip("enableDNSHostnames", "publishNotReadyAddresses")
    name = job["metadata"].get("name", "")
    if not name:
        return
    subdomain = network.text("subdomain", name)
    counts = {task["name"]: count for task, count in sized}
    tasks = "|".join(sorted(map(re.escape, counts), key=len, reverse=True))
    known = re.compile(rf"\b{re.escape(name)}-({tasks})-(\d+)-(\d+)\b(\.{re.escape(subdomain)}\b)?")

    def ours(match: re.Match[str]) -> str:
        task, number, place, domain = match.groups()
        return f"{name}-{task}-{int(number) * counts[task] + int(place)}" + (f".{name}" if domain else "")

    for task, _ in sized:
        each_text(task["template"]["spec"], lambda text: known.sub(ours, text))
