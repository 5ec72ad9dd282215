"""The earliest window in which a gang fits: which pods end when, and what is free then.

Room only grows along the line of expected ends, so the first moment that is enough is found by halving (EASY backfill,
Lifka 1995; here by node, because a gang needs its room in pieces of the right size). Pods of which nobody says when
they end never do, as far as the line knows; if the line alone is not enough, the gang is promised the nodes that are
least in use, for whenever they become free.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Instant
from flowbatch.model.lifecycle import FINISHED
from flowbatch.model.resources import PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Ints
from flowbatch.model.windows import Window, ends_at

#: A pod that has outlived its estimate is thought to end in so long, or in as long as it is late.
LATE_MS = 10_000

#: Shapes with how many of each, and the rows that admit them.
Wanted = Sequence[tuple[Shape, int, Bools]]


@dataclass(slots=True, eq=False)
class Line:
    """Pods of gangs on any row, in the order in which they end; those that never end come last."""

    tasks: list[Task]
    ends: list[Instant | None]
    rows: Ints

    @classmethod
    def of(cls, tasks: Iterable[Task], now: Instant) -> "Line":
        """The line as of `now`."""
        known: list[tuple[Instant, str, Task]] = []
        never: list[Task] = []
        for task in tasks:
            if task.node is None or task.gang is None or task.state in FINISHED:
                continue
            end = ends_at(task, now)
            if end is None:
                never.append(task)
            else:
                known.append((end if end > now else Instant(now + max(LATE_MS, now - end)), task.uid, task))
        known.sort(key=lambda each: each[:2])
        ordered = [task for _, _, task in known] + never
        rows = np.array([task.node.row for task in ordered if task.node is not None], np.int64)
        return cls(ordered, [end for end, _, _ in known], rows)


class Timeline:
    """Looks for windows. Reads the state, changes nothing."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    def find(self, gang: Gang, wanted: Wanted, now: Instant) -> Window | None:
        """Where and when `gang` fits first, without what is kept for others; None if not even on emptied nodes."""
        axes = tuple(sorted({axis for shape, _, _ in wanted for axis, _ in shape.request}))
        line = Line.of(self._state.tasks.values(), now)
        amounts = _amounts(line.tasks, axes)
        start = self._free(axes, gang)
        found = self._first(axes, start, line, amounts, wanted)
        if found is not None:
            count, needs = found
            until = line.ends[count - 1] if count else now
            lent = line.tasks[:count]
        else:
            whole = _released(start, line.rows, amounts, len(line.tasks))
            used = (whole - start).sum(axis=0, where=np.array([axis != PODS for axis in axes])[:, None])
            until, lent = None, line.tasks
            placed = _place(axes, whole, wanted, used)
            if placed is None:
                return None
            needs = placed
        rows: Ints = np.flatnonzero(needs.any(axis=0))
        window = Window(gang, until, axes, rows, needs[:, rows])
        for task in lent:
            assert task.node is not None
            window.lend(task.uid, task.node.row, task.shape.request)
        return window

    def _free(self, axes: tuple[int, ...], gang: Gang) -> Ints:
        """What is free now [axis, row], without what others have been promised."""
        table = self._state.table
        free = np.array([table.offer(axis) for axis in axes])
        free[:, ~table.open_rows()] = 0
        for window in self._state.windows.others(gang):
            for index, axis in enumerate(axes):
                if axis in window.axes:
                    free[index, window.rows] -= window.needs[window.axes.index(axis)]
        return free

    @staticmethod
    def _first(
        axes: tuple[int, ...], start: Ints, line: Line, amounts: Ints, wanted: Wanted
    ) -> tuple[int, Ints] | None:
        """How many of the line must have ended, and what is then kept where; None if all of them are not enough."""
        low, high = 0, len(line.ends)
        best = _place(axes, _released(start, line.rows, amounts, high), wanted, None)
        if best is None:
            return None
        while low < high:
            middle = (low + high) // 2
            placed = _place(axes, _released(start, line.rows, amounts, middle), wanted, None)
            if placed is None:
                low = middle + 1
            else:
                high, best = middle, placed
        return high, best


def _amounts(tasks: Sequence[Task], axes: tuple[int, ...]) -> Ints:
    """What each task gives back [axis, task]."""
    given: Ints = np.zeros((len(axes), len(tasks)), np.int64)
    place = {axis: index for index, axis in enumerate(axes)}
    for column, task in enumerate(tasks):
        for axis, amount in task.shape.request:
            if axis in place:
                given[place[axis], column] = amount
    return given


def _released(start: Ints, rows: Ints, amounts: Ints, count: int) -> Ints:
    """What is free once the first `count` of the line have ended."""
    free = start.copy()
    for index in range(free.shape[0]):
        np.add.at(free[index], rows[:count], amounts[index, :count])
    return free


def _place(axes: tuple[int, ...], free: Ints, wanted: Wanted, used: Ints | None) -> Ints | None:
    """What is needed where [axis, row], hardest shape first; `used` ranks rows, else the fullest fit comes first."""
    left = free.copy()
    needs: Ints = np.zeros_like(free)
    hardest = sorted(wanted, key=lambda each: int(_copies(axes, free, each[0], each[2]).sum()))
    for shape, count, mask in hardest:
        copies = _copies(axes, left, shape, mask)
        if int(copies.sum()) < count:
            return None
        rows: Ints = np.flatnonzero(copies)
        rank = -copies[rows] if used is None else used[rows]
        rows = rows[np.lexsort((rows, rank))]
        filled = np.cumsum(copies[rows])
        last = int(np.searchsorted(filled, count))
        rows, taken = rows[: last + 1], copies[rows[: last + 1]]
        taken[last] -= filled[last] - count
        for axis, amount in shape.request:
            index = axes.index(axis)
            needs[index, rows] += taken * amount
            left[index, rows] -= taken * amount
    return needs


def _copies(axes: tuple[int, ...], free: Ints, shape: Shape, mask: Bools) -> Ints:
    least: Ints | None = None
    for axis, amount in shape.request:
        ratio = free[axes.index(axis)] // amount
        least = ratio if least is None else np.minimum(least, ratio)
    assert least is not None, "a request without axes"
    result: Ints = np.where(mask, np.maximum(least, 0), 0)
    return np.minimum(result, 1) if shape.spec.ports else result
