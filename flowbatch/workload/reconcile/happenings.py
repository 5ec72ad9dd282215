"""What has happened to a job since its status was written: read off the difference between ledger and pods.

Events are not heard, they are found: a pod that was alive and is gone was evicted, whoever was watching. Each one is
answered in the status write that notes it, so it is answered once, and a controller that slept through it finds it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from flowbatch.workload.census import Member
from flowbatch.workload.policies import Happening, listens_to
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.vocabulary import (
    JOB_UPDATED,
    POD_EVICTED,
    POD_FAILED,
    POD_PENDING,
    TASK_COMPLETED,
    TASK_FAILED,
    UNKNOWN,
)

#: Sorts after every time.
_LAST = "9999"


def happenings(turn: Turn) -> list[Happening]:
    """Everything that policies may be asked about, by the time it happened; what ended well comes first."""
    found = [*_failures(turn), *_losses(turn), *_waits(turn), *_of_tasks(turn), *_of_job(turn)]
    found.sort(key=lambda pair: (pair[0], pair[1].event != TASK_COMPLETED))
    return [happening for _, happening in found]


def ended_at(member: Member) -> str:
    """When the pod's last container ended, as sortable text; late if nobody says."""
    end = _end(member)
    return end.isoformat() if end is not None else _LAST


def _end(member: Member) -> datetime | None:
    times = [
        each.state.terminated.finished_at
        for each in member.pod.status.container_statuses
        if each.state.terminated is not None and each.state.terminated.finished_at is not None
    ]
    return max(times, default=None)


def _taken(member: Member) -> bool:
    """Whether somebody deleted the pod while it was alive: then it was evicted, though its node says Failed first.

    Which of the two states a controller gets to see must not decide which policy answers.
    """
    meta, end = member.pod.metadata, _end(member)
    if member.phase != "Failed" or meta.deletion_timestamp is None or end is None:
        return False
    return end >= meta.deletion_timestamp - timedelta(seconds=meta.deletion_grace_period_seconds or 0)


def _failures(turn: Turn) -> Iterator[tuple[str, Happening]]:
    """Pods that have failed, also those that somebody has deleted since."""
    launched = _launched(turn)
    for member in turn.census.members:
        if member.phase != "Failed" or turn.census.leftover(member) or member.refused or _taken(member):
            continue
        if member.deleting and (member.task, member.index) not in launched:
            continue
        yield ended_at(member), _about(member, POD_FAILED, infrastructure=member.lost)


def _losses(turn: Turn) -> Iterator[tuple[str, Happening]]:
    """Places where a pod was alive and is no more, or will not be for long, and not by our doing."""
    here: dict[tuple[str, int], list[Member]] = {}
    for member in turn.census.members:
        here.setdefault((member.task, member.index), []).append(member)
    for task, index in sorted(_launched(turn)):
        pods = here.get((task, index), [])
        if any(not each.deleting or _settled(each) or turn.census.leftover(each) for each in pods):
            continue
        uid, version = (pods[0].uid, pods[0].version) if pods else ("", turn.status.version)
        about = Happening(POD_EVICTED, task, index, uid, version, infrastructure=True)
        yield turn.now.isoformat(), about


def _settled(member: Member) -> bool:
    """Whether the pod came to an end of its own, so that its going is no loss."""
    return member.ended and not _taken(member)


def _launched(turn: Turn) -> set[tuple[str, int]]:
    return {
        (name, index)
        for name, task in turn.census.tasks.items()
        for index in turn.ledger.indexes("launched", name)
        if index < task.replicas
    }


def _waits(turn: Turn) -> Iterator[tuple[str, Happening]]:
    if not listens_to(turn.job, POD_PENDING):
        return
    for member in turn.census.current:
        if member.phase == "Pending":
            yield _LAST, _about(member, POD_PENDING)


def _of_tasks(turn: Turn) -> Iterator[tuple[str, Happening]]:
    """A task all of whose pods have succeeded, or whose containers were restarted in place too often."""
    for name, task in turn.census.tasks.items():
        mine = turn.census.of_task[name]
        if task.replicas and len(turn.census.done[name]) >= task.replicas:
            ends = [ended_at(each) for each in mine] or [_LAST]
            yield max(ends), Happening(TASK_COMPLETED, name, version=turn.status.version)
        limit = task.max_retry if task.max_retry is not None else 0
        restarts = sum(each.restarts for each in mine if each.phase in ("Running", "Pending"))
        if limit > 0 and restarts >= limit:
            yield _LAST, Happening(TASK_FAILED, name, version=turn.status.version)


def _of_job(turn: Turn) -> Iterator[tuple[str, Happening]]:
    group = turn.children.pod_group
    if group is not None and group.status.phase == "Unknown":
        yield _LAST, Happening(UNKNOWN, uid=group.metadata.uid, version=turn.status.version)
    generation = turn.job.metadata.generation
    if listens_to(turn.job, JOB_UPDATED) and turn.ledger.generation not in (0, generation):
        yield _LAST, Happening(JOB_UPDATED, version=turn.status.version)


def _about(member: Member, event: str, *, infrastructure: bool = False) -> Happening:
    code = member.exit_code if event == POD_FAILED else 0
    return Happening(event, member.task, member.index, member.uid, member.version, code, infrastructure)
