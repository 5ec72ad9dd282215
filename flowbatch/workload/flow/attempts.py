"""One job of a step, from its making to its end: attempts, back-off, and what it leaves.

A name is used again for the next attempt. So the attempt is counted in the flow's status, then the job that failed is
deleted, and when it is gone the next is made: whoever is killed in between finds in the status which one is due.
"""

from datetime import datetime, timedelta

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.flow import Flow, StepOutput
from flowbatch.api.meta import JsonObject
from flowbatch.workload.changes import Create
from flowbatch.workload.flow.changes import COMPLETED, FAILED, RUNNING, WAITING, Message
from flowbatch.workload.flow.child import attempt_of, child_job, job_name, template_name
from flowbatch.workload.flow.turn import Turn, limit_of
from flowbatch.workload.flow.values import ABSENT, VARIABLE_BYTES, NoValue, as_json, read_message

#: Back-off stops doubling here where a step does not say where.
LONGEST_BACKOFF_S = 3600
#: A template may come so much later than its flow without a remark.
PATIENCE_S = 5
_ENDED_BADLY = ("Failed", "Terminated")
_MESSAGE_CHARS = 300


class Outcome(msgspec.Struct, frozen=True):
    """What has become of one job: Waiting (nothing made), Running, Completed or Failed."""

    state: str
    attempts: int = 0
    reason: str = ""
    message: str = ""
    retry_time: datetime | None = None
    outputs: JsonObject = {}
    ended: datetime | None = None


def attempt(turn: Turn, step: Flow, item: int | None, begun: int, variables: dict[str, str]) -> Outcome:
    """Take one job further; `begun` is the number of attempts that the status knows of."""
    job = _job(turn, job_name(turn.flow, step, item), begun)
    due = max(begun, 1) if job is None else max(begun, attempt_of(job))
    if job is None:
        return _make(turn, step, item, begun, due, variables)
    if attempt_of(job) < due:
        turn.delete(job)
        return Outcome(RUNNING, due, "Retrying", f"attempt {due} begins when the one before is gone")
    phase = job.status.state.phase
    if phase == "Completed":
        return _completed(turn, step, job, due)
    if phase in _ENDED_BADLY:
        return _failed(turn, step, job, due)
    if job.metadata.deletion_timestamp is None:
        turn.follow_suspension(job)
    return Outcome(RUNNING, due)


def _job(turn: Turn, name: str, begun: int) -> Job | None:
    """The job of this name; one that is gone counts if it was the latest attempt, for then nothing is left to do."""
    job = turn.children.jobs.get(name)
    if job is None:
        last = turn.children.gone.get(name)
        if last is not None and attempt_of(last) >= begun:
            return last
    return job


def _make(turn: Turn, step: Flow, item: int | None, begun: int, due: int, variables: dict[str, str]) -> Outcome:
    waiting = RUNNING if begun else WAITING
    if turn.suspended:
        return Outcome(waiting, begun)
    name = template_name(step)
    template = turn.children.template(name)
    if template is None:
        said = f'JobTemplate "{name}" does not exist'
        _warn_of_absence(turn, f"step {step.name}: {said}")
        return Outcome(waiting, begun, "TemplateMissing", said)
    try:
        given = {**_given(turn, step), **variables}
    except NoValue as problem:
        return Outcome(FAILED, begun, "InputTooLarge", str(problem), ended=turn.now)
    turn.creates.append(Create(child_job(turn.flow, step, template, given, item, due)))
    return Outcome(RUNNING, due)


def _warn_of_absence(turn: Turn, said: str) -> None:
    """Files are applied in any order: what is missing in the first moments is usually on its way."""
    patience = (turn.flow.metadata.creation_timestamp or turn.now) + timedelta(seconds=PATIENCE_S)
    if turn.now < patience:
        turn.wake(patience)
    else:
        turn.warn("TemplateMissing", said)


def _given(turn: Turn, step: Flow) -> dict[str, str]:
    """The variables that carry outputs of earlier steps; what no step gave is not set."""
    found: dict[str, str] = {}
    for value in step.inputs:
        given = turn.output(value.from_)
        if given is not ABSENT:
            found[value.name] = as_json(given)
            if len(found[value.name].encode()) > VARIABLE_BYTES:
                raise NoValue(f"{value.from_} is longer than the {VARIABLE_BYTES} bytes that a variable holds")
    return found


def _failed(turn: Turn, step: Flow, job: Job, attempts: int) -> Outcome:
    state = job.status.state
    ended = state.last_transition_time or turn.now
    said = f"job {job.metadata.name} {state.phase.lower()}" + (
        f": {state.message or state.reason}" if state.reason or state.message else ""
    )
    said = said[:_MESSAGE_CHARS]
    # Terminated was somebody's wish; only a failure is tried again.
    if state.phase != "Failed" or attempts > limit_of(step):
        return Outcome(FAILED, attempts, "JobFailed" if state.phase == "Failed" else "JobTerminated", said, ended=ended)
    due = ended + timedelta(seconds=_backoff_s(step, attempts))
    told = f"attempt {attempts} of {limit_of(step) + 1}: {said}"
    if turn.suspended:
        return Outcome(RUNNING, attempts, "Retrying", told)
    if turn.now < due:
        turn.wake(due)
        return Outcome(RUNNING, attempts, "Retrying", told, retry_time=due)
    turn.status_first = True
    turn.delete(job)
    return Outcome(RUNNING, attempts + 1, "Retrying", told)


def _backoff_s(step: Flow, attempts: int) -> int:
    """Seconds between the end of this attempt and the next one."""
    assert step.retry is not None
    longest = step.retry.max_backoff_seconds
    most = LONGEST_BACKOFF_S if longest is None else longest
    return min(step.retry.backoff_seconds << min(attempts - 1, 30), max(most, 0))


def _completed(turn: Turn, step: Flow, job: Job, attempts: int) -> Outcome:
    ended = job.status.state.last_transition_time or turn.now
    if job.spec.ttl_seconds_after_finished is not None:
        # What it said goes with it.
        turn.hurry = True
    try:
        outputs = _outputs(turn, step, job)
    except NoValue as problem:
        return Outcome(FAILED, attempts, "OutputMissing", str(problem)[:_MESSAGE_CHARS], ended=ended)
    if outputs is None:
        return Outcome(RUNNING, attempts)
    return Outcome(COMPLETED, attempts, outputs=outputs, ended=ended)


def _outputs(turn: Turn, step: Flow, job: Job) -> JsonObject | None:
    """What the step gives, or None while pods have yet to be asked. Raises NoValue."""
    found: JsonObject = {}
    unread = False
    for output in step.outputs:
        message = Message(job.metadata.uid, job.metadata.namespace, _pod_name(job, output))
        if message not in turn.children.messages:
            turn.reads.append(message)
            unread = True
            continue
        given = read_message(turn.children.messages[message])
        if output.name not in given:
            keys = ", ".join(sorted(given)[:5]) or "nothing"
            raise NoValue(f"pod {message.pod} gave no {output.name!r}, but {keys}")
        found[output.name] = given[output.name]
    return None if unread else found


def _pod_name(job: Job, output: StepOutput) -> str:
    first = job.spec.tasks[0].name if job.spec.tasks else ""
    return f"{job.metadata.name}-{output.task or first}-{output.index}"
