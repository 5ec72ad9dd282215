"""What became of a job's inputs and outputs, out of its pods' staging containers."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from flowbatch.api.batch import DataState, Job, JobStatus, TaskSpec
from flowbatch.api.core import ContainerStatus
from flowbatch.api.staging import Moved, read_report
from flowbatch.workload.census import Member
from flowbatch.workload.staging.items import inputs_of, outputs_of, place_in
from flowbatch.workload.staging.pod import FETCH
from flowbatch.workload.staging.sidecar import STORE

#: Entries of `status.data` that are kept: an object must not grow with the size of a sweep.
MOST_ENTRIES = 256
FETCHED, STORED, FAILED = "Fetched", "Stored", "Failed"


def problem_of(data: Iterable[DataState]) -> str:
    """The first failure, in words; "" if there is none."""
    for each in data:
        if each.state == FAILED:
            return f"{each.name} of {each.task}-{each.index}: {each.reason}: {each.message}"
    return ""


def note_data(job: Job, status: JobStatus, members: Iterable[Member]) -> JobStatus:
    """`status` with what is known now of every input and output; what pods that are gone have said is kept."""
    tasks = {task.name: task for task in job.spec.tasks if inputs_of(job, task) or outputs_of(job, task)}
    if not tasks:
        return replace(status, data=()) if status.data else status
    known = {(each.task, each.name, each.index): each for each in status.data}
    for member in members:
        if (task := tasks.get(member.task)) is not None:
            for state in _states(job, task, member):
                key = (state.task, state.name, state.index)
                # The first success says what the data are; a later failure says that something is wrong with them.
                if key not in known or state.state == FAILED or known[key].state == FAILED:
                    known[key] = state
    entries = sorted(known.values(), key=lambda each: (each.state != FAILED, each.task, each.name, each.index))
    kept = sorted(entries[:MOST_ENTRIES], key=lambda each: (each.task, each.name, each.index))
    return replace(status, data=tuple(kept))


def _states(job: Job, task: TaskSpec, member: Member) -> Iterator[DataState]:
    urls = {FETCH: {each.name: each.url for each in inputs_of(job, task)}}
    urls[STORE] = {each.name: each.url for each in outputs_of(job, task)}
    for status in member.pod.status.init_container_statuses:
        done = FETCHED if status.name == FETCH else STORED
        for moved in _reports(status):
            if (url := urls.get(status.name, {}).get(moved.name)) is not None and not moved.skipped:
                yield _state(moved, done, place_in(url, job, task, member.index), task.name, _index(url, member))


def _index(url: str, member: Member) -> int:
    """Pods that have the same thing share an entry."""
    return member.index if "{index}" in url else 0


def _state(moved: Moved, done: str, url: str, task: str, index: int) -> DataState:
    return DataState(
        name=moved.name,
        task=task,
        index=index,
        url=url,
        state=FAILED if moved.reason else done,
        bytes=moved.bytes,
        digest=moved.digest,
        reason=moved.reason,
        message=moved.message,
    )


def _reports(status: ContainerStatus) -> tuple[Moved, ...]:
    ended = status.state.terminated
    if ended is None or status.name not in (FETCH, STORE):
        return ()
    return read_report(ended.message)
