"""What a manifest means where it says nothing: Volcano's mutations (volcano.md 7), on raw JSON.

Idempotent, and deaf to values of a wrong type: the rules refuse those. The input is never changed.
"""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, ROOT_QUEUE, SCHEDULER_NAME
from flowbatch.workload.roles import completed_plugins
from flowbatch.workload.vocabulary import DEFAULT_MAX_RETRY, DEFAULT_TASK_NAME


def default_job(manifest: JsonObject, scheduler_name: str = SCHEDULER_NAME) -> JsonObject:
    """A Job with its defaults: queue, scheduler, retries, task names and minimums, the plugins that plugins need."""
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        return dict(manifest)
    full = dict(spec)
    _fill(full, "queue", DEFAULT_QUEUE)
    _fill(full, "schedulerName", scheduler_name)
    _fill(full, "maxRetry", DEFAULT_MAX_RETRY)
    if isinstance(spec.get("tasks"), list | tuple):
        full["tasks"] = [_task(index, task) for index, task in enumerate(spec["tasks"])]
        _fill(full, "minAvailable", sum(_least(task) for task in _objects(full["tasks"])))
    if isinstance(spec.get("plugins"), dict) and spec["plugins"]:
        full["plugins"] = _plugins(spec["plugins"])
    return {**manifest, "spec": full}


def default_queue(manifest: JsonObject) -> JsonObject:
    """A Queue with its defaults: weight 1, reclaimable, below root. root itself has no parent."""
    name = (manifest.get("metadata") or {}).get("name") if isinstance(manifest.get("metadata"), dict) else ""
    spec = {} if manifest.get("spec") is None else manifest["spec"]
    if not isinstance(spec, dict):
        return dict(manifest)
    full = dict(spec)
    _fill(full, "weight", 1)
    if full.get("reclaimable") is None:
        full["reclaimable"] = name != ROOT_QUEUE
    if name != ROOT_QUEUE:
        _fill(full, "parent", ROOT_QUEUE)
    return {**manifest, "spec": full}


def default_pod_group(manifest: JsonObject) -> JsonObject:
    """A PodGroup with its defaults: the default queue (the namespace's own is the webhook's to know), one member."""
    spec = {} if manifest.get("spec") is None else manifest["spec"]
    if not isinstance(spec, dict):
        return dict(manifest)
    full = dict(spec)
    _fill(full, "queue", DEFAULT_QUEUE)
    _fill(full, "minMember", 1)
    return {**manifest, "spec": full}


def _fill(obj: JsonObject, field: str, default: str | int) -> None:
    """Set what is absent, null or the empty value of its type; `false` where a name belongs is left to the rules."""
    value = obj.get(field)
    if value is None or (type(value) is type(default) and not value):
        obj[field] = default


def _task(index: int, task: Any) -> Any:
    if not isinstance(task, dict):
        return task
    full = dict(task)
    _fill(full, "name", f"{DEFAULT_TASK_NAME}{index}")
    if full.get("replicas") is None:
        full["replicas"] = 0
    _fill(full, "maxRetry", DEFAULT_MAX_RETRY)
    if full.get("minAvailable") is None:
        full["minAvailable"] = _task_minimum(full)
    template = full.get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        pod = template["spec"]
        if pod.get("hostNetwork") is True and not pod.get("dnsPolicy"):
            full["template"] = {**template, "spec": {**pod, "dnsPolicy": "ClusterFirstWithHostNet"}}
    return full


def _task_minimum(task: JsonObject) -> int:
    """All replicas, or the partitions that must be whole."""
    policy = task.get("partitionPolicy")
    if isinstance(policy, dict):
        least = _whole(policy.get("minPartitions")) * _whole(policy.get("partitionSize"))
        if least:
            return least
    return _whole(task["replicas"])


def _least(task: JsonObject) -> int:
    """What the task adds to its job's minimum; a minimum above the replicas is one mistake, and should be told once."""
    return min(_whole(task.get("minAvailable")), _whole(task.get("replicas")))


def _plugins(plugins: JsonObject) -> JsonObject:
    """The plugins with those that they need, as lists where they are lists."""
    added = completed_plugins({name: () for name in plugins if isinstance(name, str)})
    return {**{name: [] if args is None else args for name, args in plugins.items()}} | {
        name: [] for name in added if name not in plugins
    }


def _objects(items: list[Any]) -> list[JsonObject]:
    return [item for item in items if isinstance(item, dict)]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
