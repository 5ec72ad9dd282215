"""The only store of node numbers: int64 columns, one row of the cluster per node, one array per resource axis.

`free` is capacity minus what tasks use minus what is reserved; `releasing` is the part of use that is about to leave.
`claimed` is room that is being made for somebody, and `firm` the part of it for which nobody has to leave any more:
nobody else may take that.
Nothing mirrors these columns, so nothing has to be kept in step with them. Numpy scalars do not leave this module.
"""

from collections.abc import Mapping
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.ids import Row
from flowbatch.model.resources import EVERYWHERE, PODS, Axes, Request

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

FIRST_ROWS = 64


class NodeTable:
    """Columns [axis, row]. Rows are reused, smallest first; a vacant row is zero and not ready."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        #: Rows ever used; every column may be cut here.
        self.size = 0
        self._vacant: list[Row] = []
        shape = (len(axes), FIRST_ROWS)
        self.capacity: Ints = np.zeros(shape, np.int64)
        self.free: Ints = np.zeros(shape, np.int64)
        self.releasing: Ints = np.zeros(shape, np.int64)
        self.reserved: Ints = np.zeros(shape, np.int64)
        self.claimed: Ints = np.zeros(shape, np.int64)
        self.firm: Ints = np.zeros(shape, np.int64)
        #: How many claims there are: without any, what is free is what there is.
        self.claims = 0
        #: 1 / capacity, and 0 where there is none: scores divide by multiplying.
        self.inverse: Floats = np.zeros(shape, np.float64)
        self.ready: Bools = np.zeros(FIRST_ROWS, np.bool_)
        #: Use is above capacity on some axis (a node shrank): nothing new goes there.
        self.over: Bools = np.zeros(FIRST_ROWS, np.bool_)

    def fit_axes(self) -> None:
        """Make room for axes that were mentioned since the last call."""
        missing = len(self._axes) - self.capacity.shape[0]
        if missing > 0:
            for name in ("capacity", "free", "releasing", "reserved", "claimed", "firm", "inverse"):
                column = getattr(self, name)
                setattr(self, name, np.pad(column, ((0, missing), (0, 0))))
            self._offer_everywhere(self.capacity.shape[0] - missing)

    def _offer_everywhere(self, first: int) -> None:
        """Of axes from `first` on that say nothing about nodes, each node has enough."""
        for axis in self._axes.unplaced:
            if axis >= first:
                self.capacity[axis] = np.where(self.capacity[PODS] > 0, EVERYWHERE, 0)
                self.free[axis] += self.capacity[axis]

    def add_row(self) -> Row:
        """A zero row that is not ready."""
        if self._vacant:
            return heappop(self._vacant)
        if self.size == self.ready.size:
            self._double()
        self.size += 1
        return Row(self.size - 1)

    def _double(self) -> None:
        more = self.ready.size
        for name in ("capacity", "free", "releasing", "reserved", "claimed", "firm", "inverse"):
            setattr(self, name, np.pad(getattr(self, name), ((0, 0), (0, more))))
        self.ready = np.pad(self.ready, (0, more))
        self.over = np.pad(self.over, (0, more))

    def drop_row(self, row: Row) -> None:
        """Give `row` back; nobody may use it any more."""
        self.set_capacity(row, {})
        assert not self.free[:, row].any(), f"row {row} dropped while in use"
        self.ready[row] = False
        self.over[row] = False
        heappush(self._vacant, row)

    def set_capacity(self, row: Row, capacity: Mapping[int, int]) -> None:
        """Replace a node's capacity; its use stays what it is, even where that is now too much."""
        self.fit_axes()
        column = np.zeros(self.capacity.shape[0], np.int64)
        for axis, amount in capacity.items():
            column[axis] = amount
        if column[PODS]:
            column[self._axes.unplaced] = EVERYWHERE
        self.free[:, row] += column - self.capacity[:, row]
        self.capacity[:, row] = column
        self.inverse[:, row] = np.divide(1.0, column, out=np.zeros(column.size), where=column > 0)
        self._judge(row)

    def _judge(self, row: Row) -> None:
        self.over[row] = bool((self.free[:, row] < 0).any())

    def take(self, row: Row, request: Request) -> None:
        """Use `request` on `row`, whether or not it fits: the cluster may have decided without us."""
        free = self.free
        over = False
        for axis, amount in request:
            left = free[axis, row] - amount
            free[axis, row] = left
            over = over or left < 0
        if over:
            self.over[row] = True

    def give(self, row: Row, request: Request) -> None:
        """The inverse of `take`."""
        free = self.free
        for axis, amount in request:
            free[axis, row] += amount
        if self.over[row]:
            self._judge(row)

    def take_rows(self, rows: Ints, counts: Ints, request: Request, sign: int = 1) -> None:
        """Use `counts` times `request` on each of `rows` (all different); sign -1 gives it back. It must fit."""
        for axis, amount in request:
            self.free[axis, rows] -= counts * (amount * sign)

    def reserve_rows(self, rows: Ints, counts: Ints, request: Request, sign: int = 1) -> None:
        """Hold room for members that have no pod yet; sign -1 lets go of it."""
        for axis, amount in request:
            held = counts * (amount * sign)
            self.free[axis, rows] -= held
            self.reserved[axis, rows] += held
        for row in rows[self.over[rows]].tolist():
            self._judge(Row(row))

    def release(self, row: Row, request: Request, sign: int = 1) -> None:
        """Mark use as leaving soon; sign -1 when it has left, or stays after all."""
        for axis, amount in request:
            self.releasing[axis, row] += amount * sign

    def claim_rows(self, rows: Ints, counts: Ints, request: Request, sign: int = 1) -> None:
        """Keep room on `rows`, free or releasing, for one gang; sign -1 lets go of it."""
        self.claims += sign
        for axis, amount in request:
            self.claimed[axis, rows] += counts * (amount * sign)

    def offer(self, axis: int) -> Ints:
        """What anybody may take of one axis, by row: what is free, without what is firmly somebody else's."""
        free = self.free[axis, : self.size]
        if not self.claims:
            return free
        result: Ints = free - self.firm[axis, : self.size]
        return result

    def future(self, axis: int) -> Ints:
        """What there will be of one axis, by row, once all that is leaving has left; without what is claimed."""
        cut = slice(0, self.size)
        result: Ints = self.free[axis, cut] + self.releasing[axis, cut] - self.claimed[axis, cut]
        return result

    def kept(self, row: Row) -> bool:
        """Whether what is claimed on `row` is there, or will be."""
        short = self.free[:, row] + self.releasing[:, row] < self.claimed[:, row]
        return not bool((short & (self.claimed[:, row] > 0)).any())

    def open_rows(self) -> Bools:
        """Rows that may receive anything at all."""
        ready, over = self.ready[: self.size], self.over[: self.size]
        result: Bools = ready & ~over
        return result

    def copies(self, request: Request, where: Bools) -> Ints:
        """How many times `request` fits on each row of the mask `where`; zero elsewhere, or where not even once.

        Divides in float64, which is exact here: amounts are at most 2**50, so a quotient that is not whole is further
        from the next whole number than its rounding error.
        """
        least: Floats | None = None
        for axis, amount in request:
            ratio: Floats = self.offer(axis) / amount
            least = ratio if least is None else np.minimum(least, ratio, out=least)
        assert least is not None, "a request without axes"
        np.maximum(least, 0, out=least)
        least *= where
        return least.astype(np.int64)

    def copies_at(self, request: Request, rows: Ints) -> Ints:
        """How many times `request` fits on each of `rows`; zero where a row is closed."""
        axes = np.array([axis for axis, _ in request], np.int64)
        amounts = np.array([amount for _, amount in request], np.int64)
        cells = np.ix_(axes, rows)
        free = self.free[cells]
        if self.claims:
            free = free - self.firm[cells]
        ratio = free // amounts[:, None]
        result: Ints = np.maximum(ratio.min(axis=0), 0) * (self.ready[rows] & ~self.over[rows])
        return result

    def copies_of(self, asked: Ints, rows: Ints) -> Ints:
        """The same for many requests, given as columns [axis, request]: [request, row]."""
        axes = slice(0, asked.shape[0])
        free = self.free[axes, rows]
        if self.claims:
            free = free - self.firm[axes, rows]
        least = np.full((asked.shape[1], rows.size), np.inf)
        for offer, amounts in zip(free, asked, strict=True):
            named = amounts > 0
            ratio: Floats = offer / np.where(named, amounts, 1)[:, None]
            np.minimum(least, ratio, out=least, where=named[:, None])
        least[:, ~self.ready[rows] | self.over[rows]] = 0
        result: Ints = np.maximum(least, 0).astype(np.int64)
        return result

    def open_at(self, row: Row) -> bool:
        """Whether one row may receive anything."""
        return bool(self.ready[row]) and not self.over[row]

    def free_at(self, axis: int, row: Row) -> int:
        """Free units of one axis on one node."""
        return int(self.free[axis, row])

    def capacity_at(self, axis: int, row: Row) -> int:
        """Capacity of one axis on one node."""
        return int(self.capacity[axis, row])

    def columns_of(self, row: Row) -> tuple[tuple[int, ...], ...]:
        """(capacity, free, releasing, reserved) of one row, each by axis: for checks and digests."""
        columns = (self.capacity, self.free, self.releasing, self.reserved)
        return tuple(tuple(int(value) for value in column[:, row]) for column in columns)

    def total(self) -> dict[int, int]:
        """Capacity of all ready nodes by axis, exact."""
        ready = self.ready[: self.size]
        return {
            axis: total
            for axis in range(self.capacity.shape[0])
            if (total := int(self.capacity[axis, : self.size][ready].sum()))
        }

    def largest(self) -> dict[int, int]:
        """The most that one node ever offers, by axis (each axis from whichever node has most)."""
        if not self.size:
            return {}
        return {axis: int(most) for axis, most in enumerate(self.capacity[:, : self.size].max(axis=1)) if most}
