"""Why a job waits, and what would start it, read from its objects: the words behind `why` in the CLI and the DSL.

The scheduler writes its reason, with numbers, into the PodGroup; this module puts it beside what the job itself knows
(suspension, retries, held-back tasks, a closed queue). It invents nothing: without a reason on the objects, it says so.
"""

from collections.abc import Iterable, Sequence

import msgspec

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.core import Pod
from flowbatch.api.meta import Condition
from flowbatch.api.names import TASK_SPEC
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.workload.suspension import suspended
from flowbatch.workload.vocabulary import READY, SUCCEEDED, SUSPENDED_REASON

FINISHED = ("Completed", "Failed", "Terminated", "Aborted")


#: What a task must do for those that wait for it, by the status that they name.
_MUST = {SUCCEEDED: "succeed", READY: "be ready"}


class Explanation(msgspec.Struct, frozen=True):
    """A headline for one line of space, and the details below it."""

    headline: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"  {line}" for line in self.details)])


def explain(job: Job, group: PodGroup | None, queue: Queue | None, pods: Sequence[Pod]) -> Explanation:
    """Why `job` is where it is, from the objects as they are now."""
    phase = job.status.state.phase or "Pending"
    total = sum(task.replicas for task in job.spec.tasks)
    if suspended(job):
        return Explanation(_suspension(pods), (f"resume it: flowbatch resume {_at(job)}",))
    if phase in ("Aborting", "Aborted") and job.status.state.reason == SUSPENDED_REASON:
        return Explanation(_suspension(pods), (job.status.state.message,))
    if phase in FINISHED:
        return Explanation(_finished(job, phase), tuple(_bad_ends(pods)) if phase == "Failed" else ())
    running = sum(pod.status.phase == "Running" for pod in pods)
    held = tuple(_held_back(job.spec.tasks, pods))
    reason = _unschedulable(group)
    if reason is not None and not _all_placed(job, pods):
        return Explanation(reason.message or reason.reason, (*_queue_lines(queue, job), *held))
    if running and not held and running + _finished_pods(pods) >= total:
        return Explanation(f"running: {running} of {total} pods")
    if group is None:
        said = job.status.state.message or "waiting for the job controller to make its PodGroup"
        return Explanation(said, _queue_lines(queue, job))
    placed = sum(bool(pod.spec.node_name) for pod in pods)
    if group.status.phase in ("", "Pending"):
        return Explanation("waiting to be let into its queue", (*_queue_lines(queue, job), *held))
    starting = f"starting: {placed} of {total} pods placed, {running} running"
    return Explanation(starting, (*held, *_pod_lines(pods)))


def _at(job: Job) -> str:
    namespace = job.metadata.namespace
    return job.metadata.name if namespace in ("", "default") else f"{job.metadata.name} -n {namespace}"


def _finished(job: Job, phase: str) -> str:
    state = job.status.state
    told = f": {state.message}" if state.message else f": {state.reason}" if state.reason else ""
    count = job.status.retry_count
    retries = f" after {count} retr{'y' if count == 1 else 'ies'}" if count else ""
    return f"{phase.lower()}{retries}{told}"


def _suspension(pods: Sequence[Pod]) -> str:
    left = sum(pod.status.phase not in ("Succeeded", "Failed") for pod in pods)
    if left:
        return f"being suspended: {left} pod{'' if left == 1 else 's'} still to stop"
    return "suspended: it holds no pods and no queue room"


def _bad_ends(pods: Sequence[Pod]) -> Iterable[str]:
    """How the containers of failed pods ended, each way once with one of the pods."""
    ends: dict[str, list[str]] = {}
    for pod in pods:
        for status in pod.status.container_statuses:
            end = status.state.terminated
            if pod.status.phase == "Failed" and end and end.exit_code:
                how = f"exit code {end.exit_code}" + (f", {end.message.strip()}" if end.message.strip() else "")
                ends.setdefault(how, []).append(pod.metadata.name)
    for how, names in ends.items():
        yield f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {how}"


def _unschedulable(group: PodGroup | None) -> Condition | None:
    """The PodGroup's Unschedulable condition, while it is the newer word."""
    if group is None or group.status.phase == "Completed":
        return None
    for condition in group.status.conditions:
        if condition.type == "Unschedulable" and condition.status == "True":
            return condition
    return None


def _queue_lines(queue: Queue | None, job: Job) -> tuple[str, ...]:
    name = job.spec.queue or "default"
    if queue is None:
        return (f'queue "{name}" does not exist; create it: flowbatch queue create {name}',)
    state = queue.status.state or "Open"
    if state != "Open":
        return (f"queue {name} is {state}; open it: flowbatch queue open {name}",)
    limits = ", ".join(f"{resource} {value}" for resource, value in queue.spec.capability.items())
    used = ", ".join(f"{resource} {value}" for resource, value in queue.status.allocated.items())
    # Use is written a moment after it changes: an empty one may only be late, so it is not called nothing.
    in_use = f", in use {used}" if used else ""
    return (f"queue {name}: weight {queue.spec.weight}, limit {limits or 'none'}{in_use}",)


def _held_back(tasks: Iterable[TaskSpec], pods: Sequence[Pod]) -> Iterable[str]:
    """Tasks that have no pods because the tasks they depend on are not ready."""
    present = {_task_of(pod) for pod in pods}
    for task in tasks:
        if task.depends_on and task.replicas and task.name not in present:
            joined = (" or " if task.depends_on.iteration == "any" else " and ").join(task.depends_on.name)
            yield f"task {task.name} waits for {joined} to {_MUST.get(task.depends_on.status, 'be running')}"


def _all_placed(job: Job, pods: Sequence[Pod]) -> bool:
    """Whether every pod that can be there has a node: a reason for waiting is then only not taken back yet."""
    present = {_task_of(pod) for pod in pods}
    due = sum(task.replicas for task in job.spec.tasks if task.name in present or not task.depends_on)
    return bool(pods) and len(pods) >= due and all(pod.spec.node_name for pod in pods)


def _task_of(pod: Pod) -> str | None:
    return pod.metadata.annotations.get(TASK_SPEC) or pod.metadata.labels.get(TASK_SPEC)


def _finished_pods(pods: Sequence[Pod]) -> int:
    return sum(pod.status.phase in ("Succeeded", "Failed") for pod in pods)


def _pod_lines(pods: Sequence[Pod]) -> Iterable[str]:
    """Containers that cannot start, each reason once with a count."""
    reasons: dict[str, int] = {}
    for pod in pods:
        for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            waiting = status.state.waiting
            if waiting and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
                line = f"{waiting.reason}: {waiting.message}" if waiting.message else waiting.reason
                reasons[line] = reasons.get(line, 0) + 1
    for line, count in reasons.items():
        yield f"{count} container{'s' if count > 1 else ''}: {line}"
