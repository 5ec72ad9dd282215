"""What a handle shows of a workflow's run: small frozen values, none of them a wire object."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec

from flowbatch.api.flow import Flow, JobFlow, StepStatus
from flowbatch.api.names import SUSPENDED
from flowbatch.errors import FlowbatchError
from flowbatch.following.flows import FINAL_PHASES
from flowbatch.workload.flow.anew import unheard
from flowbatch_dsl.frozen import EMPTY, freeze, thaw
from flowbatch_dsl.workflows.flow import RESULT_NOTE
from flowbatch_dsl.workflows.values import MARK, ValueRefused, typed

R = TypeVar("R")

#: Each state of a step, in the order of its life.
STATES = ("Waiting", "Probing", "Running", "Completed", "Failed", "Skipped")


class StepView(msgspec.Struct, frozen=True):
    """One step of a run. `state` is Waiting, Probing, Running, Completed, Failed or Skipped.

    `outputs` are the values it gave; of a step over a list, `total` is how many jobs that makes, and `completed` how
    many of them are done.
    """

    name: str
    state: str
    reason: str = ""
    message: str = ""
    attempts: int = 0
    outputs: Mapping[str, Any] = EMPTY
    after: tuple[str, ...] = ()
    total: int = 1
    completed: int = 0

    def __str__(self) -> str:
        items = f" {self.completed}/{self.total}" if self.total != 1 else ""
        tries = f", attempt {self.attempts}" if self.attempts > 1 else ""
        why = f": {self.message or self.reason}" if self.message or self.reason else ""
        return f"{self.name} {self.state}{items}{tries}{why}"


class FlowStatus(msgspec.Struct, Generic[R], frozen=True):
    """A workflow's run at one moment. `phase` is Volcano's: Pending, Running, Succeed or Failed.

    `shape` is what the flow's function returned, as JSON with marks in place of promises, and `returns` its type.
    """

    phase: str
    reason: str = ""
    message: str = ""
    suspended: bool = False
    steps: tuple[StepView, ...] = ()
    shape: str = ""
    returns: Any = Any

    @property
    def finished(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.phase in FINAL_PHASES

    def step(self, name: str) -> StepView:
        """The step of this name. Raises KeyError."""
        return {step.name: step for step in self.steps}[name]

    def __str__(self) -> str:
        why = f": {self.message or self.reason}" if self.message or self.reason else ""
        return "\n".join([f"{self.phase}{why}", *(f"  {step}" for step in self.steps)])

    def __rich__(self) -> str:
        from flowbatch_dsl.display import escape_markup

        return escape_markup(str(self))

    def _repr_html_(self) -> str:
        from flowbatch_dsl.workflows.display import status_html

        return status_html(self)

    def result(self) -> R:
        """What the flow's function would have returned; of a workflow of jobs, every output by "STEP.OUTPUT".

        Raises FlowbatchError before the run has succeeded.
        """
        if self.phase != "Succeed":
            raise FlowbatchError(f"the workflow has no result while it is {self.phase}: wait() first")
        values = {f"{step.name}.{name}": thaw(value) for step in self.steps for name, value in step.outputs.items()}
        if not self.shape:
            return cast("R", values)
        try:
            return cast("R", typed(_filled(msgspec.json.decode(self.shape), values), self.returns))
        except ValueRefused as problem:
            raise FlowbatchError(f"the result {problem}") from None


def _filled(shape: Any, values: Mapping[str, Any]) -> Any:
    """The shape of a result with the values where their marks are; a step that was skipped gave None."""
    if isinstance(shape, dict):
        return values.get(shape[MARK]) if shape.keys() == {MARK} else {k: _filled(v, values) for k, v in shape.items()}
    return [_filled(item, values) for item in shape] if isinstance(shape, list) else shape


class FlowChange(msgspec.Struct, Generic[R], frozen=True):
    """One step of a run's life: its phase, and everything else about it."""

    phase: str
    status: FlowStatus[R]


def flow_status(flow: JobFlow, hint: Any) -> FlowStatus[Any]:
    """The status of a wire JobFlow; one that no controller has seen yet, or has heard to go on, is Pending."""
    known = {step.name: step for step in flow.status.steps}
    state = flow.status.state
    suspended = flow.spec.suspend or flow.metadata.annotations.get(SUSPENDED) == "true"
    steps = tuple(_view(entry, known.get(entry.name, StepStatus(name=entry.name))) for entry in flow.spec.flows)
    phase = "Pending" if unheard(flow) else state.phase or "Pending"
    shape = flow.metadata.annotations.get(RESULT_NOTE, "")
    return FlowStatus(phase, state.reason, state.message, suspended, steps, shape, hint)


def _view(entry: Flow, status: StepStatus) -> StepView:
    items = status.items
    return StepView(
        name=entry.name,
        state=status.state or "Waiting",
        reason=status.reason,
        message=status.message,
        attempts=status.attempts,
        outputs=freeze(status.outputs),
        after=entry.depends_on.targets if entry.depends_on else (),
        total=items.total if items else 1,
        completed=items.completed if items else int(status.state == "Completed"),
    )
