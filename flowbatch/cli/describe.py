"""`flowbatch describe`: one job with its gang, its pods, its history and the reason for its state."""

from collections.abc import Sequence

from flowbatch.api.batch import DataState
from flowbatch.api.core import Event, Pod
from flowbatch.api.kinds import EVENT
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.names import TASK_SPEC
from flowbatch.api.scheduling import Queue
from flowbatch.cli.flow import cron_fields, find_cron, find_flow, flow_fields, print_picture, print_why
from flowbatch.cli.job import JobView, find_queue, view_job
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.output import age, print_table
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.explain import explain

#: Events shown, newest last.
MAX_EVENTS = 12
#: What people call them, and what they are.
_KINDS = {
    **dict.fromkeys(("job", "jobs", "vcjob"), "job"),
    **dict.fromkeys(("queue", "queues", "q"), "queue"),
    **dict.fromkeys(("jobflow", "jobflows", "jf"), "jobflow"),
    **dict.fromkeys(("cronjob", "cronjobs", "cronvcjob", "cronvj"), "cronjob"),
}


def describe(kind: str, name: str = "", /, *, options: NamespaceOptions | None = None) -> int:
    """Show everything about one job, queue, workflow or cron job.

    Parameters
    ----------
    kind
        job, queue, jobflow or cronjob; or just the name of a job.
    name
        Its name.
    """
    if not name and "/" in kind:
        kind, _, name = kind.partition("/")
    if not name:
        kind, name = "job", kind
    if kind not in _KINDS:
        raise SpecError("KIND", "cannot be described", kind, did_you_mean(kind, ["job", "queue", "jobflow", "cronjob"]))

    async def work() -> int:
        async with connect(options or NamespaceOptions()) as session:
            await _describe(session, _KINDS[kind], name)
        return 0

    return run_async(work)


async def _describe(session: Session, kind: str, name: str) -> None:
    if kind == "queue":
        _print_queue(await find_queue(session, name))
    elif kind == "jobflow":
        flow = await find_flow(session, name)
        _fields(flow_fields(flow))
        print_picture(flow)
        print("Why: ", end="")
        await print_why(session, flow)
        _print_events(await _events(session, flow.metadata))
    elif kind == "cronjob":
        cron = await find_cron(session, name)
        _fields(cron_fields(cron))
        _print_events(await _events(session, cron.metadata))
    else:
        view = await view_job(session, name)
        _print_job(view, await _events(session, view.job.metadata))


async def _events(session: Session, meta: ObjectMeta) -> list[Event]:
    selector = f"involvedObject.name={meta.name}"
    found = await session.client.list(EVENT, meta.namespace, field_selector=selector)
    mine = [event for event in found if event.involved_object.uid in ("", meta.uid)]
    return sorted(mine, key=lambda event: str(event.last_timestamp or event.metadata.creation_timestamp))


def _print_job(view: JobView, events: Sequence[Event]) -> None:
    job, status = view.job, view.job.status
    _fields(
        {
            "Name": job.metadata.name,
            "Namespace": job.metadata.namespace,
            "Queue": job.spec.queue or "default",
            "Status": status.state.phase or "Pending",
            "Age": age(job.metadata.creation_timestamp),
            "Minimum": job.spec.min_available,
            "Retries": f"{status.retry_count} of {job.spec.max_retry if job.spec.max_retry is not None else 3}",
            "Plugins": ", ".join(job.spec.plugins) or "none",
        }
    )
    print("Tasks:")
    print_table(
        ("  NAME", "REPLICAS", "MIN", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "AFTER"),
        [_task_row(view, task.name) for task in job.spec.tasks],
    )
    if status.data:
        print("Data:")
        rows = [(f"  {each.task}-{each.index}/{each.name}", *_data_row(each)) for each in status.data]
        print_table(("  POD/NAME", "STATE", "BYTES", "DIGEST", "URL"), rows)
    print(f"Why: {explain(job, view.group, view.queue, view.pods)}")
    if view.pods:
        print("Pods:")
        print_table(("  NAME", "PHASE", "NODE", "AGE"), [_pod_row(pod) for pod in view.pods])
    if status.conditions:
        print("History:")
        print_table(
            ("  PHASE", "SINCE"), [(f"  {each.status}", age(each.last_transition_time)) for each in status.conditions]
        )
    _print_events(events)


def _print_events(events: Sequence[Event]) -> None:
    if events:
        print("Events:")
        rows = [(f"  {each.type}", each.reason, age(each.last_timestamp), each.message) for each in events]
        print_table(("  TYPE", "REASON", "AGE", "MESSAGE"), rows[-MAX_EVENTS:])


def _task_row(view: JobView, name: str) -> Sequence[object]:
    task = next(each for each in view.job.spec.tasks if each.name == name)
    phases = [pod.status.phase for pod in view.pods if pod.metadata.labels.get(TASK_SPEC) == name]
    counts = [phases.count(phase) for phase in ("Pending", "Running", "Succeeded", "Failed")]
    minimum = task.min_available if task.min_available is not None else task.replicas
    after = ", ".join(task.depends_on.name) if task.depends_on else "-"
    return (f"  {name}", task.replicas, minimum, *counts, after)


def _data_row(each: DataState) -> Sequence[object]:
    """An input or output; of a failure, why in place of the digest."""
    said = f"{each.reason}: {each.message}" if each.reason else each.digest[:19]
    return each.state, each.bytes, said, each.url


def _pod_row(pod: Pod) -> Sequence[object]:
    phase = "Terminating" if pod.metadata.deletion_timestamp else pod.status.phase
    return (f"  {pod.metadata.name}", phase, pod.spec.node_name or "<none>", age(pod.metadata.creation_timestamp))


def _print_queue(queue: Queue) -> None:
    spec, status = queue.spec, queue.status
    _fields(
        {
            "Name": queue.metadata.name,
            "State": status.state or "Open",
            "Parent": spec.parent or "-",
            "Weight": spec.weight,
            "Priority": spec.priority,
            "Reclaimable": "yes" if spec.reclaimable in (None, True) else "no",
            "PodGroups": f"{status.running} running, {status.inqueue} inqueue, {status.pending} pending",
        }
    )
    for condition in status.conditions:
        if condition.status == "False":
            print(f"Wrong:  {condition.message}")
    names = sorted({*spec.capability, *spec.deserved, *spec.guarantee.resource, *status.allocated})
    columns = (spec.guarantee.resource, spec.deserved, spec.capability, status.allocated)
    if names:
        rows = [(f"  {name}", *(column.get(name, "-") for column in columns)) for name in names]
        print_table(("  RESOURCE", "GUARANTEE", "DESERVED", "CAPABILITY", "ALLOCATED"), rows)


def _fields(fields: dict[str, object]) -> None:
    width = max(map(len, fields)) + 2
    for name, value in fields.items():
        print(f"{name + ':':<{width}} {value}")
