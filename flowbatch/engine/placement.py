"""From a shape's mask to node rows: the vector kernels.

`choose` gives exactly what placing one pod after the other on the best node would give, for any scores that look at one
node at a time; ties go to the lower row. It needs one pass where scores only rise as a node fills (bin packing), and a
few passes over ever fewer nodes where they fall (spreading).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.engine.counters import Counters
from flowbatch.engine.fits import Fits, concerns, is_by_placement
from flowbatch.engine.guard import Guard
from flowbatch.model.ids import NodeName, Row
from flowbatch.model.inquiry import Advice
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.view import View
from flowbatch.policy.contract import Extra, NodeFilter, NodeScore, Pace, Rows
from flowbatch.policy.policy import Policy

#: Keys are whole numbers: the score in this many steps, then the row. Rounding also hides the last bits of floats.
SCORE_STEPS = 1 << 36
ROW_BITS = 24
ROW_MASK = (1 << ROW_BITS) - 1
#: What a rank from outside counts among scores: as Volcano adds it, as one score of weight one.
ADVICE_WEIGHT = 1.0


@dataclass(slots=True)
class Room:
    """Where one shape fits now: `copies` of it on each of `rows`."""

    rows: Ints
    copies: Ints
    #: By row of the whole table, zeros included.
    by_row: Ints
    #: How many fit in all.
    total: int
    #: By row, if it did not matter where others are.
    anyway: Ints

    @classmethod
    def of(cls, by_row: Ints, anyway: Ints | None = None) -> "Room":
        """From copies by row."""
        rows: Ints = np.flatnonzero(by_row)
        copies = by_row.take(rows)
        return cls(rows, copies, by_row, int(copies.sum()), by_row if anyway is None else anyway)

    def but(self, rows: list[Row]) -> "Room":
        """The same without some rows, where enough is left; they are only avoided, not forbidden."""
        by_row = self.by_row.copy()
        by_row[rows] = 0
        return Room.of(by_row, self.anyway)

    def only(self, where: Bools) -> "Room":
        """The part of it that is `where`, which is a mask over `rows`."""
        copies = self.copies[where]
        return Room(self.rows[where], copies, self.by_row, int(copies.sum()), self.anyway)


class Placement:
    """Searches for room. Reads the table, changes nothing."""

    def __init__(
        self, state: ClusterState, view: View, policy: Policy, guard: Guard, fits: Fits, counters: Counters
    ) -> None:
        self._state = state
        self._view = view
        self._guard = guard
        self._fits = fits
        self._counters = counters
        self._scores: tuple[NodeScore, ...] = tuple(
            score for score in policy.scores if score.trend != "fixed" and not is_by_placement(score)
        )
        #: Those that look at where others are.
        self._social_filters = tuple(each for each in policy.filters if is_by_placement(each))
        self._social_scores = tuple(each for each in policy.scores if is_by_placement(each))
        self._social = (*self._social_filters, *self._social_scores)
        #: Those among them that may concern shapes without a stake in others.
        self._nosy = tuple(each for each in self._social if not getattr(each, "by_stake", False))
        #: Those among them that cannot tell whom they concern: with one of them, nobody can tell who is refused alike.
        self.unknowable = any(not hasattr(each, "concerns") for each in self._social)
        #: What somebody outside has said of the gang that is being placed.
        self.advice: Advice | None = None
        self._rising = all(score.trend == "rising" for score in self._scores)
        self._weight = sum(max(score.weight, 0.0) for score in policy.scores) or 1.0

    def social(self, shape: Shape) -> bool:
        """Where others are matters to `shape`."""
        if shape.stake is None and not self._nosy:
            return False
        return any(self._concerns(each, shape) for each in self._social)

    def _concerns(self, each: object, shape: Shape) -> bool:
        return self._guard.call(each, concerns, False, each, shape, self._view)

    def pace(self, shape: Shape) -> Pace:
        """Whether one search may place many of `shape`."""
        one: Pace = "one"
        for each in self._nosy if shape.stake is None else self._social:
            if self._concerns(each, shape):
                method = getattr(each, "pace", None)
                if method is None or self._guard.call(each, method, one, shape, self._view) == one:
                    return one
        return "many"

    def room(self, shape: Shape, within: Bools | None = None) -> Room:
        """Everywhere that `shape` fits now; on the rows `within` only, if that is said."""
        copies = self._copies(shape, within)
        if self._social_filters and self.social(shape):
            return Room.of(self.among_others(shape, copies), copies)
        return Room.of(copies)

    def _copies(self, shape: Shape, within: Bools | None) -> Ints:
        table, size = self._state.table, self._state.table.size
        table.fit_axes()
        self._counters.shapes_evaluated += 1
        self._counters.nodes_examined += size
        open_rows = self._fits.of(shape).mask & table.open_rows()
        if within is not None:
            open_rows &= within
        if self._fits.momentary:
            self._fits.close(shape, open_rows)
        if self.advice is not None:
            open_rows[self._rows_of(self.advice.refused.get(shape.id, ()))] = False
        copies = table.copies(shape.request, open_rows)
        ports = shape.spec.ports
        if ports:
            copies[self._state.ports.taken(ports)] = 0
            np.minimum(copies, 1, out=copies)
        copies = self._state.pieces.limit(shape, copies)
        if self._fits.momentary:
            copies = self._fits.cap(shape, copies)
        if self._state.windows.by_gang:
            copies = self._state.windows.limit(self._view.gang, shape, copies)
        return copies

    def after_one(self, shape: Shape, row: Ints, copies: Ints) -> Ints:
        """`copies` by row, as they are after one of `shape` went to `row`: only that row has less."""
        if self._fits.momentary or self._state.windows or shape.spec.device_claims:
            return np.where(copies > 0, self._copies(shape, None), 0)
        left = self._state.pieces.limit_at(shape, row, self._state.table.copies_at(shape.request, row))
        copies[row] = np.zeros(1, np.int64) if shape.spec.ports else left
        return copies

    def among_others(self, shape: Shape, copies: Ints) -> Ints:
        """Of so many `copies` by row, those that may be placed where others are now."""
        refused: Bools | None = None
        for rows, _ in self._fits.refusals(shape, by_placement=True):
            refused = rows if refused is None else refused | rows
        result = copies if refused is None else np.where(refused, 0, copies)
        for each in self._social:
            lonely = getattr(each, "lonely", None)
            if lonely is not None and self._concerns(each, shape):
                alone = self._guard.call(each, lonely, np.zeros(copies.size, np.bool_), shape, self._view)
                result = np.where(alone, np.minimum(result, 1), result)
        return result

    def reach(self, shape: Shape, within: Bools | None = None) -> Ints:
        """How many of `shape` may be on each row at most; more than there is room for now where each opens some."""
        room = self.room(shape, within)
        return room.by_row if room.anyway is room.by_row or self.pace(shape) != "one" else room.anyway

    def watched(self, shape: Shape, company: Sequence[Shape]) -> Ints:
        """Copies of `shape` by row for those who wait for more of them; `company` is placed together with it.

        Where others keep it away, whatever room there may be, and its own company cannot change that, they are below
        zero: `-1 - copies`.
        """
        room = self.room(shape)
        if not self.social(shape) or any(self._opens(each, shape, company) for each in self._social_filters):
            return room.anyway
        refused = self.among_others(shape, np.ones(room.anyway.size, np.int64)) == 0
        return np.where(refused, -1 - room.anyway, room.anyway)

    def _opens(self, each: NodeFilter, shape: Shape, company: Sequence[Shape]) -> bool:
        if not self._concerns(each, shape):
            return False
        opens = getattr(each, "opens", None)
        return opens is None or self._guard.call(each, opens, True, shape, company, self._view)

    def choose(self, shape: Shape, count: int, room: Room) -> tuple[Ints, Ints]:
        """The best rows for `count` (at most `room.total`) of `shape`, and how many on each; best row first."""
        points = self.points(shape, room.rows, 0)
        if self._social_scores and (shape.stake is not None or self._nosy):
            points = points + self.social_points(shape, room.rows)
        keys = self.keys(points, room.rows)
        if self._rising or count == 1:
            return _fill(keys, room, count)
        return self._follow(shape, keys, room, count)

    def points(self, shape: Shape, rows: Ints, extra: Extra) -> Floats:
        """What each of `rows` is worth, wherever others are; more is better."""
        size = self._state.table.size
        where: Rows = slice(0, size) if 2 * rows.size > size and isinstance(extra, int) else rows
        points: Floats | None = None
        for score in self._scores:
            part = self._guard.call(score, score.score, None, shape, where, extra, self._view)
            if part is not None:
                points = part * score.weight if points is None else points + part * score.weight
        fixed = self._fits.of(shape).fixed
        if points is None:
            points = np.zeros(rows.size)
        elif isinstance(where, slice):
            points = points.take(rows)
        if fixed is not None:
            points = points + fixed.take(rows)
        if self.advice is not None and shape.id in self.advice.scores:
            points = (points + self._ranked(shape, rows)) * (self._weight / (self._weight + ADVICE_WEIGHT))
        return points

    def social_points(self, shape: Shape, rows: Ints) -> Floats | float:
        """What `rows`, which are all that are left to choose from, are worth because of others."""
        points: Floats | float = 0.0
        for score in self._social_scores:
            if self._concerns(score, shape):
                part = self._guard.call(score, score.score, None, shape, rows, 0, self._view)
                if part is not None:
                    points = points + part * score.weight
        return points

    def keys(self, points: Floats, rows: Ints) -> Ints:
        """Smaller is better; unique, because the row is part of it."""
        points = points * (SCORE_STEPS / self._weight)
        np.clip(points, 0, SCORE_STEPS, out=points)
        keys: Ints = SCORE_STEPS - points.astype(np.int64)
        keys <<= ROW_BITS
        keys |= rows
        return keys

    def _rows_of(self, names: Iterable[NodeName]) -> list[Row]:
        return [node.row for name in names if (node := self._state.nodes.get(name)) is not None]

    def _ranked(self, shape: Shape, rows: Ints) -> Floats:
        """What somebody outside thinks of these rows; nothing of those it was not asked about."""
        assert self.advice is not None
        points: Floats = np.zeros(self._state.table.size)
        scores = self.advice.scores[shape.id]
        for name, score in scores.items():
            if (node := self._state.nodes.get(name)) is not None:
                points[node.row] = score * ADVICE_WEIGHT
        return points.take(rows)

    def _follow(self, shape: Shape, keys: Ints, room: Room, count: int) -> tuple[Ints, Ints]:
        """Level by level: a node's next place is offered once its last one could still be among the best `count`."""
        best = keys
        level, rows, copies, last = 1, room.rows, room.copies, keys
        while True:
            if best.size > count:
                best = np.partition(best, count - 1)[:count]
            bar = best.max() if best.size == count else None
            more = copies > level
            if bar is not None:
                more &= last < bar
            rows, copies, last = rows[more], copies[more], last[more]
            if not rows.size:
                break
            # A place is never offered before the one below it on the same node: its key is at least as large.
            points = self.points(shape, rows, np.full(rows.size, level, np.int64))
            last = np.maximum(last, self.keys(points, rows))
            best = np.concatenate([best, last])
            level += 1
        chosen = np.sort(best) & ROW_MASK
        rows, first, counts = np.unique(chosen, return_index=True, return_counts=True)
        order = np.argsort(first)
        return rows[order].astype(np.int64), counts[order].astype(np.int64)


def _fill(keys: Ints, room: Room, count: int) -> tuple[Ints, Ints]:
    """Node by node in the order of keys, each as full as it gets."""
    if count == 1:
        best = int(keys.argmin())
        return room.rows[best : best + 1], np.ones(1, np.int64)
    if keys.size > count:
        keys = np.partition(keys, count - 1)[:count]
    rows = np.sort(keys) & ROW_MASK
    copies = room.by_row.take(rows)
    filled = np.cumsum(copies)
    last = int(np.searchsorted(filled, count))
    counts = copies[: last + 1]
    counts[last] -= filled[last] - count
    return rows[: last + 1], counts


def admits_empty(state: ClusterState, mask: Bools, shape: Shape) -> int:
    """How many of `shape` fit if the nodes of `mask` were empty: what can never be exceeded."""
    return int(copies_empty(state, mask, shape).sum())


def copies_empty(state: ClusterState, mask: Bools, shape: Shape) -> Ints:
    """By row, how many of `shape` fit if the nodes of `mask` were empty."""
    capacity = state.table.capacity[:, : state.table.size]
    least: Ints | None = None
    for axis, amount in shape.request:
        copies = capacity[axis] // amount
        least = copies if least is None else np.minimum(least, copies)
    assert least is not None, "a request without axes"
    if shape.spec.ports:
        least = np.minimum(least, 1)
    result: Ints = least * (mask & state.table.ready[: state.table.size])
    return state.pieces.limit(shape, result, empty=True)
