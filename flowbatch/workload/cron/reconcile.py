"""(CronJob, its jobs, now) -> what to do: Kubernetes' CronJob over Volcano's Job (volcano.md 6.3), as a level.

A run is a Job with a name that follows from its time. So it is made first and noted after: who looks again, after a
crash too, finds it by its name. The status is what the jobs say, and never remembers what they do not.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from flowbatch.api.batch import Job
from flowbatch.api.cron import CronJob, CronJobStatus
from flowbatch.api.kinds import JOB
from flowbatch.api.timestamps import format_time
from flowbatch.workload.changes import Change, Create, Delete, Note
from flowbatch.workload.cron.runs import finished, reference_to, run_name, run_of, scheduled_at
from flowbatch.workload.cron.schedule import MANY_MISSED, BadSchedule, Schedule, parse_schedule, parse_zone

#: Kubernetes' defaults, where the served schema has none.
KEEP_SUCCESSFUL, KEEP_FAILED = 3, 1


class CronChanges(Change, frozen=True):
    """One reconcile's outcome, in the order of its effects."""

    #: What a new run replaces.
    deletes: tuple[Delete, ...] = ()
    creates: tuple[Create, ...] = ()
    status: CronJobStatus | None = None
    #: Finished jobs beyond the limits, after the status has said what they were.
    sweeps: tuple[Delete, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Nothing to do until `wake_at`."""
        return not (self.deletes or self.creates or self.sweeps or self.notes) and self.status is None


def reconcile(cron: CronJob, jobs: Sequence[Job], now: datetime) -> CronChanges:
    """What is to be done about `cron`; `jobs` are those that it controls."""
    ours = sorted(jobs, key=lambda job: (_created(job, now), job.metadata.name))
    status, notes = _observed(cron, ours)
    seen = replace(cron, status=status)
    due = CronChanges() if cron.spec.suspend else _due(seen, ours, now)
    return replace(
        due,
        status=status if status != cron.status else None,
        sweeps=tuple(_beyond_limits(cron, ours)),
        notes=(*notes, *due.notes),
    )


def _created(job: Job, now: datetime) -> datetime:
    return job.metadata.creation_timestamp or now


# What the jobs say ----------------------------------------------------------------------------------------------------


def _observed(cron: CronJob, jobs: Sequence[Job]) -> tuple[CronJobStatus, list[Note]]:
    notes: list[Note] = []
    before = {each.uid: each.name for each in cron.status.active}
    present = {job.metadata.uid: job for job in jobs}
    for uid, name in before.items():
        job = present.get(uid)
        if job is None:
            notes.append(Note("Warning", "StaleReference", f'active job "{name}" does not exist any more'))
        elif finished(job):
            phase = job.status.state.phase.lower()
            notes.append(Note("Normal", "SawCompletedJob", f"saw {phase} job {name}, which was active"))
    running = [job for job in jobs if not finished(job) and job.metadata.deletion_timestamp is None]
    active = [job for job in running if scheduled_at(job) is not None]
    for job in running:
        if scheduled_at(job) is None:
            said = f"job {job.metadata.name} belongs to this CronJob, which did not make it"
            notes.append(Note("Warning", "OrphanedJob", said))
    status = replace(
        cron.status,
        active=tuple(reference_to(job) for job in active),
        last_schedule_time=_latest(cron.status.last_schedule_time, [scheduled_at(job) for job in jobs]),
        last_successful_time=_latest(cron.status.last_successful_time, [_succeeded_at(job) for job in jobs]),
    )
    return status, notes


def _succeeded_at(job: Job) -> datetime | None:
    state = job.status.state
    return state.last_transition_time if state.phase == "Completed" else None


def _latest(known: datetime | None, others: list[datetime | None]) -> datetime | None:
    return max((each for each in (known, *others) if each is not None), default=None)


def _beyond_limits(cron: CronJob, jobs: Sequence[Job]) -> list[Delete]:
    """The oldest finished jobs, of which there are more than are to be kept."""
    spec = cron.spec
    ended = [job for job in jobs if finished(job) and job.metadata.deletion_timestamp is None]
    good = [job for job in ended if job.status.state.phase == "Completed"]
    bad = [job for job in ended if job.status.state.phase != "Completed"]
    keep_good = KEEP_SUCCESSFUL if spec.successful_jobs_history_limit is None else spec.successful_jobs_history_limit
    keep_bad = KEEP_FAILED if spec.failed_jobs_history_limit is None else spec.failed_jobs_history_limit
    return [
        _delete(job) for kind, keep in ((good, keep_good), (bad, keep_bad)) for job in kind[: max(0, len(kind) - keep)]
    ]


def _delete(job: Job) -> Delete:
    return Delete(JOB.kind, job.metadata.namespace, job.metadata.name, job.metadata.uid)


# What the clock says --------------------------------------------------------------------------------------------------


def _due(cron: CronJob, jobs: Sequence[Job], now: datetime) -> CronChanges:
    """The run that is due, if one is, and when to look again."""
    try:
        parse_zone(cron.spec.time_zone)
    except BadSchedule as problem:
        return _note("InvalidTimeZone", f'time zone "{cron.spec.time_zone}" {problem}')
    try:
        schedule = parse_schedule(cron.spec.schedule, cron.spec.time_zone)
        changes = _run(cron, jobs, now, schedule)
        return replace(changes, wake_at=schedule.after(now))
    except BadSchedule as problem:
        return _note("UnParseableCronJobSchedule", f'schedule "{cron.spec.schedule}" {problem}')


def _note(reason: str, message: str) -> CronChanges:
    return CronChanges(notes=(Note("Warning", reason, message),))


def _too_late(due: datetime) -> CronChanges:
    return _note("MissSchedule", f"missed the run of {format_time(due)}: startingDeadlineSeconds have passed")


def _run(cron: CronJob, jobs: Sequence[Job], now: datetime, schedule: Schedule) -> CronChanges:
    since = cron.status.last_schedule_time or cron.metadata.creation_timestamp or now
    deadline = cron.spec.starting_deadline_seconds
    start = since if deadline is None else max(since, now - timedelta(seconds=deadline))
    missed = schedule.missed(start, now)
    if missed is None:
        late = schedule.missed(since, now) if start > since else None
        return (
            _note("MissSchedule", f"missed the run of {format_time(late.latest)}: too late") if late else CronChanges()
        )
    notes: tuple[Note, ...] = ()
    if missed.count > MANY_MISSED:
        said = f"more than {MANY_MISSED} runs were missed; only that of {format_time(missed.latest)} is made up for"
        notes = (Note("Warning", "TooManyMissedTimes", f"{said}: set startingDeadlineSeconds, or check the clocks"),)
    if any(job.metadata.name == run_name(cron, missed.latest) for job in jobs):
        return CronChanges()
    return _start(cron, jobs, missed.latest, notes)


def _start(cron: CronJob, jobs: Sequence[Job], due: datetime, notes: tuple[Note, ...]) -> CronChanges:
    """Make the run, unless one that is under way forbids it."""
    busy = {each.uid for each in cron.status.active}
    active = [job for job in jobs if job.metadata.uid in busy]
    policy, when = cron.spec.concurrency_policy, format_time(due)
    if active and policy == "Forbid":
        said = f"the run of {when} waits or is skipped: job {active[0].metadata.name} is still running"
        return CronChanges(notes=(*notes, Note("Warning", "ForbidConcurrent", said)))
    deletes: tuple[Delete, ...] = ()
    if active and policy == "Replace":
        deletes = tuple(_delete(job) for job in active)
        said = f"the run of {when} replaces {', '.join(each.name for each in deletes)}"
        notes = (*notes, Note("Warning", "ReplaceConcurrent", said))
    made = run_of(cron, due)
    note = Note("Normal", "SuccessfulCreate", f"created job {made['metadata']['name']}")
    return CronChanges(deletes=deletes, creates=(Create(made),), notes=(*notes, note))
