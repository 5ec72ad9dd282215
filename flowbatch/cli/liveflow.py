"""Following workflows to their end: a table of steps that grows in a terminal, lines elsewhere."""

import contextlib
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import anyio

from flowbatch.api.flow import JobFlow, StepStatus
from flowbatch.cli.live import REFRESH_PER_SECOND, STYLES
from flowbatch.cli.progress import SHOWN_LINES
from flowbatch.following.flows import FlowTarget, flow_finished, flow_states, follow
from flowbatch.kube.client import Client

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Of longer workflows, the steps that wait or have completed are only counted.
SHOWN_STEPS = 30
_QUIET = ("", "Waiting")


class FlowProgress:
    """One workflow as it is now."""

    def __init__(self, flow: JobFlow) -> None:
        self.flow: JobFlow = flow
        self.gone = False
        self.lines: deque[str] = deque(maxlen=SHOWN_LINES)
        self.started = time.monotonic()
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self.flow.metadata.name

    @property
    def phase(self) -> str:
        """The workflow's phase, Pending before it has one."""
        return self.flow.status.state.phase or "Pending"

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return not self.gone and self.phase == "Succeed"

    def steps(self) -> list[StepStatus]:
        """Every step with what has become of it, in the order of the spec."""
        known = {step.name: step for step in self.flow.status.steps}
        return [known.get(entry.name, StepStatus(name=entry.name)) for entry in self.flow.spec.flows]

    def result(self) -> str:
        """The last word on it."""
        if self.gone:
            return f"{self.name}: deleted"
        if self.succeeded:
            return f"{self.name}: completed in {self.seconds:.1f} s"
        failed = [f"  {told(step)}" for step in self.steps() if step.state == "Failed"]
        return "\n".join([f"{self.name}: {self.phase.lower()}: {self.flow.status.state.message}", *failed])


def told(step: StepStatus) -> str:
    """One step in one line."""
    items = f" {step.items.completed} of {step.items.total}" if step.items else ""
    tries = f", attempt {step.attempts}" if step.attempts > 1 else ""
    why = f": {step.message or step.reason}" if step.message or step.reason else ""
    return f"{step.name} {step.state or 'Waiting'}{items}{tries}{why}"


class FlowFollower:
    """Follows a set of workflows; `run` returns when all have ended."""

    def __init__(self, client: Client, flows: Sequence[JobFlow], *, plain: bool | None = None) -> None:
        self._client = client
        self.flows = [FlowProgress(flow) for flow in flows]
        self._plain = not sys.stdout.isatty() if plain is None else plain
        self._said: dict[tuple[str, str], str] = {}

    async def run(self) -> None:
        """Show the workflows until all have ended. Cancelling leaves them running."""
        with self._view():
            async with anyio.create_task_group() as tasks:
                for progress in self.flows:
                    tasks.start_soon(self._watch, progress)
                    tasks.start_soon(self._copy_log, progress)

    def print_results(self) -> bool:
        """The last word on each; whether all of them ended well."""
        for progress in self.flows:
            print(progress.result(), flush=True)
        return all(progress.succeeded for progress in self.flows)

    async def _watch(self, progress: FlowProgress) -> None:
        meta = progress.flow.metadata
        async for flow in flow_states(self._client, meta.namespace, meta.name, meta.uid):
            if flow is None:
                progress.gone = True
                return
            progress.flow = flow
            self._speak(progress)
            if flow_finished(flow):
                progress.seconds = time.monotonic() - progress.started
                return

    async def _copy_log(self, progress: FlowProgress) -> None:
        meta = progress.flow.metadata
        async for line in follow(self._client, FlowTarget(meta.namespace, meta.name, meta.uid)):
            progress.lines.append(f"{line.pod}: {line.text}")
            if self._plain:
                print(f"{line.pod}: {line.text}", flush=True)

    def _speak(self, progress: FlowProgress) -> None:
        """In plain mode, say of each step what is new."""
        for step in progress.steps():
            text = told(step)
            if self._plain and step.state not in _QUIET and self._said.get((progress.name, step.name)) != text:
                self._said[progress.name, step.name] = text
                print(f"{progress.name}: {text}", flush=True)

    @contextlib.contextmanager
    def _view(self) -> Iterator[None]:
        if self._plain:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self.render, refresh_per_second=REFRESH_PER_SECOND, transient=False):
            yield

    def render(self) -> "RenderableType":
        """The live view of all workflows."""
        from rich.console import Group

        return Group(*map(_panel, self.flows))


def _panel(progress: FlowProgress) -> "RenderableType":
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    style = {**STYLES, "Succeed": "green"}.get(progress.phase, "yellow")
    title = Text.assemble((progress.name, "bold"), "  ", (progress.phase, style))
    lines = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in progress.lines]
    return Panel(Group(_table(progress.steps()), *lines), title=title, title_align="left", border_style=style)


def _table(steps: Sequence[StepStatus]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False)
    for column in ("step", "state", "jobs", "attempts", ""):
        table.add_column(column, justify="left" if column in ("step", "state", "") else "right", header_style="dim")
    shown = [step for step in steps if len(steps) <= SHOWN_STEPS or step.state not in (*_QUIET, "Completed")]
    for step in shown[:SHOWN_STEPS]:
        state = step.state or "Waiting"
        jobs = f"{step.items.completed}/{step.items.total}" if step.items else "·"
        why = Text(step.message or step.reason, style="dim", no_wrap=True, overflow="ellipsis")
        table.add_row(step.name, Text(state, style=STYLES.get(state, "")), jobs, str(step.attempts or "·"), why)
    if len(shown) < len(steps):
        done = sum(step.state == "Completed" for step in steps)
        table.add_row("…", f"{done} of {len(steps)} completed", "", "", "")
    return table
