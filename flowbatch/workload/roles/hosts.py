"""Names by which the pods of a job reach each other: known before any pod exists."""

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject


def pod_name(job: str, task: str, index: int) -> str:
    """`<job>-<task>-<index>`, also the pod's host name."""
    return f"{job}-{task}-{index}"


def task_hosts(job: Job, task: TaskSpec) -> list[tuple[str, str]]:
    """(host, subdomain) of each pod of `task`. A template with a host name of its own has one host for all its pods."""
    spec: JsonObject = task.template.get("spec") or {}
    own, domain = spec.get("hostname") or "", spec.get("subdomain") or job.metadata.name
    if own:
        return [(own, domain)] if task.replicas else []
    return [(pod_name(job.metadata.name, task.name, index), domain) for index in range(task.replicas)]


def addresses(job: Job, task: TaskSpec) -> list[str]:
    """`host.subdomain` of each pod of `task`: resolvable inside the namespace through the svc plugin's Service."""
    return [f"{host}.{domain}" for host, domain in task_hosts(job, task)]


def first_address(job: Job, task: TaskSpec) -> str:
    """The address of pod 0, even of a task that is scaled to nothing."""
    spec: JsonObject = task.template.get("spec") or {}
    host = spec.get("hostname") or pod_name(job.metadata.name, task.name, 0)
    return f"{host}.{spec.get('subdomain') or job.metadata.name}"


def task_named(job: Job, name: str) -> TaskSpec | None:
    """The task of that name, if there is one."""
    return next((task for task in job.spec.tasks if task.name == name), None)


def variable_part(task: str) -> str:
    """A task's name inside an environment variable: upper case, '-' as '_'."""
    return task.replace("-", "_").upper()
