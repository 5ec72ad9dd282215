"""What `get` and its relatives can name: the kinds, their aliases, and the columns of their tables."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flowbatch.api.batch import Job
from flowbatch.api.core import Node, Pod
from flowbatch.api.cron import CronJob
from flowbatch.api.flow import JobFlow, JobTemplate
from flowbatch.api.kinds import CRON_JOB, JOB, JOB_FLOW, JOB_TEMPLATE, NODE, POD, POD_GROUP, QUEUE, Kind
from flowbatch.api.meta import Wire
from flowbatch.api.quantity import format_amount
from flowbatch.api.requests import pod_requests
from flowbatch.api.scheduling import PodGroup, Quantities, Queue
from flowbatch.cli.output import age
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.flow.picture import statuses, summary
from flowbatch.workload.suspension import suspended
from flowbatch.workload.vocabulary import SUSPENDED_REASON

T = TypeVar("T", bound=Wire)


@dataclass(frozen=True)
class Resource(Generic[T]):
    """One kind as the command line shows it; the last `wide` columns appear with `-o wide` only."""

    kind: Kind[T]
    names: tuple[str, ...]
    header: tuple[str, ...]
    row: Callable[[T], Sequence[object]]
    wide: int = 0


def _job_row(job: Job) -> Sequence[object]:
    status, spec = job.status, job.spec
    total = sum(task.replicas for task in spec.tasks)
    phase = status.state.phase or "Pending"
    down = suspended(job) or status.state.reason == SUSPENDED_REASON
    shown = "Suspended" if down and phase in ("Aborted", "Aborting", "Pending") else phase
    return (
        job.metadata.name,
        shown,
        spec.queue or "default",
        f"{status.running}/{total}",
        spec.min_available if spec.min_available is not None else total,
        status.retry_count,
        age(job.metadata.creation_timestamp),
        status.succeeded,
        status.failed,
        ",".join(f"{task.name}x{task.replicas}" for task in spec.tasks),
    )


def _pod_group_row(group: PodGroup) -> Sequence[object]:
    return (
        group.metadata.name,
        group.status.phase or "Pending",
        group.spec.queue or "default",
        group.spec.min_member,
        group.status.running,
        age(group.metadata.creation_timestamp),
        next((each.message for each in group.status.conditions if each.status == "True"), ""),
    )


def _queue_row(queue: Queue) -> Sequence[object]:
    status = queue.status
    return (
        queue.metadata.name,
        "Suspended" if suspended(queue) else status.state or "Open",
        queue.spec.weight,
        queue.spec.parent or "-",
        status.running,
        status.inqueue,
        status.pending,
        age(queue.metadata.creation_timestamp),
        _quantities(queue.spec.capability),
        _quantities(status.allocated),
    )


def _pod_row(pod: Pod) -> Sequence[object]:
    ready = sum(status.ready for status in pod.status.container_statuses)
    return (
        pod.metadata.name,
        f"{ready}/{len(pod.spec.containers)}",
        "Terminating" if pod.metadata.deletion_timestamp else pod.status.reason or pod.status.phase,
        sum(status.restart_count for status in pod.status.container_statuses),
        pod.spec.node_name or "<none>",
        age(pod.metadata.creation_timestamp),
        pod.status.pod_ip or "<none>",
        ",".join(f"{name}={format_amount(name, units)}" for name, units in pod_requests(pod.spec)),
    )


def _node_row(node: Node) -> Sequence[object]:
    ready = any(each.type == "Ready" and each.status == "True" for each in node.status.conditions)
    state = "Ready" if ready else "NotReady"
    return (
        node.metadata.name,
        f"{state},SchedulingDisabled" if node.spec.unschedulable else state,
        node.status.allocatable.get("cpu", "-"),
        node.status.allocatable.get("memory", "-"),
        age(node.metadata.creation_timestamp),
        ",".join(f"{taint.key}:{taint.effect}" for taint in node.spec.taints) or "<none>",
    )


def _flow_row(flow: JobFlow) -> Sequence[object]:
    steps, phase = statuses(flow), flow.status.state.phase or "Pending"
    counts = Counter(each.state for each in steps)
    ended = phase in ("Succeed", "Failed")
    return (
        flow.metadata.name,
        "Suspended" if suspended(flow) and not ended else phase,
        f"{counts['Completed']}/{len(steps)}",
        counts["Running"],
        counts["Failed"],
        age(flow.metadata.creation_timestamp),
        summary(flow),
        flow.status.state.message or "-",
    )


def _template_row(template: JobTemplate) -> Sequence[object]:
    tasks = ",".join(f"{task.name or 'default'}x{task.replicas}" for task in template.spec.tasks)
    jobs = template.status.job_depends_on_list
    return (template.metadata.name, tasks, len(jobs), age(template.metadata.creation_timestamp), ",".join(jobs) or "-")


def _cron_row(cron: CronJob) -> Sequence[object]:
    spec, status = cron.spec, cron.status
    return (
        cron.metadata.name,
        spec.schedule,
        spec.time_zone or "UTC",
        "yes" if spec.suspend else "no",
        len(status.active),
        age(status.last_schedule_time) if status.last_schedule_time else "<none>",
        age(cron.metadata.creation_timestamp),
        spec.concurrency_policy,
        age(status.last_successful_time) if status.last_successful_time else "<none>",
        ",".join(each.name for each in status.active) or "-",
    )


def _quantities(values: Quantities) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(values.items())) or "-"


RESOURCES: tuple[Resource[Any], ...] = (
    Resource(
        JOB,
        ("jobs", "job", "vcjob", "vcjobs", "vj"),
        ("NAME", "STATUS", "QUEUE", "RUNNING", "MIN", "RETRIES", "AGE", "SUCCEEDED", "FAILED", "TASKS"),
        _job_row,
        wide=3,
    ),
    Resource(
        POD_GROUP,
        ("podgroups", "podgroup", "pg"),
        ("NAME", "STATUS", "QUEUE", "MIN", "RUNNING", "AGE", "REASON"),
        _pod_group_row,
        wide=1,
    ),
    Resource(
        QUEUE,
        ("queues", "queue", "q"),
        ("NAME", "STATE", "WEIGHT", "PARENT", "RUNNING", "INQUEUE", "PENDING", "AGE", "CAPABILITY", "ALLOCATED"),
        _queue_row,
        wide=2,
    ),
    Resource(
        POD,
        ("pods", "pod", "po"),
        ("NAME", "READY", "STATUS", "RESTARTS", "NODE", "AGE", "IP", "REQUESTS"),
        _pod_row,
        wide=2,
    ),
    Resource(
        JOB_FLOW,
        ("jobflows", "jobflow", "jf"),
        ("NAME", "STATUS", "COMPLETED", "RUNNING", "FAILED", "AGE", "GRAPH", "REASON"),
        _flow_row,
        wide=2,
    ),
    Resource(
        JOB_TEMPLATE,
        ("jobtemplates", "jobtemplate", "jt"),
        ("NAME", "TASKS", "JOBS", "AGE", "MADE"),
        _template_row,
        wide=1,
    ),
    Resource(
        CRON_JOB,
        ("cronjobs", "cronjob", "cronvcjob", "cronvj"),
        ("NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "AGE", "CONCURRENCY", "SUCCESS", "JOBS"),
        _cron_row,
        wide=3,
    ),
    Resource(
        NODE,
        ("nodes", "node", "no"),
        ("NAME", "STATUS", "CPU", "MEMORY", "AGE", "TAINTS"),
        _node_row,
        wide=1,
    ),
)


def resource(name: str) -> Resource[Any]:
    """The resource called `name`. Raises SpecError with the nearest name."""
    for each in RESOURCES:
        if name.lower() in each.names:
            return each
    known = [each.names[0] for each in RESOURCES]
    raise SpecError("RESOURCE", "no such kind of object", name, did_you_mean(name, known))
