"""A step that runs over a list: one job for each item, so many at once, each with attempts of its own.

Every item is run, whatever becomes of the others; the step has failed if one of them has. What has ended is written
down as ranges, so that it stays so when its job is gone.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from flowbatch.api.flow import Flow, ItemCounts, StepStatus
from flowbatch.api.meta import JsonObject
from flowbatch.workload.flow import ranges
from flowbatch.workload.flow.attempts import Outcome, attempt
from flowbatch.workload.flow.changes import COMPLETED, FAILED, RUNNING
from flowbatch.workload.flow.child import INDEX_VARIABLE, ITEM_VARIABLE, job_name
from flowbatch.workload.flow.turn import Turn
from flowbatch.workload.flow.values import ABSENT, VARIABLE_BYTES, NoValue, as_json
from flowbatch.workload.rules.flow import MOST_ITEMS

_MESSAGE_CHARS = 300


class Tally(msgspec.Struct):
    """What the items have come to, while they are gone through."""

    completed: set[int]
    failed: set[int]
    attempts: dict[str, int]
    outputs: dict[str, list[Any]]
    running: int = 0
    reason: str = ""
    message: str = ""


def loop(turn: Turn, step: Flow, before: StepStatus) -> StepStatus:
    """Take a step that may run over its items further."""
    try:
        items = _items(turn, step)
    except NoValue as problem:
        return replace(before, state=FAILED, reason="BadItems", message=str(problem), end_time=turn.now)
    tally = _tally(before, step, len(items))
    _go_through(turn, step, items, tally)
    attempts = max([1, *tally.attempts.values()]) if items else 0
    counts = ItemCounts(
        total=len(items),
        completed=len(tally.completed),
        failed=len(tally.failed),
        running=tally.running,
        completed_indexes=ranges.written(tally.completed),
        failed_indexes=ranges.written(tally.failed),
        attempts=tally.attempts,
    )
    outputs: JsonObject = dict(tally.outputs)
    after = replace(before, items=counts, outputs=outputs, start_time=before.start_time or turn.now, attempts=attempts)
    if len(tally.completed) + len(tally.failed) < len(items):
        return replace(after, state=RUNNING, reason=tally.reason, message=tally.message)
    if tally.failed:
        said = f"{len(tally.failed)} of {len(items)} items failed: {counts.failed_indexes}"[:_MESSAGE_CHARS]
        return replace(after, state=FAILED, reason="ItemsFailed", message=said, end_time=turn.now)
    return replace(after, state=COMPLETED, reason="", message="", end_time=turn.now)


def begun(turn: Turn, step: Flow, before: StepStatus) -> bool:
    """Whether jobs of the step are there, or were."""
    if before.items is not None:
        return True
    return step.name in turn.stepped


def _items(turn: Turn, step: Flow) -> Sequence[Any]:
    assert step.for_each is not None
    if step.for_each.items is not None:
        return step.for_each.items
    value = turn.output(step.for_each.from_)
    if value is ABSENT:
        raise NoValue(f"{step.for_each.from_} was not given")
    if not isinstance(value, list | tuple):
        raise NoValue(f"{step.for_each.from_} is no list")
    if len(value) > MOST_ITEMS:
        raise NoValue(f"{step.for_each.from_} has {len(value)} items: at most {MOST_ITEMS}")
    return value


def _tally(before: StepStatus, step: Flow, total: int) -> Tally:
    counts = before.items or ItemCounts()
    outputs = {}
    for output in step.outputs:
        known = before.outputs.get(output.name)
        kept = list(known)[:total] if isinstance(known, list | tuple) else []
        outputs[output.name] = [*kept, *([None] * (total - len(kept)))]
    completed, failed = ranges.read(counts.completed_indexes, total), ranges.read(counts.failed_indexes, total)
    return Tally(completed, failed, dict(counts.attempts), outputs)


def _go_through(turn: Turn, step: Flow, items: Sequence[Any], tally: Tally) -> None:
    """Items that are under way go on; then as many begin as may be under way."""
    assert step.for_each is not None
    open_items = [place for place in range(len(items)) if place not in tally.completed and place not in tally.failed]
    jobs, marked = turn.children.jobs, tally.attempts
    under_way = [at for at in open_items if str(at) in marked or job_name(turn.flow, step, at) in jobs]
    others = [at for at in open_items if str(at) not in marked and job_name(turn.flow, step, at) not in jobs]
    for place in under_way:
        _note(tally, place, _one(turn, step, items, place, tally))
    most = step.for_each.max_parallel or len(items)
    for place in others:
        if tally.running >= most:
            break
        outcome = _one(turn, step, items, place, tally)
        _note(tally, place, outcome)


def _one(turn: Turn, step: Flow, items: Sequence[Any], place: int, tally: Tally) -> Outcome:
    item = as_json(items[place])
    if len(item.encode()) > VARIABLE_BYTES:
        return Outcome(FAILED, 0, "InputTooLarge", f"item {place} is longer than a variable may be")
    variables = {ITEM_VARIABLE: item, INDEX_VARIABLE: str(place)}
    return attempt(turn, step, place, tally.attempts.get(str(place), 0), variables)


def _note(tally: Tally, place: int, outcome: Outcome) -> None:
    if outcome.attempts > 1:
        tally.attempts[str(place)] = outcome.attempts
    if outcome.state == COMPLETED:
        tally.completed.add(place)
        for name, value in outcome.outputs.items():
            tally.outputs[name][place] = value
    elif outcome.state == FAILED:
        tally.failed.add(place)
        tally.reason, tally.message = tally.reason or outcome.reason, tally.message or outcome.message
    elif outcome.state == RUNNING:
        tally.running += 1
    if outcome.state not in (COMPLETED, FAILED) and outcome.reason and not tally.reason:
        tally.reason, tally.message = outcome.reason, outcome.message
