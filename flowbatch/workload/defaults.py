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
    full["queue"] = full.get("queue") or DEFAULT_QUEUE
    full["schedulerName"] = full.get("schedulerName") or scheduler_name
    full["maxRetry"] = full.get("maxRetry") or DEFAULT_MAX_RETRY
    if isinstance(spec.get("tasks"), list | tuple):
        full["tasks"] = [_task(index, task) for index, task in enumerate(spec["tasks"])]
        if not full.get("minAvailable"):
            full["minAvailable"] = sum(_whole(task.get("minAvailable")) for task in _objects(full["tasks"]))
    if isinstance(spec.get("plugins"), dict) and spec["plugins"]:
        full["plugins"] = _plugins(spec["plugins"])
    return {**manifest, "spec": full}


def default_queue(manifest: JsonObject) -> JsonObject:
    """A Queue with its defaults: weight 1, reclaimable, below root. root itself has no parent."""
    name = (manifest.get("metadata") or {}).get("name") if isinstance(manifest.get("metadata"), dict) else ""
    spec = manifest.get("spec") or {}
    if not isinstance(spec, dict):
        return dict(manifest)
    full = dict(spec)
    full["weight"] = full.get("weight") or 1
    if full.get("reclaimable") is None:
        full["reclaimable"] = name != ROOT_QUEUE
    if name != ROOT_QUEUE:
        full["parent"] = full.get("parent") or ROOT_QUEUE
    return {**manifest, "spec": full}


def default_pod_group(manifest: JsonObject) -> JsonObject:
    """A PodGroup with its defaults: the default queue (the namespace's own is the webhook's to know), one member."""
    spec = manifest.get("spec") or {}
    if not isinstance(spec, dict):
        return dict(manifest)
    full = dict(spec)
    full["queue"] = full.get("queue") or DEFAULT_QUEUE
    full["minMember"] = full.get("minMember") or 1
    return {**manifest, "spec": full}


def _task(index: int, task: Any) -> Any:
    if not isinstance(task, dict):
        return task
    full = dict(task)
    full["name"] = full.get("name") or f"{DEFAULT_TASK_NAME}{index}"
    full["replicas"] = full.get("replicas") or 0
    full["maxRetry"] = full.get("maxRetry") or DEFAULT_MAX_RETRY
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
