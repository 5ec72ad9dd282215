"""A flow as people look at it: its steps in layers, each with what it has come to and what it waits for.

A layer holds the steps whose longest way from a beginning is equally long, so everything a step waits for is above it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

import msgspec
from msgspec.structs import replace

from flowbatch.api.flow import JobFlow, StepStatus
from flowbatch.workload.flow.changes import COMPLETED, ENDS, FAILED, PROBING, RUNNING, SKIPPED, WAITING
from flowbatch.workload.flow.graph import Graph, compiled
from flowbatch.workload.flow.values import as_json
from flowbatch.workload.suspension import suspended

MARKS = {COMPLETED: "✓", RUNNING: "▶", PROBING: "?", WAITING: "·", FAILED: "✗", SKIPPED: "-"}
#: Of a layer of more steps, those that only wait or have completed are counted.
MOST_SHOWN = 16
_QUIET = (WAITING, COMPLETED)
#: A longer picture leaves out the middle of long runs, of which so many steps are then shown.
MOST_LINES = 100
_RUN_SHOWN = 4
#: In one line, no more than so many layers, half of them from each end.
_MOST_LAYERS = 8
_NAMES_SHOWN = 3
_OUTPUT_CHARS = 60
#: A column of `get -o wide` names so many steps of one layer.
_FEW = 3


class Line(msgspec.Struct, frozen=True):
    """One step, or several that are only counted (then `name` says how many)."""

    branch: str
    mark: str
    name: str
    state: str
    began: datetime | None = None
    ended: datetime | None = None
    told: str = ""


def layers(graph: Graph) -> list[list[int]]:
    """The places of all steps, layer by layer, each in the order of the spec."""
    depth = [0] * len(graph.steps)
    for at in graph.order:
        depth[at] = max((depth[source] + 1 for source in graph.sources[at]), default=0)
    found: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for at, each in enumerate(depth):
        found[each].append(at)
    return found


def lines(flow: JobFlow) -> list[Line]:
    """The whole picture, from top to bottom."""
    graph = compiled(flow.spec)
    steps = statuses(flow)
    if graph.problem:
        return [Line("", "", each.name, each.state) for each in steps]
    drawn = _collapsed([line for layer in layers(graph) for line in _layer(graph, steps, layer)])
    if not suspended(flow):
        return drawn
    held = [each.state == RUNNING and not each.told for each in drawn]
    return [replace(each, told="suspended") if is_held else each for each, is_held in zip(drawn, held, strict=True)]


def _collapsed(drawn: list[Line]) -> list[Line]:
    """A picture of a screen or so as it is; of a longer one, long runs of steps of one quiet state by their ends."""
    if len(drawn) <= MOST_LINES:
        return drawn
    found: list[Line] = []
    for state, group in groupby(drawn, key=lambda line: line.state):
        run = list(group)
        if state not in _QUIET or len(run) <= _RUN_SHOWN + 2:
            found += run
            continue
        left = Line(" ", "", f"and {len(run) - _RUN_SHOWN} more", "", told=f"{len(run) - _RUN_SHOWN} {state}")
        found += [*run[: _RUN_SHOWN - 1], left, run[-1]]
    return found


def statuses(flow: JobFlow) -> list[StepStatus]:
    """What each step has come to, in the order of the spec; nobody has looked at one that is not in the status."""
    known = {each.name: each for each in flow.status.steps}
    return [known.get(step.name) or StepStatus(name=step.name, state=WAITING) for step in flow.spec.flows]


def _layer(graph: Graph, steps: Sequence[StepStatus], layer: list[int]) -> Iterator[Line]:
    shown = layer
    if len(layer) > MOST_SHOWN:
        loud = [at for at in layer if steps[at].state not in _QUIET]
        shown = [*loud, *(at for at in layer if steps[at].state in _QUIET)][:MOST_SHOWN]
    drawn = [_line(graph, steps, at) for at in shown]
    left = Counter(steps[at].state for at in set(layer) - set(shown))
    if left:
        counted = ", ".join(f"{count} {state}" for state, count in sorted(left.items()))
        drawn.append(Line("", "", f"and {sum(left.values())} more", "", told=counted))
    for place, line in enumerate(drawn):
        branch = " " if len(drawn) == 1 else "┌" if place == 0 else "└" if place == len(drawn) - 1 else "├"
        yield replace(line, branch=branch)


def _line(graph: Graph, steps: Sequence[StepStatus], at: int) -> Line:
    step = steps[at]
    state = step.state or WAITING
    return Line("", MARKS.get(state, " "), step.name, state, step.start_time, step.end_time, told(graph, steps, at))


def told(graph: Graph, steps: Sequence[StepStatus], at: int) -> str:
    """What there is to say of a step beside its state."""
    step = steps[at]
    if step.state == WAITING and not step.reason:
        return waits_for(graph, steps, at)
    parts = [step.message or step.reason] if step.message or step.reason else []
    if step.items is not None and step.state not in (FAILED, SKIPPED):
        items = step.items
        running = f", {items.running} running" if items.running else ""
        failed = f", {items.failed} failed" if items.failed else ""
        parts.append(f"{items.completed} of {items.total} items{running}{failed}")
    if step.attempts > 1 and step.state in ENDS:
        parts.append(f"{step.attempts} attempts")
    if step.state == COMPLETED and step.outputs:
        shown = ", ".join(f"{name}={as_json(value)}" for name, value in step.outputs.items())
        parts.append(shown if len(shown) <= _OUTPUT_CHARS else shown[: _OUTPUT_CHARS - 1] + "…")
    return "; ".join(parts)


def waits_for(graph: Graph, steps: Sequence[StepStatus], at: int) -> str:
    """Which sources of a step have yet to end."""
    open_steps = [steps[source] for source in graph.sources[at] if steps[source].state not in ENDS]
    names = [each.name for each in open_steps[:_NAMES_SHOWN]]
    more = f" and {len(open_steps) - _NAMES_SHOWN} more" if len(open_steps) > _NAMES_SHOWN else ""
    return f"waits for {', '.join(names)}{more}" if names else ""


def summary(flow: JobFlow) -> str:
    """The graph in one line: layers of marked names, the way they come."""
    graph, steps = compiled(flow.spec), statuses(flow)
    if graph.problem:
        return graph.problem
    found = layers(graph)
    shown = [_brief([steps[at] for at in layer]) for layer in found]
    if len(found) > _MOST_LAYERS:
        half = _MOST_LAYERS // 2
        middle = [steps[at] for layer in found[half:-half] for at in layer]
        shown = [*shown[:half], f"{len(found) - 2 * half} layers({_counted(middle)})", *shown[-half:]]
    return " > ".join(shown) or "no steps"


def _brief(layer: Sequence[StepStatus]) -> str:
    if len(layer) <= _FEW:
        return ",".join(f"{MARKS.get(each.state, '')}{each.name}" for each in layer)
    return f"{len(layer)} steps({_counted(layer)})"


def _counted(steps: Sequence[StepStatus]) -> str:
    counts = Counter(each.state or WAITING for each in steps)
    return " ".join(f"{mark}{counts[state]}" for state, mark in MARKS.items() if counts[state])


def headline(flow: JobFlow) -> str:
    """Where the flow is, in one line."""
    steps, state = statuses(flow), flow.status.state
    done = sum(each.state in ENDS for each in steps)
    if state.phase == "Succeed":
        skipped = sum(each.state == SKIPPED for each in steps)
        return f"completed: {len(steps)} steps" + (f", {skipped} of them skipped" if skipped else "")
    if state.phase == "Failed":
        return f"failed: {state.message}"
    if suspended(flow):
        return f"suspended after {done} of {len(steps)} steps; its jobs hold no room"
    if state.reason:
        return f"{state.reason}: {state.message}"
    running = sum(each.state == RUNNING for each in steps)
    return f"{done} of {len(steps)} steps done, {running} running"
