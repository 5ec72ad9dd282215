"""Wire paths in the words of the DSL: `spec.tasks[1].minAvailable` is `Task("worker").min`."""

import re

from flowbatch_dsl.job import Job
from flowbatch_dsl.resources import GPU

_TASK = re.compile(r"spec\.tasks\[([0-9]+)\]\.?(.*)", re.DOTALL)
_CONTAINER = "template.spec.containers[0]"
_POLICY_FIELDS = {"action": "do", "exitCode": "exit_code", "timeout": "after", "events": "event"}
_JOB_FIELDS = {
    "metadata.name": "name",
    "metadata.namespace": "namespace",
    "metadata.labels": "labels",
    "metadata.annotations": "annotations",
    "spec.schedulerName": "scheduler",
    "spec.queue": "queue",
    "spec.priorityClassName": "priority",
    "spec.minAvailable": "min_available",
    "spec.minSuccess": "min_success",
    "spec.maxRetry": "retries",
    "spec.ttlSecondsAfterFinished": "ttl_s",
    "spec.plugins": "plugins",
    "spec.policies": "on",
    "spec.tasks": "tasks",
}
_TASK_FIELDS = {
    "name": "name",
    "replicas": "replicas",
    "minAvailable": "min",
    "maxRetry": "retries",
    "dependsOn.iteration": "iteration",
    "dependsOn.name": "after",
    "dependsOn": "after",
    "policies": "on",
    "template.spec.restartPolicy": "restart",
    f"{_CONTAINER}.name": "container",
    f"{_CONTAINER}.image": "image",
    f"{_CONTAINER}.command": "command",
    f"{_CONTAINER}.workingDir": "workdir",
    f"{_CONTAINER}.env": "env",
    f"{_CONTAINER}.resources.requests.cpu": "resources.cpu",
    f"{_CONTAINER}.resources.requests.memory": "resources.memory",
    f"{_CONTAINER}.resources.requests.{GPU}": "resources.gpu",
    f"{_CONTAINER}.resources.requests[{GPU}]": "resources.gpu",
    f'{_CONTAINER}.resources.requests["{GPU}"]': "resources.gpu",
    f"{_CONTAINER}.resources.requests": "resources.extra",
    f"{_CONTAINER}.resources": "resources",
}


def dsl_name(job: Job, path: str) -> str:
    """What the author of `job` calls the thing at `path`."""
    match = _TASK.fullmatch(path)
    if match is None:
        return _named("Job", job.name, _field(path, _JOB_FIELDS) or f"extra.{path}")
    index, rest = int(match.group(1)), match.group(2)
    name = getattr(job.tasks[index], "name", index) if index < len(job.tasks) else index
    other = rest.replace("template.", "pod.", 1) if rest.startswith("template") else f"extra.{rest}" if rest else ""
    return _named("Task", name, _field(rest, _TASK_FIELDS) or other)


def task_index(path: str) -> int | None:
    """Which task `path` is about, if one."""
    match = _TASK.fullmatch(path)
    return int(match.group(1)) if match else None


def _named(kind: str, name: object, field: str) -> str:
    return f'{kind}("{name}"){"." if field else ""}{field}'


def _field(path: str, fields: dict[str, str]) -> str:
    """The DSL field of the longest known prefix of `path`, with what follows it kept."""
    for wire in sorted(fields, key=len, reverse=True):
        if path == wire or (path.startswith(wire) and path[len(wire)] in ".["):
            return fields[wire] + _policy_words(fields[wire], path[len(wire) :])
    return ""


def _policy_words(field: str, rest: str) -> str:
    """`[0].action` after `on` is `[0].do`."""
    head, dot, last = rest.rpartition(".")
    return f"{head}.{_POLICY_FIELDS.get(last, last)}" if field == "on" and dot else rest
