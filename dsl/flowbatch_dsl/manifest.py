"""Specs to manifests: the one place that knows which wire field a DSL field becomes.

Total: any spec that can be built has a manifest, right or wrong; judging it is `report`'s work.
"""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch_dsl.data import Fetch, Store
from flowbatch_dsl.frozen import thaw
from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On, Retry
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.strategic import merge
from flowbatch_dsl.task import Task

API_VERSION = "batch.volcano.sh/v1alpha1"
KIND = "Job"
SHM = "shm"
SHM_PATH = "/dev/shm"  # noqa: S108  (the mount point itself)


def job_manifest(job: Job) -> JsonObject:
    """The Job object: what the typed fields say, with `extra` laid over it."""
    return merge(plain_job(job), thaw(job.extra))


def plain_job(job: Job) -> JsonObject:
    """What the typed fields of a job say, without `extra`."""
    metadata = {"name": job.name, "namespace": job.namespace, "labels": job.labels, "annotations": job.annotations}
    spec = {
        "schedulerName": job.scheduler,
        "queue": job.queue,
        "priorityClassName": job.priority,
        "minAvailable": job.min_available,
        "minSuccess": job.min_success,
        "maxRetry": job.retries,
        "ttlSecondsAfterFinished": job.ttl_s,
        "ttlSecondsAfterSuspended": job.suspended_ttl_s,
        "activeDeadlineSeconds": job.deadline_s,
        "reservationPolicy": job.reserve,
        "retry": retry(job.retry),
        "inputs": [data_input(each) for each in job.inputs],
        "outputs": [data_output(each) for each in job.outputs],
        "plugins": thaw(job.plugins),
        "policies": [policy(on) for on in job.on],
        "tasks": [task_manifest(task) for task in job.tasks],
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": given(metadata), "spec": given(spec)}


def task_manifest(task: Task) -> JsonObject:
    """One entry of `spec.tasks`, its pod template finished by `Task.pod`."""
    depends_on = given({"name": list(task.after), "iteration": task.iteration, "status": task.after_status})
    head = {"name": task.name, "replicas": task.replicas, "minAvailable": task.min, "maxRetry": task.retries}
    tail = {"dependsOn": depends_on, "policies": [policy(on) for on in task.on], "retry": retry(task.retry)}
    tail["inputs"] = [data_input(each) for each in task.inputs]
    tail["outputs"] = [data_output(each) for each in task.outputs]
    template = merge(plain_template(task), thaw(task.pod))
    return given(head) | {"replicas": task.replicas} | given(tail) | {"template": template}


def plain_template(task: Task) -> JsonObject:
    """What the typed fields of a task say about its pods, without `pod`."""
    container = {
        "name": task.container,
        "image": task.image,
        "command": list(task.command),
        "workingDir": task.workdir,
        "env": [{"name": name, "value": value} for name, value in task.env.items()],
        "resources": _requirements(task.resources),
        "volumeMounts": [] if task.resources.shm is None else [{"name": SHM, "mountPath": SHM_PATH}],
    }
    volumes = [] if task.resources.shm is None else [shm_volume(task.resources)]
    return {"spec": given({"restartPolicy": task.restart, "containers": [given(container)], "volumes": volumes})}


def _requirements(resources: Resources) -> JsonObject:
    """Requests, and equal limits for extended resources: Kubernetes takes those no other way."""
    requests = {name: _text(value) for name, value in resources.requests().items()}
    limits = {name: value for name, value in requests.items() if extended(name)}
    return given({"requests": requests, "limits": limits})


def extended(name: str) -> bool:
    """Whether `name` is a resource that must have a limit equal to its request."""
    return "/" in name or name.startswith("hugepages-")


def shm_volume(resources: Resources) -> JsonObject:
    """Memory at /dev/shm beyond the 64 MiB that containers get."""
    return {"name": SHM, "emptyDir": {"medium": "Memory", "sizeLimit": _text(resources.shm)}}


def policy(on: On) -> JsonObject:
    """One lifecycle policy."""
    event = {"event": on.event} if isinstance(on.event, str) else {"events": list(on.event)}
    return given({**event, "exitCode": on.exit_code, "action": on.do, "timeout": on.after})


def retry(rules: Retry | None) -> JsonObject:
    """How restarted pods are tried again; nothing where nothing is said."""
    if rules is None:
        return {}
    said = {
        "backoffSeconds": rules.backoff_s,
        "maxBackoffSeconds": rules.max_backoff_s,
        "avoidFailedNodes": rules.avoid_failed_nodes or None,
        "memoryIncreasePercent": rules.memory_percent,
        "memoryLimit": rules.memory_limit,
    }
    return given(said)


def data_input(each: Fetch) -> JsonObject:
    """One entry of `inputs`."""
    said = {"name": each.name, "url": each.url, "path": each.path, "digest": each.digest, "secretName": each.secret}
    return given(said)


def data_output(each: Store) -> JsonObject:
    """One entry of `outputs`."""
    said = {"name": each.name, "path": each.path, "url": each.url, "policy": each.policy, "secretName": each.secret}
    return given(said)


def _text(value: Any) -> Any:
    """A float as its own text, as Kubernetes would read it; `validate` has refused the inexact ones by then."""
    return repr(value) if isinstance(value, float) else value


def given(fields: JsonObject) -> JsonObject:
    """The fields that say something."""
    return {name: thaw(value) for name, value in fields.items() if value not in (None, "", (), [], {})}
