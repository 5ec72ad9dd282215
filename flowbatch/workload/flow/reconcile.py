"""(JobFlow, its graph, its children, now) -> what to do: every step once, in an order in which sources come first.

Volcano's JobFlow (volcano.md 6.4) with what it declares and never built. Everything is a level: a step's job is found
by its name, what has ended is in the status, and so nothing is made twice and nothing that ended is run again.
"""

from datetime import datetime

from msgspec.structs import replace

from flowbatch.api.flow import FlowState, JobFlow, JobFlowStatus, StepStatus
from flowbatch.api.kinds import JOB
from flowbatch.workload.changes import Delete
from flowbatch.workload.flow.anew import anew, wished
from flowbatch.workload.flow.changes import COMPLETED, ENDS, FAILED, FLOW_ENDS, SKIPPED, FlowChanges, FlowChildren
from flowbatch.workload.flow.graph import Graph
from flowbatch.workload.flow.steps import take
from flowbatch.workload.flow.turn import Turn
from flowbatch.workload.flow.volcano import with_jobs

#: Reasons for which a step does not begin although nothing it waits for is missing.
_STUCK = ("TemplateMissing", "FailedCreate")
_NO_FIELDS: frozenset[str] = frozenset()


def reconcile(
    flow: JobFlow, graph: Graph, children: FlowChildren, now: datetime, served: frozenset[str] = _NO_FIELDS
) -> FlowChanges:
    """What is to be done about `flow`; `graph` is that of its spec. The work is that of its steps and edges."""
    if graph.problem:
        return _refused(flow, graph.problem)
    flow = _remembered(flow, graph)
    turn = Turn(anew(flow) if wished(flow, served) else flow, graph, children, now, served)
    before = list(turn.steps)
    for at in graph.order:
        take(turn, at)
    if turn.reads:
        return FlowChanges(reads=tuple(turn.reads))
    status = _status(turn)
    ended = status.state.phase in FLOW_ENDS
    moved = status.state.phase != flow.status.state.phase
    _tell_failures(turn, before)
    return FlowChanges(
        creates=tuple(turn.creates),
        patches=tuple(turn.patches),
        deletes=tuple(turn.deletes),
        status=None if _only_counts(flow.status, status) else status,
        status_first=turn.status_first,
        hurry=turn.hurry or (ended and moved),
        sweeps=_swept(turn) if status.state.phase == "Succeed" else (),
        asks=tuple(turn.asks),
        notes=tuple(turn.notes),
        wake_at=turn.wake_at,
    )


def without_begun(status: JobFlowStatus, before: JobFlowStatus, problems: dict[str, str]) -> JobFlowStatus:
    """`status` with the steps whose jobs could not be made as they were before; `problems`: step -> why."""
    was = {each.name: each for each in before.steps}
    steps = tuple(
        replace(was.get(each.name, StepStatus(name=each.name, state="Waiting")), reason="FailedCreate", message=said)
        if (said := problems.get(each.name)) and each.state not in ENDS
        else each
        for each in status.steps
    )
    return replace(status, steps=steps, state=_state(steps, status.state))


def _refused(flow: JobFlow, problem: str) -> FlowChanges:
    state = FlowState(phase=flow.status.state.phase or "Pending", reason="BadGraph", message=problem)
    status = replace(flow.status, state=state)
    return FlowChanges(status=status if status != flow.status else None)


def _remembered(flow: JobFlow, graph: Graph) -> JobFlow:
    """`flow` with steps, where a schema that is Volcano's keeps none: its own lists say which jobs have ended."""
    status = flow.status
    if status.steps or not (status.completed_jobs or status.failed_jobs or status.terminated_jobs):
        return flow
    ended = dict.fromkeys(status.completed_jobs, COMPLETED)
    ended |= dict.fromkeys((*status.failed_jobs, *status.terminated_jobs), FAILED)
    names = {step.name: f"{flow.metadata.name}-{step.name}" for step in graph.steps}
    steps = tuple(
        StepStatus(name=step, state=ended.get(job, "Waiting"), attempts=int(job in ended))
        for step, job in names.items()
    )
    return replace(flow, status=replace(status, steps=steps))


def _status(turn: Turn) -> JobFlowStatus:
    steps = tuple(turn.steps)
    status = replace(turn.flow.status, steps=steps, state=_state(steps, turn.flow.status.state))
    return with_jobs(turn, status)


def _state(steps: tuple[StepStatus, ...], before: FlowState) -> FlowState:
    """The flow's phase. Failed is said when nothing can run any more, so that what cleans up has run."""
    failed = [each for each in steps if each.state == FAILED]
    if all(each.state in ENDS for each in steps):
        if not failed:
            return FlowState(phase="Succeed")
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        told = f": {failed[0].message}" if failed[0].message else ""
        return FlowState(phase="Failed", reason="StepFailed", message=f"step {failed[0].name}{told}{more}")
    begun = any(each.attempts or each.items is not None or each.state == SKIPPED for each in steps)
    phase = "Running" if begun or before.phase == "Running" else "Pending"
    for each in steps:
        if each.reason in _STUCK:
            return FlowState(phase=phase, reason=each.reason, message=f"step {each.name}: {each.message}")
    return FlowState(phase=phase)


def _only_counts(before: JobFlowStatus, after: JobFlowStatus) -> bool:
    """Whether nothing but numbers of pods differs: those are written with the next thing that happens."""
    if before == after:
        return True
    if before.conditions.keys() != after.conditions.keys() or before.steps != after.steps:
        return False
    levelled = {
        name: replace(
            each,
            task_status_count=before.conditions[name].task_status_count,
            running_duration=before.conditions[name].running_duration,
        )
        for name, each in after.conditions.items()
    }
    return before == replace(after, conditions=levelled)


def _swept(turn: Turn) -> tuple[Delete, ...]:
    if turn.flow.spec.job_retain_policy != "delete":
        return ()
    return tuple(
        Delete(JOB.kind, job.metadata.namespace, job.metadata.name, job.metadata.uid)
        for job in turn.children.jobs.values()
        if job.metadata.deletion_timestamp is None
    )


def _tell_failures(turn: Turn, before: list[StepStatus]) -> None:
    for old, new in zip(before, turn.steps, strict=True):
        if new.state == FAILED and old.state != FAILED:
            turn.warn("StepFailed", f"step {new.name} failed: {new.message or new.reason}")
