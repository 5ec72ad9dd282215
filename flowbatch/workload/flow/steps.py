"""What becomes of one step in one reconcile: wait, begin, go on, end. A step that has ended is not touched again."""

from msgspec.structs import replace

from flowbatch.api.flow import Flow, StepStatus
from flowbatch.workload.flow.attempts import attempt
from flowbatch.workload.flow.changes import COMPLETED, ENDS, FAILED, WAITING
from flowbatch.workload.flow.child import job_name
from flowbatch.workload.flow.gate import gate
from flowbatch.workload.flow.loops import begun, loop
from flowbatch.workload.flow.turn import Turn
from flowbatch.workload.flow.values import FLOW_BYTES, as_json


def take(turn: Turn, at: int) -> None:
    """Take the step at this place further; its sources have been taken before."""
    before = turn.steps[at]
    if before.state in ENDS:
        return
    step = turn.graph.steps[at]
    if not _begun(turn, step, before):
        if turn.suspended:
            turn.steps[at] = replace(before, state=WAITING, reason="", message="")
            return
        held_back = gate(turn, at)
        if held_back is not None:
            turn.steps[at] = _dated(before, held_back)
            return
    after = loop(turn, step, before) if step.for_each is not None else _single(turn, step, before)
    turn.steps[at] = _dated(before, _bounded(turn, after))


def _begun(turn: Turn, step: Flow, before: StepStatus) -> bool:
    if step.for_each is not None:
        return begun(turn, step, before)
    return before.attempts > 0 or job_name(turn.flow, step) in turn.children.jobs


def _single(turn: Turn, step: Flow, before: StepStatus) -> StepStatus:
    outcome = attempt(turn, step, None, before.attempts, {})
    start = before.start_time
    if start is None and outcome.attempts:
        job = turn.children.jobs.get(job_name(turn.flow, step))
        start = (job.metadata.creation_timestamp if job is not None else None) or turn.now
    return replace(
        before,
        state=outcome.state,
        attempts=outcome.attempts,
        start_time=start,
        end_time=outcome.ended,
        reason=outcome.reason,
        message=outcome.message,
        retry_time=outcome.retry_time,
        outputs=outcome.outputs,
    )


def _bounded(turn: Turn, after: StepStatus) -> StepStatus:
    """A step whose outputs do not fit into the flow's status beside the others' has failed."""
    if after.state != COMPLETED or not after.outputs:
        return after
    held = sum(len(as_json(each.outputs)) for each in turn.steps if each.outputs and each.name != after.name)
    if held + len(as_json(after.outputs)) <= FLOW_BYTES:
        return after
    said = f"the outputs of all steps together would be longer than {FLOW_BYTES} bytes"
    return replace(after, state=FAILED, reason="OutputTooLarge", message=said, outputs={})


def _dated(before: StepStatus, after: StepStatus) -> StepStatus:
    """`after` without an end if it has none, and without a next attempt if it has one; `before` if they are equal."""
    if after.state in ENDS:
        after = replace(after, retry_time=None)
    elif after.end_time is not None:
        after = replace(after, end_time=None)
    return before if after == before else after
