"""What is let into the cluster: defaults first, then the rule table, then rules that look at other objects.

One function with the embedded API server's `Admit` signature. It is the webhook's and the CEL policies' twin: all three
take their rules from `flowbatch.workload.rules`.
"""

from collections.abc import Callable

from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, ROOT_QUEUE, SCHEDULING_QUEUE_NAME
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload import defaults, rules

#: (kind, namespace, name) -> the stored object, or None.
Lookup = Callable[[str, str, str], JsonObject | None]


def admit(
    operation: str, kind: str, old: JsonObject | None, new: JsonObject | None, lookup: Lookup
) -> JsonObject | None:
    """The object to store, or None for a deletion. Raises SpecErrors with every problem.

    `operation` is CREATE, UPDATE or DELETE. Kinds that are not flowbatch's pass untouched.
    """
    if operation == "DELETE":
        _refuse(_deletion_problems(kind, old), f"{kind} {_name(old)}")
        return None
    assert new is not None, "only a deletion has no new object"
    match kind:
        case "Job":
            return _job(old, new, lookup)
        case "Queue":
            return _queue(new, lookup)
        case "PodGroup":
            return _pod_group(new, lookup)
        case "HyperNode":
            _refuse(rules.check_hyper_node(new), f"HyperNode {_name(new)}")
            return new
        case "Numatopology":
            _refuse(rules.check_numatopology(new), f"Numatopology {_name(new)}")
            return new
        case _:
            return new


def _job(old: JsonObject | None, new: JsonObject, lookup: Lookup) -> JsonObject:
    if new.get("apiVersion") != "batch.volcano.sh/v1alpha1":
        return new
    # Structure before defaults: defaulting must not trip over a list where a map belongs.
    subject = f"Job {_name(new)}"
    if old is not None:
        if old.get("spec") != new.get("spec"):
            job = defaults.default_job(new)
            _refuse([*rules.check_job(job), *rules.check_job_update(old, job)], subject)
            return job
        return new
    _refuse(rules.check_job(new), subject)
    job = defaults.default_job(new)
    _refuse([*rules.check_job(job), *_queue_problems(job, lookup)], subject)
    return job


def _queue(new: JsonObject, lookup: Lookup) -> JsonObject:
    _refuse(rules.check_queue(new), f"Queue {_name(new)}")
    queue = defaults.default_queue(new)
    parent = queue.get("spec", {}).get("parent") or ROOT_QUEUE
    if parent != ROOT_QUEUE and _name(queue) != ROOT_QUEUE and lookup("Queue", "", parent) is None:
        _refuse([SpecError("spec.parent", "no such queue", parent, "create the parent first")], f"Queue {_name(new)}")
    return queue


def _pod_group(new: JsonObject, lookup: Lookup) -> JsonObject:
    _refuse(rules.check_pod_group(new), f"PodGroup {_name(new)}")
    group = defaults.default_pod_group(new)
    spec = group.setdefault("spec", {})
    if spec.get("queue", DEFAULT_QUEUE) == DEFAULT_QUEUE:
        namespace = lookup("Namespace", "", group.get("metadata", {}).get("namespace", "")) or {}
        annotations = namespace.get("metadata", {}).get("annotations") or {}
        spec["queue"] = annotations.get(SCHEDULING_QUEUE_NAME, DEFAULT_QUEUE)
    return group


def _queue_problems(job: JsonObject, lookup: Lookup) -> list[SpecError]:
    """A new job must name a queue that exists, is open, and takes jobs."""
    name = job.get("spec", {}).get("queue") or DEFAULT_QUEUE
    queue = lookup("Queue", "", name)
    if name == ROOT_QUEUE:
        return [SpecError("spec.queue", "takes no jobs: it is the parent of all queues", name, 'use "default"')]
    if queue is None:
        # The default queue is made by the scheduler at its start; a job may come before it.
        if name == DEFAULT_QUEUE:
            return []
        return [SpecError("spec.queue", "no such queue", name, f"create it: flowbatch queue create {name}")]
    state = queue.get("status", {}).get("state") or "Open"
    if state != "Open":
        return [SpecError("spec.queue", f"is {state}", name, f"open it: flowbatch queue open {name}")]
    return []


def _deletion_problems(kind: str, old: JsonObject | None) -> list[SpecError]:
    if kind == "Queue" and _name(old) in (DEFAULT_QUEUE, ROOT_QUEUE):
        return [SpecError("metadata.name", "cannot be deleted: the cluster needs this queue", _name(old))]
    return []


def _name(obj: JsonObject | None) -> str:
    return str(((obj or {}).get("metadata") or {}).get("name", ""))


def _refuse(problems: list[SpecError], subject: str) -> None:
    if problems:
        raise SpecErrors(problems, subject)
