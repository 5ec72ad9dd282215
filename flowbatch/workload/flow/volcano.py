"""The status of a flow as Volcano's clients read it: lists of jobs by phase, and what each job has been through.

The lists are whole. Of `jobStatusList` and `conditions`, which say ten times as much of each job, a large flow keeps
those of the jobs that run and of those that ended last: a status has to fit into one object.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec.structs import replace

from flowbatch.api.batch import Job
from flowbatch.api.flow import FlowCondition, FlowJobStatus, JobFlowStatus, JobRunningHistory
from flowbatch.workload.flow import ranges
from flowbatch.workload.flow.changes import COMPLETED, FAILED
from flowbatch.workload.flow.child import job_name
from flowbatch.workload.flow.turn import Turn

#: Jobs of which more than the name is shown.
MOST_SHOWN = 200
_LISTS = {
    "": "pending_jobs",
    "Pending": "pending_jobs",
    "Running": "running_jobs",
    "Failed": "failed_jobs",
    "Completed": "completed_jobs",
    "Terminated": "terminated_jobs",
}
#: On the way from one phase to another: in none of Volcano's lists.
_BETWEEN = ("Completing", "Terminating")
_OVER = ("Completed", "Failed", "Terminated")


def with_jobs(turn: Turn, status: JobFlowStatus) -> JobFlowStatus:
    """`status` with what Volcano says about jobs; jobs that are gone are remembered by the steps that they ended."""
    lists: dict[str, list[str]] = {}
    shown: list[Job] = []
    for name, phase in _jobs(turn):
        if phase not in _BETWEEN:
            lists.setdefault(_LISTS.get(phase, "un_know_jobs"), []).append(name)
        job = turn.children.jobs.get(name)
        if job is not None:
            shown.append(job)
    fields = (*dict.fromkeys(_LISTS.values()), "un_know_jobs")
    told = {field: tuple(lists.get(field, ())) for field in fields}
    return replace(status, **told, **_details(turn, status, _most_telling(shown)))


def _jobs(turn: Turn) -> Iterator[tuple[str, str]]:
    """Name and phase of every job that the flow has made, in the order of its steps."""
    jobs = turn.children.jobs
    for step, status in zip(turn.graph.steps, turn.steps, strict=True):
        name = job_name(turn.flow, step)
        if status.items is None:
            job = jobs.get(name)
            if job is not None:
                yield name, job.status.state.phase
            elif status.state in (COMPLETED, FAILED) and status.attempts:
                yield name, status.state
            continue
        total = status.items.total
        ended = dict.fromkeys(ranges.read(status.items.completed_indexes, total), "Completed")
        ended |= dict.fromkeys(ranges.read(status.items.failed_indexes, total), "Failed")
        for place in range(total):
            job = jobs.get(f"{name}-{place}")
            phase = job.status.state.phase if job is not None else ended.get(place)
            if phase is not None:
                yield f"{name}-{place}", phase


def _most_telling(jobs: list[Job]) -> list[Job]:
    """Those that have not ended, and then those that ended last; in their order."""
    if len(jobs) <= MOST_SHOWN:
        return jobs

    def rank(job: Job) -> tuple[bool, float]:
        moved = job.status.state.last_transition_time
        return job.status.state.phase in _OVER, -moved.timestamp() if moved is not None else 0.0

    chosen = {job.metadata.name for job in sorted(jobs, key=rank)[:MOST_SHOWN]}
    return [job for job in jobs if job.metadata.name in chosen]


def _details(turn: Turn, status: JobFlowStatus, jobs: list[Job]) -> dict[str, object]:
    """jobStatusList and conditions. What is told of jobs that are gone stays, as far as there is room."""
    present = {job.metadata.name for job in jobs}
    told = {each.name: each for each in status.job_status_list}
    room = max(0, MOST_SHOWN - len(jobs))
    gone = [each for each in status.job_status_list if each.name not in present and each.name not in turn.children.jobs]
    kept = gone[len(gone) - room :] if room < len(gone) else gone
    conditions = {each.name: status.conditions[each.name] for each in kept if each.name in status.conditions}
    conditions |= {job.metadata.name: _condition(job) for job in jobs}
    return {
        "job_status_list": (*kept, *(_history(job, told.get(job.metadata.name), turn.now) for job in jobs)),
        "conditions": conditions,
    }


def _condition(job: Job) -> FlowCondition:
    return FlowCondition(
        phase=job.status.state.phase,
        create_time=job.metadata.creation_timestamp,
        running_duration=job.status.running_duration,
        task_status_count=job.status.task_status_count,
    )


def _history(job: Job, before: FlowJobStatus | None, now: datetime) -> FlowJobStatus:
    """What a job has been through; a phase begins when the job says so."""
    state, created = job.status.state, job.metadata.creation_timestamp
    moved = state.last_transition_time or created or now
    histories = before.running_histories if before is not None and before.start_timestamp == created else ()
    if state.phase and (not histories or histories[-1].state != state.phase):
        closed = tuple(replace(each, end_timestamp=each.end_timestamp or moved) for each in histories)
        histories = (*closed, JobRunningHistory(start_timestamp=moved, state=state.phase))
    return FlowJobStatus(
        name=job.metadata.name,
        state=state.phase,
        start_timestamp=created,
        end_timestamp=state.last_transition_time if state.phase in _OVER else None,
        restart_count=job.status.retry_count,
        running_histories=histories,
    )
