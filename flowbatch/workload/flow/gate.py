"""May a step begin? Its sources must have ended as it says, or answer its probes; then its conditions must hold."""

from msgspec.structs import replace

from flowbatch.api.flow import Flow, StepStatus
from flowbatch.workload.flow.changes import COMPLETED, ENDS, PROBING, SKIPPED, WAITING
from flowbatch.workload.flow.probes import unmet
from flowbatch.workload.flow.turn import Turn
from flowbatch.workload.flow.values import as_text, holds


def gate(turn: Turn, at: int) -> StepStatus | None:
    """None if the step may begin; else what has become of it meanwhile."""
    step, before = turn.graph.steps[at], turn.steps[at]
    ends = (step.depends_on.states if step.depends_on is not None else ()) or (COMPLETED,)
    waiting, probed = False, ""
    for source in turn.graph.sources[at]:
        state = turn.steps[source].state
        if state in ENDS:
            if state not in ends:
                name = turn.graph.steps[source].name
                return _skipped(turn, before, f"Dependency{state}", f"step {name} {_ended(state)}")
        elif not _probes(step) or source in turn.graph.read[at] or not turn.steps[source].attempts:
            waiting = True
        else:
            said = unmet(turn, step, source)
            waiting, probed = waiting or said is None, probed or said or ""
    if waiting or probed:
        state = PROBING if probed else WAITING
        return replace(before, state=state, reason="NotAnswering" if probed else "", message=probed)
    return _conditions(turn, step, before)


def _probes(step: Flow) -> bool:
    probe = step.depends_on.probe if step.depends_on is not None else None
    return probe is not None and bool(probe.http_get_list or probe.tcp_socket_list or probe.task_status_list)


def _conditions(turn: Turn, step: Flow, before: StepStatus) -> StepStatus | None:
    for condition in step.when:
        value = turn.output(condition.from_)
        if not holds(condition, value):
            wanted = f"{condition.operator} {', '.join(condition.values)}".strip()
            shown = (
                as_text(value)[:60] if isinstance(value, str | int | float | list | dict) or value is None else "absent"
            )
            return _skipped(turn, before, "ConditionNotMet", f"{condition.from_} is {shown}, not {wanted}")
    return None


def _skipped(turn: Turn, before: StepStatus, reason: str, message: str) -> StepStatus:
    return replace(before, state=SKIPPED, end_time=turn.now, reason=reason, message=message)


def _ended(state: str) -> str:
    return {"Skipped": "was skipped"}.get(state, state.lower())
