"""What can go wrong with a run, one class for each thing an author may do about it."""

from collections.abc import Sequence

from flowbatch.errors import FlowbatchError


class JobFailed(FlowbatchError):
    """The job ended without success: `phase` and `reason` say how, `lines` are the last log lines of what failed."""

    def __init__(self, name: str, phase: str, reason: str, lines: Sequence[str] = ()) -> None:
        super().__init__(name, phase, reason, tuple(lines))
        self.name = name
        self.phase = phase
        self.reason = reason
        self.lines = tuple(lines)

    def __str__(self) -> str:
        head = f"job {self.name} {self.phase.lower()}{': ' if self.reason else ''}{self.reason}"
        return "\n".join([head, *(f"  {line}" for line in self.lines)])


class FlowFailed(JobFailed):
    """A workflow ended without success: `step` failed first, `lines` are the last log lines of its jobs."""

    def __init__(self, name: str, phase: str, reason: str, lines: Sequence[str] = (), *, step: str = "") -> None:
        super().__init__(name, phase, reason, lines)
        self.step = step

    def __str__(self) -> str:
        where = f" in step {self.step}" if self.step else ""
        head = f"workflow {self.name} {self.phase.lower()}{where}{': ' if self.reason else ''}{self.reason}"
        way = f'to run what failed anew, from the steps that completed: FlowRun.attach("{self.name}").resume()'
        return "\n".join([head, *(f"  {line}" for line in self.lines), way])


class JobGone(FlowbatchError):
    """The job (or workflow) was deleted, or another one of the same name took its place."""


class JobExists(FlowbatchError):
    """There is a job (or workflow) of this name already: attach to it, delete it, or choose another name."""
