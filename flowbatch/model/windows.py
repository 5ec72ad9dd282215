"""Room that is kept on some nodes for one gang until a window opens in which it fits: what a reservation means.

On the rows of a window, others may take only what is *spare*: what is free, and what is on loan (held by pods that are
to be gone before it opens), without what the gang needs. A gang that promises to be gone by then takes what it likes;
its pods are then on loan. Spare is never stored: it follows from what is free, so it is exact at any moment, inside a
Trial too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import GangId, Instant, PodUid
from flowbatch.model.resources import Request
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Ints, NodeTable


def estimate_ms(task: Task) -> int | None:
    """How long a pod is going to run at most: its gang's estimate or its own deadline; None where nobody says."""
    own = task.fact.deadline_ms or None
    gang = task.gang.fact.estimate_ms if task.gang is not None and task.gang.fact is not None else None
    known = [each for each in (own, gang) if each is not None]
    return min(known, default=None)


def ends_at(task: Task, now: Instant) -> Instant | None:
    """When a placed pod is going to end, as far as anybody says."""
    estimate = estimate_ms(task)
    if estimate is None:
        return None
    return Instant((task.fact.started or task.placed_at or now) + estimate)


@dataclass(slots=True, eq=False)
class Window:
    """`needs` [axis, column] are kept for `gang` on `rows`. `until` is when its window opens; None: when room has come.

    `closed`: the window has come and the gang has not: nobody is let in on a promise any more. `pieces`: it wants
    devices or cpus of its own, which are not told apart: nobody else gets any there who is not gone in time.
    """

    gang: Gang
    until: Instant | None
    axes: tuple[int, ...]
    rows: Ints
    needs: Ints
    closed: bool = False
    pieces: bool = False
    #: Part of what is in use on the rows that is to be given back before the window, and by whom.
    loaned: Ints = field(init=False)
    loans: dict[PodUid, tuple[int, Request]] = field(default_factory=dict)
    _column: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.loaned = np.zeros_like(self.needs)
        self._column = {row: column for column, row in enumerate(self.rows.tolist())}

    def spare(self, table: NodeTable) -> Ints:
        """What others may still take for long [axis, column]; below zero where the window can no longer be kept."""
        result: Ints = table.free[np.ix_(np.array(self.axes), self.rows)] + self.loaned - self.needs
        return result

    def lend(self, uid: PodUid, row: int, request: Request) -> None:
        """A pod on `row` is to be gone in time."""
        column = self._column.get(row)
        if column is not None and uid not in self.loans:
            self.loans[uid] = column, request
            self._book(column, request, 1)

    def settle(self, uid: PodUid) -> None:
        """It is gone, or not on loan any more."""
        loan = self.loans.pop(uid, None)
        if loan is not None:
            self._book(*loan, -1)

    def _book(self, column: int, request: Request, sign: int) -> None:
        for axis, amount in request:
            if axis in self.axes:
                self.loaned[self.axes.index(axis), column] += amount * sign

    def closes(self, shape: Shape) -> bool:
        """Whatever is to spare, there is none for this shape."""
        return self.pieces and (bool(shape.spec.devices) or shape.spec.numa is not None)

    def lets_in(self, end: Instant | None) -> bool:
        """Whether a gang that ends then is gone before the window."""
        return not self.closed and self.until is not None and end is not None and end <= self.until


class Windows:
    """All windows of one engine, by gang; without any it costs nothing."""

    def __init__(self, table: NodeTable) -> None:
        self._table = table
        self.by_gang: dict[GangId, Window] = {}
        #: When this cycle began.
        self.now = Instant(0)

    def __bool__(self) -> bool:
        return bool(self.by_gang)

    def others(self, gang: Gang | None) -> Iterator[Window]:
        """Those that are kept for somebody else."""
        return (window for window in self.by_gang.values() if window.gang is not gang)

    def end_of(self, gang: Gang) -> Instant | None:
        """When `gang` is over if it starts now; None where nobody says."""
        estimates = [estimate_ms(task) for task in gang.pending.values()]
        if not estimates or None in estimates:
            return None
        return Instant(self.now + max(each for each in estimates if each is not None))

    def limit(self, gang: Gang | None, shape: Shape, copies: Ints) -> Ints:
        """Of so many `copies` of `shape` by row, those that `gang` may take without delaying those who wait longer."""
        end = self.end_of(gang) if gang is not None else None
        for window in self.others(gang):
            if window.lets_in(end):
                continue
            spare = np.maximum(window.spare(self._table), 0)
            left = copies[window.rows] * (not window.closes(shape))
            for axis, amount in shape.request:
                if axis in window.axes:
                    left = np.minimum(left, spare[window.axes.index(axis)] // amount)
            copies = copies.copy()
            copies[window.rows] = left
        return copies

    def closed_rows(self, gang: Gang, shape: Shape, rows: Bools) -> Iterator[tuple[Bools, Window]]:
        """Of `rows` with room for one more, those that are kept for somebody else."""
        for window in self.others(gang):
            if window.lets_in(self.end_of(gang)):
                continue
            spare = window.spare(self._table)
            bad = np.full(window.rows.size, window.closes(shape), np.bool_)
            for axis, amount in shape.request:
                if axis in window.axes:
                    bad |= spare[window.axes.index(axis)] < amount
            closed: Bools = np.zeros(rows.size, np.bool_)
            closed[window.rows[bad]] = True
            yield closed & rows, window

    def placed(self, gang: Gang, tasks: Sequence[Task], rows: Ints) -> list[tuple[Window, PodUid]]:
        """Pods take places, tentatively or not: those that will be gone in time are on loan. Returns the loans."""
        loans: list[tuple[Window, PodUid]] = []
        end = self.end_of(gang)
        for window in self.others(gang):
            if window.lets_in(end):
                for task, row in zip(tasks, rows.tolist(), strict=True):
                    window.lend(task.uid, row, task.shape.request)
                    loans.append((window, task.uid))
        return loans

    def left(self, uid: PodUid) -> None:
        """A pod has given up its place."""
        for window in self.by_gang.values():
            window.settle(uid)
