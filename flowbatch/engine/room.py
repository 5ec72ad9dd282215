"""Lanes that wait for room, by shape: for which of them rows with more room than before may be the cure.

One comparison of all watched requests with the most that the freed rows offer leaves few shapes; copies of those are
counted, all at once. A shape for which there may be enough is *open*. Nothing is done to its lanes: whether one may
hope is worked out when its turn has come, and by then somebody else may have taken the room.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowbatch.engine.copies import Copies
from flowbatch.engine.fits import Fits
from flowbatch.engine.hopes import FEW
from flowbatch.engine.lanes import Lane, Lanes
from flowbatch.engine.thresholds import ENDLESS, Thresholds
from flowbatch.model.ids import Row, ShapeId
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Ints

#: Shapes that found too little room, with the copies of each that fit by row; below zero (`-1 - copies`) where others
#: forbid it.
Rooms = dict[ShapeId, tuple[Shape, Ints]]
#: In place of a number: several shapes are needed together, and room on a row that takes one of them may be what is
#: missing for another, even if no single one fits there more often than before.
TOGETHER = 0
#: Cells of one comparison of shapes and rows: that of a whole cluster is made in parts.
BLOCK = 1 << 20


@dataclass(slots=True, eq=False)
class Near:
    """Room is of use only in one of `domains` (a mask over the index of `version`), where `needs` copies must fit."""

    version: int
    domains: Bools
    needs: dict[ShapeId, int]


@dataclass(slots=True, eq=False)
class Watch:
    """One shape for which lanes wait."""

    shape: Shape
    slot: int
    lanes: Lanes = field(default_factory=dict)
    #: More room on any row matters to some lane, not only on those where other pods would allow it.
    everywhere: bool = False


@dataclass(slots=True, eq=False)
class Sought:
    """What one lane waits for: how many must fit in all, or in one domain; None where one more may do anywhere."""

    needs: int | Near | None
    watches: list[Watch]
    #: The last opening that the lane has seen.
    seen: int


class RoomWatches:
    """All watches, and which of them are open."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits
        self._by_shape: dict[ShapeId, Watch] = {}
        self._watches: dict[int, Watch] = {}
        self._sought: dict[Lane, Sought] = {}
        self._asked = Thresholds(len(state.axes))
        self._copies = Copies()
        #: By slot: fewer are no use to any lane.
        self._least: Ints = np.zeros(0, np.int64)
        #: By slot: some lane needs the shape together with others, so any room that takes one may be its cure.
        self._joint: Bools = np.zeros(0, np.bool_)
        #: By slot: amounts alone do not tell how many fit.
        self._particular: Bools = np.zeros(0, np.bool_)
        #: By slot: at which opening more fitted than before, and at which any did that is joint; 0 where it is shut.
        self._won: Ints = np.zeros(0, np.int64)
        self._some: Ints = np.zeros(0, np.int64)
        #: By slot: as of which version of the nodes it is counted where the shape may go at all.
        self._versions: Ints = np.zeros(0, np.int64)
        self._opening = 0
        self._few: Sequence[Lane] | None = ()
        self.open = False
        #: Rows on which there is room since something is open.
        self._fresh: dict[int, None] = {}

    def add(self, lane: Lane, needs: int | Near | None, rooms: Rooms) -> None:
        """Watch the shapes of `rooms` for `lane`."""
        sought = self._sought.setdefault(lane, Sought(needs, [], self._opening))
        sought.needs = needs
        self._grow()
        for shape_id, (shape, copies) in rooms.items():
            watch = self._by_shape.get(shape_id) or self._watch(shape)
            if lane not in watch.lanes:
                watch.lanes[lane] = None
                sought.watches.append(watch)
            self._least[watch.slot] = min(int(self._least[watch.slot]), needs if isinstance(needs, int) else 0)
            self._joint[watch.slot] |= is_joint(needs)
            self._set(watch, copies)

    def _watch(self, shape: Shape) -> Watch:
        watch = Watch(shape, self._asked.put(shape.request, len(self._state.axes)))
        self._by_shape[shape.id] = self._watches[watch.slot] = watch
        self._grow()
        self._least[watch.slot] = ENDLESS
        self._joint[watch.slot] = False
        # Of cpus that matter too nobody need know yet: it is enough that they may.
        own = shape.spec.numa is not None and self._state.numa.on
        one_by_one = shape.spec.devices or shape.spec.device_claims or shape.spec.ports
        self._particular[watch.slot] = own or bool(one_by_one)
        self._won[watch.slot] = self._some[watch.slot] = 0
        return watch

    def _grow(self) -> None:
        slots = self._asked.slots
        self._copies.grow(slots, self._state.table.size)
        more = slots - self._least.size
        if more:
            for name in ("_least", "_joint", "_particular", "_won", "_some", "_versions"):
                setattr(self, name, np.pad(getattr(self, name), (0, more)))

    def _set(self, watch: Watch, copies: Ints) -> None:
        """Exact again, from a search that has just been made."""
        forbidden = copies < 0
        some = bool(forbidden.any())
        watch.everywhere = watch.everywhere or not some
        actual = np.where(forbidden, -1 - copies, copies) if some else copies
        admits = self._fits.of(watch.shape).mask
        self._copies.set(watch.slot, actual, admits, None if watch.everywhere else forbidden)
        self._versions[watch.slot] = self._state.columns.version

    def remove(self, lane: Lane) -> None:
        """The lane waits no more."""
        sought = self._sought.pop(lane, None)
        for watch in sought.watches if sought else ():
            del watch.lanes[lane]
            if not watch.lanes:
                del self._by_shape[watch.shape.id], self._watches[watch.slot]
                self._asked.take_back(watch.slot)
                self._won[watch.slot] = self._some[watch.slot] = 0

    # -- more room

    def freed(self, freed: Iterable[Row]) -> None:
        """These rows have more room: shapes of which enough may fit now are open until it is taken."""
        table = self._state.table
        table.fit_axes()
        rows: Ints = np.fromiter((row for row in freed if row < table.size), np.int64)
        if not self._sought or not rows.size:
            return
        slots = np.flatnonzero(self._asked.met(self._most(rows)))
        if not slots.size:
            return
        self._grow()
        for slot in slots[self._versions[slots] != self._state.columns.version].tolist():
            self._readmit(self._watches[slot])
        self._opening += 1
        for part in np.array_split(rows, 1 + rows.size * slots.size // BLOCK):
            self._count(slots, part)
        self._note()
        if self.open:
            self._fresh.update(dict.fromkeys(rows.tolist()))

    def _most(self, rows: Ints) -> Ints:
        """By axis, the most that one or another of these rows has; with claims this is more than there is to take."""
        most: Ints = self._state.table.free[:, rows].max(axis=1)
        return most

    def _readmit(self, watch: Watch) -> None:
        """Nodes have changed since it was counted where this shape may go."""
        columns, size = self._state.columns, self._state.table.size
        changed = columns.changed_since(int(self._versions[watch.slot]))
        rows: Ints = np.arange(size) if changed is None else np.unique(np.fromiter(changed, np.int64))
        rows = rows[rows < size]
        self._copies.admit(watch.slot, rows, self._fits.of(watch.shape).mask[rows])
        self._versions[watch.slot] = columns.version

    def _count(self, slots: Ints, rows: Ints) -> None:
        """What fits on these rows now, and whom that may be enough for."""
        now = self._state.table.copies_of(self._asked.of(slots), rows)
        now[self._copies.closed(slots, rows)] = 0
        for at in np.flatnonzero(self._particular[slots] & now.any(axis=1)).tolist():
            shape = self._watches[int(slots[at])].shape
            now[at] = self._state.pieces.limit_at(shape, rows, now[at])
            if shape.spec.ports:
                now[at] = np.minimum(now[at], 1)
        some, won = now.any(axis=1), self._copies.gain(slots, rows, now)
        self._won[slots[won & (self._copies.totals[slots] >= self._least[slots])]] = self._opening
        self._some[slots[some & self._joint[slots]]] = self._opening

    # -- hope

    def recheck(self) -> None:
        """Somebody has taken room: shapes for which nothing is left of it are shut."""
        if not self.open:
            return
        rows: Ints = np.fromiter(self._fresh, np.int64, len(self._fresh))
        gone = np.flatnonzero(((self._won > 0) | (self._some > 0)) & ~self._asked.met(self._most(rows)))
        if gone.size:
            self._copies.drop(gone, rows)
            self._won[gone] = self._some[gone] = 0
            self._note()

    def _note(self) -> None:
        """Whether anything is open, and for whom."""
        slots = np.flatnonzero((self._won > 0) | (self._some > 0)).tolist()
        lanes = [self._watches[slot].lanes for slot in slots[: FEW + 1]]
        many = sum(len(each) for each in lanes) > FEW
        self._few = None if many else [lane for each in lanes for lane in each]
        self.open = bool(slots)
        if not slots:
            self._fresh.clear()

    def hopes(self, lane: Lane) -> bool:
        """There may be room for the lane, which has not been refused since it came."""
        sought = self._sought.get(lane)
        if sought is None:
            return False
        for watch in sought.watches:
            if self._some[watch.slot] > sought.seen and is_joint(sought.needs):
                return True
            if self._won[watch.slot] > sought.seen and self._serves(watch, sought.needs):
                return True
        sought.seen = self._opening
        return False

    def _serves(self, watch: Watch, needs: int | Near | None) -> bool:
        """There may be enough."""
        if not isinstance(needs, Near):
            return needs is None or needs <= self._copies.totals[watch.slot]
        topology, size = self._state.topology, self._state.table.size
        if needs.version != topology.version:
            return True
        rows: Ints = np.fromiter(self._fresh, np.int64, len(self._fresh))
        copies = self._copies.of(watch.slot, size)
        fresh = np.zeros(size, np.int64)
        fresh[rows] = copies[rows] > 0
        won = topology.index.sums(fresh) > 0
        room = topology.index.sums(copies)
        return bool((won & needs.domains & (room >= needs.needs[watch.shape.id])).any())

    def few(self) -> Sequence[Lane] | None:
        """Lanes of shapes that are open; None if they are many."""
        return self._few

    def close(self) -> None:
        """Nobody is left who may hope: what is still free is of no use to those who wait."""
        self._won[:] = self._some[:] = 0
        self._note()


def is_joint(needs: int | Near | None) -> bool:
    """Several shapes are needed together."""
    return needs == TOGETHER or (isinstance(needs, Near) and len(needs.needs) > 1)
