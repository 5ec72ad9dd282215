"""The job's status as people see it: counts, running time, history; written only if something in it changed."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from flowbatch.api.batch import JobStatus, TaskState
from flowbatch.workload import ledger as ledgers
from flowbatch.workload.effective import gang_size
from flowbatch.workload.lifecycle import FINISHED
from flowbatch.workload.reconcile.turn import Turn


def summary(turn: Turn) -> JobStatus:
    """The whole new status."""
    tally = turn.census.tally()
    # What is sent away this very moment is counted when it goes: the next look tells.
    deleting = sum(each.deleting for each in turn.census.members)
    status = replace(
        turn.status,
        min_available=gang_size(turn.job.spec),
        task_status_count=_by_task(turn),
        pending=tally.pending,
        running=tally.running,
        succeeded=tally.succeeded,
        failed=tally.failed,
        unknown=tally.unknown,
        terminating=deleting,
        controlled_resources=ledgers.write(turn.status.controlled_resources, turn.ledger),
    )
    if turn.phase in FINISHED and status.running_duration is None:
        status = replace(status, running_duration=go_duration(_ran_for(turn)))
    return status


def _by_task(turn: Turn) -> dict[str, TaskState]:
    counts: dict[str, dict[str, int]] = {}
    for member in turn.census.current:
        phases = counts.setdefault(member.task, {})
        phases[member.phase] = phases.get(member.phase, 0) + 1
    for name in turn.census.tasks:
        if done := len(turn.census.done[name]):
            counts.setdefault(name, {})["Succeeded"] = done
    return {name: TaskState(phase=dict(sorted(phases.items()))) for name, phases in sorted(counts.items())}


def _ran_for(turn: Turn) -> timedelta:
    """From the first time the job ran (or was made, if it never did) to its end."""
    ran = [each.last_transition_time for each in turn.status.conditions if each.status == "Running"]
    start: datetime | None = next((each for each in ran if each is not None), turn.job.metadata.creation_timestamp)
    return max(timedelta(), turn.now - start) if start is not None else timedelta()


def go_duration(length: timedelta) -> str:
    """`length` as Go writes it: "1h2m3s", "0s"."""
    seconds = int(length.total_seconds())
    hours, minutes, seconds = seconds // 3600, seconds % 3600 // 60, seconds % 60
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
