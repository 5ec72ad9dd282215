"""The PodGroup of a job: how much must start together, how much room that takes, and what comes later.

`declaredTasks` tells the scheduler of members that have no pods yet (a dependency holds them back, the queue has not
let the job in), so that a gang with phases is counted whole and never waits for its own tail.
"""

from collections.abc import Mapping, Sequence

import msgspec

from flowbatch.api import names
from flowbatch.api.batch import Job, NetworkTopologySpec, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import format_amount
from flowbatch.workload.effective import effective, gang_size, minimum
from flowbatch.workload.expand.asking import task_requests
from flowbatch.workload.expand.peak import held_at_once, takeovers
from flowbatch.workload.roles.contract import owner_of

DECLARED_FIELD = "PodGroupSpec.declaredTasks"
#: kubectl keeps a whole copy of a job here; a PodGroup has no use for it.
_NOT_INHERITED = ("kubectl.kubernetes.io/last-applied-configuration", names.SUSPENDED, names.DECLARED_TASKS)


def pod_group_name(job: Job) -> str:
    """`<job>-<uid>`: a job that is deleted and made again never meets its namesake's group."""
    return f"{job.metadata.name}-{job.metadata.uid}"


def pod_group(
    job: Job, *, served: frozenset[str] | None = None, priorities: Mapping[str, int] | None = None, version: int = 0
) -> JsonObject:
    """The manifest of the job's PodGroup.

    `served` are the optional fields of the cluster's schema (None: all); `priorities` the values of priority classes;
    `version` the job version from which on pods belong to this group.
    """
    job = effective(job)
    spec: JsonObject = {
        "minMember": gang_size(job.spec),
        "minTaskMember": {task.name: minimum(task) for task in job.spec.tasks},
        "queue": job.spec.queue,
    }
    if job.spec.priority_class_name:
        spec["priorityClassName"] = job.spec.priority_class_name
    if amounts := min_resources(job, priorities or {}):
        spec["minResources"] = as_quantities(amounts)
    if job.spec.network_topology is not None:
        spec["networkTopology"] = _topology(job.spec.network_topology)
    if parts := [_sub_group(task) for task in job.spec.tasks if task.partition_policy is not None]:
        spec["subGroupPolicy"] = parts
    annotations = {key: value for key, value in job.metadata.annotations.items() if key not in _NOT_INHERITED}
    annotations[names.JOB_VERSION] = str(version)
    if job.spec.running_estimate:
        annotations[names.RUNNING_ESTIMATE] = job.spec.running_estimate
    declared = declared_tasks(job)
    if served is None or DECLARED_FIELD in served:
        spec["declaredTasks"] = declared
    else:
        annotations[names.DECLARED_TASKS] = msgspec.json.encode(declared).decode()
    return {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": {
            "name": pod_group_name(job),
            "namespace": job.metadata.namespace,
            "annotations": annotations,
            "ownerReferences": [owner_of(job)],
        },
        "spec": spec,
    }


def declared_tasks(job: Job) -> list[JsonObject]:
    """Every task with its count, minimum, requests, node constraints and what it waits for."""
    job = effective(job)
    twice = takeovers(job)
    return [_declared(job, task, twice.get(task.name, {})) for task in job.spec.tasks]


def _declared(job: Job, task: TaskSpec, heritage: Mapping[str, int]) -> JsonObject:
    pod: JsonObject = task.template.get("spec") or {}
    said: JsonObject = {"name": task.name, "count": task.replicas, "minimum": minimum(task)}
    if amounts := task_requests(task):
        said["requests"] = as_quantities(dict(amounts))
    for field in ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"):
        if pod.get(field):
            said[field] = pod[field]
    if pod.get("affinity") or pod.get("topologySpreadConstraints"):
        # What its own selectors may ask about.
        own = {names.JOB_NAME: job.metadata.name, names.TASK_SPEC: task.name}
        said["labels"] = {**((task.template.get("metadata") or {}).get("labels") or {}), **own}
    if task.depends_on is not None and task.depends_on.name:
        said["waitsFor"] = list(task.depends_on.name)
    if heritage:
        said["takesOver"] = dict(heritage)
    return said


def min_resources(job: Job, priorities: Mapping[str, int]) -> dict[str, int]:
    """Room for the gang's minimum, in units of account (volcano.md 4.4).

    Pods are taken by priority. Where the job's minimum is below the sum of the tasks' minimums, they are simply the
    first ones; else each task's minimum comes first, and the rest is filled up by priority.
    """
    job = effective(job)
    wanted = gang_size(job.spec)
    tasks = sorted(job.spec.tasks, key=lambda task: -_priority(job, task, priorities))
    counts = dict.fromkeys((task.name for task in tasks), 0)
    left = wanted
    if wanted >= sum(minimum(task) for task in tasks):
        counts = {task.name: min(minimum(task), task.replicas) for task in tasks}
        left -= sum(counts.values())
    for task in tasks:
        more = max(0, min(left, task.replicas - counts[task.name]))
        counts[task.name] += more
        left -= more
    return _total(tasks, held_at_once(job, counts))


def _total(tasks: Sequence[TaskSpec], counts: Mapping[str, int]) -> dict[str, int]:
    total: dict[str, int] = {}
    for task in tasks:
        for resource, units in task_requests(task):
            total[resource] = total.get(resource, 0) + units * counts[task.name]
    return {resource: units for resource, units in total.items() if units}


def _priority(job: Job, task: TaskSpec, priorities: Mapping[str, int]) -> int:
    pod: JsonObject = task.template.get("spec") or {}
    if isinstance(pod.get("priority"), int):
        return int(pod["priority"])
    return priorities.get(pod.get("priorityClassName") or job.spec.priority_class_name, 0)


def as_quantities(amounts: Mapping[str, int]) -> dict[str, str]:
    """Units of account as quantities."""
    return {resource: format_amount(resource, units) for resource, units in sorted(amounts.items())}


def _topology(topology: NetworkTopologySpec) -> JsonObject:
    said: JsonObject = {"mode": topology.mode}
    if topology.highest_tier_allowed is not None:
        said["highestTierAllowed"] = topology.highest_tier_allowed
    if topology.highest_tier_name:
        said["highestTierName"] = topology.highest_tier_name
    return said


def _sub_group(task: TaskSpec) -> JsonObject:
    policy = task.partition_policy
    assert policy is not None
    part: JsonObject = {
        "name": task.name,
        "subGroupSize": policy.partition_size,
        "minSubGroups": policy.min_partitions,
        "labelSelector": {"matchLabels": {names.TASK_SPEC: task.name}},
        "matchLabelKeys": [names.PARTITION_ID],
    }
    if policy.network_topology is not None:
        part["networkTopology"] = _topology(policy.network_topology)
    return part
