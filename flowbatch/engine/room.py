"""Lanes that wait for room, by shape, and the test whether rows with more room than before could cure any of them.

One comparison of all watched requests with the most that the freed rows offer leaves few shapes; those are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flowbatch.engine.fits import Fits
from flowbatch.engine.pending import Lane
from flowbatch.model.ids import Row, ShapeId
from flowbatch.model.resources import AMOUNT_MAX
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Ints

#: Shapes that found too little room, with the copies of each that fit by row.
Rooms = dict[ShapeId, tuple[Shape, Ints]]
NOBODY = AMOUNT_MAX * 4
#: In place of a number: several shapes are needed together, and room on a row that takes one of them may be what is
#: missing for another, even if no single one fits there more often than before.
TOGETHER = 0
FIRST_SLOTS = 16


@dataclass(slots=True, eq=False)
class Near:
    """Room is of use only in one of `domains` (a mask over the index of `version`), where `needs` copies must fit."""

    version: int
    domains: Bools
    needs: dict[ShapeId, int]


class Watch:
    """Lanes that wait for room for one shape. `copies` is what fitted on each row when one of them was last refused.

    Rows that lose room later are not counted down, so the total errs only towards waking in vain.
    """

    __slots__ = ("copies", "everywhere", "joint", "lanes", "shape", "slot", "total")

    def __init__(self, shape: Shape, copies: Ints, slot: int) -> None:
        self.shape = shape
        self.slot = slot
        #: Lane -> how many must fit in all, or in one domain; None where one more anywhere may make the difference.
        self.lanes: dict[Lane, int | Near | None] = {}
        #: More room on any row matters to some lane, not only on those where other pods would allow it.
        self.everywhere = False
        #: Some lane needs this together with others: any room that takes one may be its cure.
        self.joint = False
        self.set(copies)

    def at(self, row: Row) -> int:
        """What fitted on one row."""
        return int(self.copies[row]) if row < self.copies.size else 0

    def set(self, copies: Ints) -> None:
        """Exact again, from a search that has just been made; below zero (`-1 - copies`) where others forbid it."""
        forbidden = copies < 0
        if not forbidden.any():
            self.everywhere = True
            self.copies, self.total = copies, int(copies.sum())
            return
        actual = np.where(forbidden, -1 - copies, copies)
        self.copies = actual if self.everywhere else np.where(forbidden, NOBODY, copies)
        self.total = int(actual.sum())

    def gain(self, rows: Ints, now: Ints) -> Ints | None:
        """Count what fits `now` on `rows`: how much more than before on each, or None where it is nowhere more."""
        more: Ints = np.maximum(now - self.copies[rows], 0)
        if not more.any():
            return None
        self.copies[rows] += more
        self.total += int(more.sum())
        return more

    def gain_at(self, row: Row, now: int) -> Ints | int | None:
        """The same for one row."""
        more = now - self.at(row)
        if more <= 0:
            return None
        self.copies[row] = now
        self.total += more
        return more


class RoomWatches:
    """All watches, with their requests as one matrix [axis, slot]: comparisons run along the many slots."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits
        self._by_shape: dict[ShapeId, Watch] = {}
        self._slots: list[Watch | None] = [None] * FIRST_SLOTS
        self._vacant = list(range(FIRST_SLOTS - 1, -1, -1))
        self._asked: Ints = np.full((len(state.axes), FIRST_SLOTS), NOBODY, np.int64)
        #: By axis: nobody on watch asks for less. Watches that have gone may leave it too low, never too high.
        self._least: Ints = self._asked[:, 0]
        self._left = 0
        #: Lanes that hope, with the slots of the shapes for which there is room, and the rows that have it.
        self._hoping: dict[Lane, list[int]] = {}
        self._fresh: dict[Row, None] = {}

    def add(self, lane: Lane, needs: int | Near | None, rooms: Rooms) -> None:
        """Watch the shapes of `rooms` for `lane`."""
        for shape_id, (shape, copies) in rooms.items():
            watch = self._by_shape.get(shape_id)
            if watch is None:
                watch = self._by_shape[shape_id] = Watch(shape, copies, self._slot(shape))
                self._slots[watch.slot] = watch
            else:
                watch.set(copies)
            watch.lanes[lane] = needs
            watch.joint = watch.joint or is_joint(needs)

    def _slot(self, shape: Shape) -> int:
        axes, slots = self._asked.shape
        if not self._vacant:
            self._vacant.extend(range(2 * slots - 1, slots - 1, -1))
            self._slots.extend([None] * slots)
            self._asked = np.pad(self._asked, ((0, 0), (0, slots)), constant_values=NOBODY)
        if len(self._state.axes) > axes:
            # Shapes on watch do not ask for the new axes, or they would have been there before.
            more = len(self._state.axes) - axes
            self._asked = np.pad(self._asked, ((0, more), (0, 0)))
            self._least = np.pad(self._least, (0, more))
        slot = self._vacant.pop()
        self._asked[:, slot] = 0
        for axis, amount in shape.request:
            self._asked[axis, slot] = amount
        self._least = np.minimum(self._least, self._asked[:, slot])
        return slot

    def remove(self, lane: Lane, shape_id: ShapeId) -> None:
        """The lane waits no more."""
        self._hoping.pop(lane, None)
        watch = self._by_shape.get(shape_id)
        if watch is not None and watch.lanes.pop(lane, 0) != 0 and not watch.lanes:
            del self._by_shape[shape_id]
            self._slots[watch.slot] = None
            self._asked[:, watch.slot] = NOBODY
            self._vacant.append(watch.slot)
            self._left += 1
            if self._left > len(self._by_shape):
                self._left, self._least = 0, self._asked.min(axis=1)

    def woken(self, freed: dict[Row, None]) -> list[Lane]:
        """Lanes that may fit now that these rows have more room: they may hope until it is taken."""
        self._state.table.fit_axes()
        rows: Ints = np.fromiter(freed, np.int64, len(freed))
        rows = rows[rows < self._state.table.size]
        if not self._by_shape or not rows.size:
            return []
        found: dict[Lane, None] = {}
        slots = np.flatnonzero(self._enough(rows))
        for watch, now in self._on_one(slots, Row(int(rows[0]))) if rows.size == 1 else self._on_many(slots, rows):
            for lane in self._waking(watch, rows, now):
                found[lane] = None
                self._hoping.setdefault(lane, []).append(watch.slot)
        if self._hoping:
            self._fresh.update(dict.fromkeys(rows.tolist()))
        return list(found)

    def _enough(self, rows: Ints) -> Bools:
        """By slot: what is asked for is there on each axis, on one row or another."""
        # With claims this is more than there is to take; the count of copies is exact.
        most = self._state.table.free[: self._asked.shape[0], rows].max(axis=1)
        if (self._least > most).any():
            return np.zeros(self._asked.shape[1], np.bool_)
        enough: Bools = self._asked[0] <= most[0]
        for axis in range(1, most.size):
            enough &= self._asked[axis] <= most[axis]
        return enough

    def _on_many(self, slots: Ints, rows: Ints) -> Iterator[tuple[Watch, Ints | int]]:
        """Watches with what they find now on each of `rows`."""
        for slot in slots.tolist():
            watch = self._slots[slot]
            if watch is not None:
                yield watch, self._fit(watch, rows)

    def _on_one(self, slots: Ints, row: Row) -> Iterator[tuple[Watch, Ints | int]]:
        """The same on a single row, where one pod has ended: all watches at once, and only those that find more."""
        axes, table = self._asked.shape[0], self._state.table
        asked = self._asked[:, slots]
        room = np.array([table.offer(axis)[row] for axis in range(axes)], np.int64)
        copies = np.where(asked > 0, room[:, None] // np.maximum(asked, 1), NOBODY).min(axis=0)
        if not table.open_at(row):
            copies[:] = 0
        for slot, now in zip(slots.tolist(), copies.tolist(), strict=True):
            watch = self._slots[slot]
            if watch is None or not (watch.joint or now > watch.at(row)):
                continue
            spec = watch.shape.spec
            if spec.ports or spec.devices or watch.copies.size <= row:
                yield watch, self._fit(watch, np.array([row], np.int64))
            elif self._fits.of(watch.shape).mask[row]:
                yield watch, now

    def _waking(self, watch: Watch, rows: Ints, now: Ints | int) -> list[Lane]:
        if isinstance(now, int):
            more = watch.gain_at(Row(int(rows[0])), now)
            some = now > 0
        else:
            more = watch.gain(rows, now)
            some = bool(now.any())
        found = self._served(watch, rows, more) if more is not None else []
        if watch.joint and some:
            found += [lane for lane, needs in watch.lanes.items() if is_joint(needs)]
        return found

    def dashed(self) -> list[Lane]:
        """Lanes that hoped, and for which nothing is left of the room that gave them hope."""
        if not self._hoping:
            self._fresh.clear()
            return []
        enough = self._enough(np.fromiter(self._fresh, np.int64, len(self._fresh))).tolist()
        gone = [lane for lane, slots in self._hoping.items() if not any(enough[slot] for slot in slots)]
        for lane in gone:
            for slot in self._hoping.pop(lane):
                watch = self._slots[slot]
                if watch is not None and lane in watch.lanes:
                    # What was counted is gone again: from now on any room that takes one may be the cure.
                    watch.lanes[lane] = TOGETHER
                    watch.joint = True
        return gone

    def _served(self, watch: Watch, rows: Ints, more: Ints | int) -> list[Lane]:
        """Lanes for which there may be enough now."""
        topology = self._state.topology
        domains: tuple[Bools, Ints] | None = None  # which have won room, and how much there is in each
        found: list[Lane] = []
        for lane, needs in watch.lanes.items():
            if not isinstance(needs, Near):
                if needs is None or needs <= watch.total:
                    found.append(lane)
                continue
            if needs.version == topology.version:
                if domains is None:
                    gains = np.zeros(watch.copies.size, np.int64)
                    gains[rows] = more
                    domains = topology.index.sums(gains) > 0, topology.index.sums(watch.copies)
                won, room = domains
                if not (won & needs.domains & (room >= needs.needs[watch.shape.id])).any():
                    continue
            found.append(lane)
        return found

    def _fit(self, watch: Watch, rows: Ints) -> Ints:
        shape, table = watch.shape, self._state.table
        if watch.copies.size < table.size:
            watch.copies = np.pad(watch.copies, (0, table.size - watch.copies.size))
        now: Ints = table.copies_at(shape.request, rows) * self._fits.of(shape).mask[rows]
        if shape.spec.devices:
            now = np.minimum(now, self._state.devices.copies(shape, rows))
        return np.minimum(now, 1) if shape.spec.ports else now


def is_joint(needs: int | Near | None) -> bool:
    """Several shapes are needed together."""
    return needs == TOGETHER or (isinstance(needs, Near) and len(needs.needs) > 1)
