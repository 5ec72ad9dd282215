"""A Job as it is meant: defaults filled in, for a controller that may see jobs no webhook has touched."""

from msgspec.structs import replace

from flowbatch.api.batch import Job, JobSpec, TaskSpec
from flowbatch.api.names import DEFAULT_QUEUE, SCHEDULER_NAME
from flowbatch.workload.roles import completed_plugins
from flowbatch.workload.vocabulary import DEFAULT_MAX_RETRY, DEFAULT_TASK_NAME


def effective(job: Job) -> Job:
    """`job` with the defaults of `defaults.default_job`, typed. Idempotent."""
    spec = job.spec
    tasks = tuple(_task(index, task) for index, task in enumerate(spec.tasks))
    plugins = {name: tuple(args) for name, args in completed_plugins(spec.plugins).items()}
    full = replace(
        spec,
        tasks=tasks,
        queue=spec.queue or DEFAULT_QUEUE,
        scheduler_name=spec.scheduler_name or SCHEDULER_NAME,
        max_retry=spec.max_retry or DEFAULT_MAX_RETRY,
        min_available=spec.min_available or sum(minimum(task) for task in tasks),
        plugins=plugins,
    )
    return job if full == spec else replace(job, spec=full)


def minimum(task: TaskSpec) -> int:
    """How many pods of the task must run; after defaulting, the task's minAvailable."""
    if task.min_available is not None:
        return task.min_available
    policy = task.partition_policy
    least = policy.min_partitions * policy.partition_size if policy is not None else 0
    return least or task.replicas


def gang_size(spec: JobSpec) -> int:
    """The job's minAvailable, after defaulting."""
    return spec.min_available or 0


def _task(index: int, task: TaskSpec) -> TaskSpec:
    return replace(
        task,
        name=task.name or f"{DEFAULT_TASK_NAME}{index}",
        replicas=max(0, task.replicas),
        min_available=minimum(task),
        max_retry=task.max_retry or DEFAULT_MAX_RETRY,
    )
