"""Whether a job is as it was left, at a glance: what a controller asks of each job when it starts among many.

A yes is certain: then `reconcile` would find nothing to do, and nothing to wait for. A no only means to look closely.
One exception is wanted: what a PodGroup says beyond counts is not computed anew; the next close look does that.
"""

from functools import lru_cache

import msgspec

from flowbatch.api import names
from flowbatch.api.batch import Job, TaskState
from flowbatch.workload import ledger as ledgers
from flowbatch.workload.census import Children
from flowbatch.workload.effective import minimum
from flowbatch.workload.ledger import Ledger
from flowbatch.workload.lifecycle import FINISHED
from flowbatch.workload.ranges import to_text
from flowbatch.workload.suspension import suspended
from flowbatch.workload.vocabulary import JOB_UPDATED

_ENDS = frozenset(map(str, FINISHED))
_STARTED = ("Running", "Inqueue")


def is_settled(job: Job, children: Children) -> bool:
    """Whether nothing is to be done about `job`: it runs whole as its status says, or has ended and been wound up."""
    if job.metadata.deletion_timestamp is not None or children.commands:
        return False
    ledger = ledgers.read(job.status)
    if ledger.orders:
        return False
    phase = job.status.state.phase
    if phase in _ENDS:
        return _wound_up(job, children)
    return phase == "Running" and _undisturbed(job, children, ledger) and _runs_whole(job, children, ledger)


def _wound_up(job: Job, children: Children) -> bool:
    status = job.status
    if job.spec.ttl_seconds_after_finished is not None or children.pod_group is not None:
        return False
    if status.pending or status.running or status.unknown or status.terminating or status.running_duration is None:
        return False
    ended = [pod.status.phase for pod in children.pods if pod.metadata.deletion_timestamp is None]
    if len(ended) != len(children.pods) or ended.count("Failed") + ended.count("Succeeded") != len(ended):
        return False
    return status.failed == ended.count("Failed") and status.succeeded >= ended.count("Succeeded")


def _undisturbed(job: Job, children: Children, ledger: Ledger) -> bool:
    """Whether nothing is under way that only a close look can follow."""
    spec = job.spec
    busy = ledger.floors or ledger.timers or ledger.holds or ledger.done or ledger.fired or ledger.suspended
    learnt = ledger.avoided or ledger.raised
    if busy or learnt or suspended(job) or children.suspended_queue:
        return False
    if spec.volumes or spec.active_deadline_seconds is not None or spec.reservation_policy:
        return False
    if any(f"plugin-{name}" not in job.status.controlled_resources for name in spec.plugins):
        return False
    for policies in (spec.policies, *[task.policies for task in spec.tasks]):
        for policy in policies:
            if policy.event == JOB_UPDATED or JOB_UPDATED in policy.events:
                return False
    return True


class _Whole(msgspec.Struct, frozen=True):
    """How a job of these tasks and replicas looks when all of it runs; the same for all jobs alike."""

    pods: int
    #: (task, index) of each pod, as annotations spell them.
    places: frozenset[tuple[str, str]]
    launched: dict[str, str]
    counted: dict[str, TaskState]


@lru_cache(maxsize=256)
def _whole(replicas: tuple[tuple[str, int], ...]) -> _Whole:
    return _Whole(
        sum(count for _, count in replicas),
        frozenset((name, str(index)) for name, count in replicas for index in range(count)),
        {name: to_text(range(count)) for name, count in replicas},
        {name: TaskState(phase={"Running": count}) for name, count in replicas},
    )


def _runs_whole(job: Job, children: Children, ledger: Ledger) -> bool:
    """Whether each index of each task has its pod, running, and status and PodGroup say so."""
    spec, status = job.spec, job.status
    whole = _whole(tuple((task.name, task.replicas) for task in spec.tasks if task.replicas > 0))
    if not whole.pods or not len(children.pods) == whole.pods == status.running:
        return False
    places = set()
    for pod in children.pods:
        notes, seen = pod.metadata.annotations, pod.status
        if seen.phase != "Running" or pod.metadata.deletion_timestamp is not None or names.OUT_OF_SYNC in notes:
            return False
        for each in seen.container_statuses:
            if each.restart_count:
                return False
        for each in seen.init_container_statuses:
            if each.restart_count:
                return False
        places.add((notes.get(names.TASK_SPEC), notes.get(names.TASK_INDEX)))
    least = spec.min_available or sum(minimum(task) for task in spec.tasks)
    return (
        places == whole.places
        and not (status.pending or status.succeeded or status.failed or status.unknown or status.terminating)
        and status.min_available == least
        and status.task_status_count == whole.counted
        and ledger.launched == whole.launched
        and _is_grouped(job, children, least)
    )


def _is_grouped(job: Job, children: Children, least: int) -> bool:
    group = children.pod_group
    if group is None or group.metadata.deletion_timestamp is not None or group.status.phase not in _STARTED:
        return False
    spec = group.spec
    return (
        group.metadata.annotations.get(names.JOB_VERSION) == "0"
        and spec.min_member == least
        and spec.min_task_member == {task.name: minimum(task) for task in job.spec.tasks}
        and spec.queue == (job.spec.queue or names.DEFAULT_QUEUE)
        and spec.priority_class_name == job.spec.priority_class_name
    )
