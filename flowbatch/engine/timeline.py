"""The earliest window in which a gang fits: which pods end when, and what is free then.

Room only grows along the line of expected ends, so the first moment that is enough is found by halving (EASY backfill,
Lifka 1995; here by node, because a gang needs its room in pieces of the right size). Pods of which nobody says when
they end never do, as far as the line knows; if the line alone is not enough, the gang is promised the nodes that are
least in use, for whenever they become free.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.engine.wishes import Plan
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

    def find(self, gang: Gang, plans: Sequence[Plan], now: Instant) -> Window | None:
        """Where and when `gang` fits first, without what is kept for others; None if not even on emptied nodes.

        Of several plans the one with the earliest window, or the first that emptied nodes would hold.
        """
        shapes = dict.fromkeys(shape for plan in plans for wish in plan.wishes for shape, _ in wish.counts)
        axes = tuple(sorted({axis for shape in shapes for axis, _ in shape.request}))
        line = Line.of(self._state.tasks.values(), now)
        pieces = any(self._state.pieces.count(shape) for shape in shapes)
        room = Release(axes, self._free(axes, gang), line, self._clean_after(line) if pieces else None)
        found = self._first(room, plans)
        if found is not None:
            count, needs = found
            until = line.ends[count - 1] if count else now
            lent = line.tasks[:count]
        else:
            until, lent = None, line.tasks
            placed = next((placed for plan in plans if (placed := room.place(plan, emptiest=True)) is not None), None)
            if placed is None:
                return None
            needs = placed
        rows: Ints = np.flatnonzero(needs.any(axis=0))
        window = Window(gang, until, axes, rows, needs[:, rows], pieces=pieces)
        for task in lent:
            assert task.node is not None
            window.lend(task.uid, task.node.row, task.shape.request)
        return window

    def _clean_after(self, line: Line) -> Ints:
        """By row, how many of the line must have ended before nobody there has devices or cpus of his own."""
        never = len(line.tasks) + 1
        after: Ints = np.zeros(self._state.table.size, np.int64)
        place = {task.uid: index + 1 for index, task in enumerate(line.tasks)}
        for task in self._state.tasks.values():
            if task.node is not None and self._state.pieces.counted(task):
                after[task.node.row] = max(int(after[task.node.row]), place.get(task.uid, never))
        for gang in self._state.gangs.values():
            for held in gang.reservations:
                if self._state.pieces.count(held.shape):
                    after[held.rows] = never
        return after

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
    def _first(room: "Release", plans: Sequence[Plan]) -> tuple[int, Ints] | None:
        """How many of the line must have ended, and what is then kept where; None if all of them are not enough."""
        found: tuple[int, Ints] | None = None
        for plan in plans:
            low, high = 0, found[0] - 1 if found is not None else len(room.line.ends)
            best = room.place(plan, high) if high >= 0 else None
            if best is None:
                continue
            while low < high:
                middle = (low + high) // 2
                placed = room.place(plan, middle)
                if placed is None:
                    low = middle + 1
                else:
                    high, best = middle, placed
            found = high, best
        return found


class Release:
    """What is free once some of the line have ended, and what of a plan finds its place there."""

    def __init__(self, axes: tuple[int, ...], start: Ints, line: Line, clean_after: Ints | None) -> None:
        self.line = line
        self._axes = axes
        self._start = start
        self._amounts = _amounts(line.tasks, axes)
        self._clean_after = clean_after

    def place(self, plan: Plan, count: int | None = None, *, emptiest: bool = False) -> Ints | None:
        """What is needed where [axis, row] once `count` have ended (None: all, whatever they say), if that is enough.

        `emptiest`: rows that are least in use come first, else the fullest fit does.
        """
        ended = len(self.line.tasks) if count is None else count
        left = _released(self._start, self.line.rows, self._amounts, ended)
        used = self._used(left) if emptiest else None
        most = {shape: self._most(shape, rows, ended) for shape, rows in plan.most.items()}
        needs: Ints = np.zeros_like(left)
        for wish in plan.wishes:
            for place in wish.places or (None,):
                found = _place(self._axes, left, wish.counts, most, place, used)
                if found is not None:
                    break
            else:
                return None
            assert found is not None
            needs += found[0]
            left -= found[0]
            for shape, taken in found[1].items():
                most[shape] = most[shape] - taken
        return needs

    def _used(self, whole: Ints) -> Ints:
        counted = np.array([axis != PODS for axis in self._axes])[:, None]
        used: Ints = (whole - self._start).sum(axis=0, where=counted)
        return used

    def _most(self, shape: Shape, rows: Ints, ended: int) -> Ints:
        if self._clean_after is None or (not shape.spec.devices and shape.spec.numa is None):
            return rows
        # Pieces are not told apart: a row counts once nobody there has any of them.
        return np.where(self._clean_after <= ended, rows, 0)


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


def _place(
    axes: tuple[int, ...],
    free: Ints,
    wanted: Sequence[tuple[Shape, int]],
    most: dict[Shape, Ints],
    within: Bools | None,
    used: Ints | None,
) -> tuple[Ints, dict[Shape, Ints]] | None:
    """What is needed where [axis, row], and how many of each shape; hardest shape first."""
    left = free.copy()
    needs: Ints = np.zeros_like(free)
    counts: dict[Shape, Ints] = {}
    hardest = sorted(wanted, key=lambda each: int(_copies(axes, free, each[0], most[each[0]], within).sum()))
    for shape, count in hardest:
        copies = _copies(axes, left, shape, most[shape], within)
        if int(copies.sum()) < count:
            return None
        rows: Ints = np.flatnonzero(copies)
        rank = -copies[rows] if used is None else used[rows]
        rows = rows[np.lexsort((rows, rank))]
        filled = np.cumsum(copies[rows])
        last = int(np.searchsorted(filled, count))
        rows, taken = rows[: last + 1], copies[rows[: last + 1]]
        taken[last] -= filled[last] - count
        counts[shape] = np.zeros(free.shape[1], np.int64)
        counts[shape][rows] = taken
        for axis, amount in shape.request:
            index = axes.index(axis)
            needs[index, rows] += taken * amount
            left[index, rows] -= taken * amount
    return needs, counts


def _copies(axes: tuple[int, ...], free: Ints, shape: Shape, most: Ints, within: Bools | None) -> Ints:
    least = most if within is None else np.where(within, most, 0)
    for axis, amount in shape.request:
        least = np.minimum(least, free[axes.index(axis)] // amount)
    return np.maximum(least, 0)
