"""The pods of a job, exactly as Volcano's controller makes them (volcano.md 3.1)."""

import msgspec

from flowbatch.api import names
from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.workload.effective import effective
from flowbatch.workload.expand.claims import claim_name
from flowbatch.workload.expand.podgroup import pod_group_name
from flowbatch.workload.queuegate import gated
from flowbatch.workload.roles import cast
from flowbatch.workload.roles.contract import owner_of
from flowbatch.workload.roles.hosts import pod_name
from flowbatch.workload.roles.pod import add_mount, add_volume, containers_of
from flowbatch.workload.staging.pod import IMAGE, stage

#: Copied from a job's annotations to its pods'.
_COPIED = (names.PREEMPTABLE, names.COOLDOWN_TIME, names.REVOCABLE_ZONE)


class PodMaker:
    """Makes the pods of one job; what all pods of a task share is worked out once."""

    def __init__(self, job: Job, staging_image: str = IMAGE) -> None:
        self._job = effective(job)
        self._plugins = cast(self._job.spec.plugins)
        self._staging_image = staging_image
        self._templates: dict[str, bytes] = {}

    def make(self, task: TaskSpec, index: int) -> JsonObject:
        """The manifest of pod `index` of `task`."""
        job, template = self._job, self._template(task)
        metadata: JsonObject = template.get("metadata") or {}
        pod: JsonObject = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": pod_name(job.metadata.name, task.name, index),
                "namespace": job.metadata.namespace,
                "labels": {**(metadata.get("labels") or {}), **_labels(job, task, index)},
                "annotations": {**(metadata.get("annotations") or {}), **_annotations(job, task, index)},
                "ownerReferences": [owner_of(job)],
            },
            "spec": template.get("spec") or {},
        }
        if not pod["spec"].get("schedulerName"):
            pod["spec"]["schedulerName"] = job.spec.scheduler_name
        if job.spec.priority_class_name and not pod["spec"].get("priorityClassName"):
            pod["spec"]["priorityClassName"] = job.spec.priority_class_name
        pod = gated(pod)
        _mount_claims(pod, job)
        for plugin, flags in self._plugins:
            plugin.on_pod(pod, job, task, index, flags)
        stage(pod, job, task, index, self._staging_image)
        return pod

    def _template(self, task: TaskSpec) -> JsonObject:
        """A copy of the task's template that may be changed: decoding is the fastest deep copy there is."""
        encoded = self._templates.get(task.name)
        if encoded is None:
            encoded = self._templates[task.name] = msgspec.json.encode(task.template)
        copy: JsonObject = msgspec.json.decode(encoded)
        return copy


def pods(job: Job, task: TaskSpec, index: int) -> JsonObject:
    """The manifest of pod `index` of `task`. For many pods of a job, a `PodMaker` is the cheaper way."""
    return PodMaker(job).make(task, index)


def _labels(job: Job, task: TaskSpec, index: int) -> dict[str, str]:
    meta = job.metadata
    labels = {
        names.JOB_NAME: meta.name,
        names.JOB_NAMESPACE: meta.namespace,
        names.TASK_SPEC: task.name,
        names.TASK_INDEX: str(index),
        names.QUEUE_NAME: job.spec.queue,
    }
    labels |= {key: meta.labels[key] for key in (names.PREEMPTABLE, names.COOLDOWN_TIME) if key in meta.labels}
    if names.JOB_FORWARDING in meta.annotations:
        labels[names.JOB_FORWARDING] = "true"
    policy = task.partition_policy
    if policy is not None and policy.partition_size > 0:
        labels[names.PARTITION_ID] = str(index // policy.partition_size)
    return labels


def _annotations(job: Job, task: TaskSpec, index: int) -> dict[str, str]:
    meta, status = job.metadata, job.status
    notes = {
        names.TASK_INDEX: str(index),
        names.TASK_SPEC: task.name,
        names.GROUP_NAME: pod_group_name(job),
        names.JOB_NAME: meta.name,
        names.QUEUE_NAME: job.spec.queue,
        names.JOB_VERSION: str(status.version),
        names.TEMPLATE_UID: f"{meta.name}-{task.name}",
        names.JOB_RETRY_COUNT: str(status.retry_count),
    }
    if task.topology_policy:
        notes[names.NUMA_TOPOLOGY_POLICY] = task.topology_policy
    notes |= {key: meta.annotations[key] for key in _COPIED if key in meta.annotations}
    budget = next(
        (key for key in (names.JDB_MIN_AVAILABLE, names.JDB_MAX_UNAVAILABLE) if key in meta.annotations), None
    )
    if budget is not None:
        notes[budget] = meta.annotations[budget]
    return notes


def _mount_claims(pod: JsonObject, job: Job) -> None:
    """Every claim of the job, in every container."""
    for index, volume in enumerate(job.spec.volumes):
        name = claim_name(job, index)
        add_volume(pod, {"name": name, "persistentVolumeClaim": {"claimName": name}})
        for container in containers_of(pod):
            add_mount(container, {"name": name, "mountPath": volume.mount_path})
