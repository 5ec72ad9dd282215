"""Where sleeping lanes wait, by what could cure them. An event touches only those whose cure it may be.

| blocker | parked under | woken by |
|---|---|---|
| NeedsQuota, QueueClosed | the queue | its usage falls, its facts or its share change, totals change |
| NeedsHeadroom | headroom | anything ends, a promise is let go, totals change |
| NeedsCapacity | its shapes | so much more room on admitted nodes that it might fit |
| NeedsNode, hopeless ones | nodes | a node comes or changes |
| NeedsTime | the clock | the instant |
| NeedsAnswer | the ask | Answered |
| Refused (a policy's own reason) | everything above but the clock | any of it |

Blockers that lie in the gang itself (NeedsGang, NeedsMembers, Gated) need no parking place: facts about the gang make
the engine look at it again anyway.
"""

from heapq import heappop, heappush

import numpy as np

from flowbatch.engine.fits import Fits
from flowbatch.engine.pending import Lane
from flowbatch.model.blockers import (
    Blocker,
    NeedsAnswer,
    NeedsCapacity,
    NeedsHeadroom,
    NeedsNode,
    NeedsQuota,
    NeedsTime,
    QueueClosed,
    Refused,
)
from flowbatch.model.changes import StateChanges
from flowbatch.model.ids import Instant, QueueName, ShapeId
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Ints

Lanes = dict[Lane, None]
#: Shapes that found too little room, with the copies of each that fit by row.
Rooms = dict[ShapeId, tuple[Shape, Ints]]


class Watch:
    """Lanes that wait for room for one shape. `copies` is what fitted on each row when one of them was last refused."""

    __slots__ = ("copies", "lanes", "shape", "total")

    def __init__(self, shape: Shape, copies: Ints) -> None:
        self.shape = shape
        #: Lane -> how many must fit in all; None where one more anywhere may make the difference.
        self.lanes: dict[Lane, int | None] = {}
        self.set(copies)

    def set(self, copies: Ints) -> None:
        """Exact again, from a search that has just been made."""
        self.copies = copies
        self.total = int(copies.sum())


class Parking:
    """Sleeping lanes by cure."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits
        self._queues: dict[QueueName, Lanes] = {}
        self._headroom: Lanes = {}
        self._nodes: Lanes = {}
        self._any: Lanes = {}
        self._watches: dict[ShapeId, Watch] = {}
        self._clock: list[tuple[Instant, int, Lane]] = []
        self._asks: dict[str, Lane] = {}
        self._count = 0

    def park(self, lane: Lane, blocker: Blocker, rooms: Rooms | None = None, needs: int | None = None) -> None:
        """Remember what could cure `lane`.

        `rooms` are its shapes with the copies that fit by row; `needs` is how many copies it takes in all, where that
        alone decides (one shape, nothing held).
        """
        match blocker:
            case NeedsQuota(queue=queue) | QueueClosed(queue=queue):
                self._queues.setdefault(queue, {})[lane] = None
            case NeedsHeadroom():
                self._headroom[lane] = None
            case NeedsNode() | NeedsCapacity(hopeless=True):
                self._nodes[lane] = None
            case NeedsCapacity():
                self._watch(lane, needs, rooms or {})
            case NeedsTime(until=until):
                self._count += 1
                heappush(self._clock, (until, self._count, lane))
            case NeedsAnswer(ask=ask):
                self._asks[ask] = lane
            case Refused():
                self._any[lane] = None

    def _watch(self, lane: Lane, needs: int | None, rooms: Rooms) -> None:
        for shape_id, (shape, copies) in rooms.items():
            watch = self._watches.get(shape_id)
            if watch is None:
                watch = self._watches[shape_id] = Watch(shape, copies)
            else:
                watch.set(copies)
            watch.lanes[lane] = needs

    def leave(self, lane: Lane) -> None:
        """The lane is awake, or gone."""
        for blocker in (lane.blocker, *lane.also):
            self._leave(lane, blocker)

    def _leave(self, lane: Lane, blocker: Blocker | None) -> None:
        match blocker:
            case NeedsQuota(queue=queue) | QueueClosed(queue=queue):
                self._queues.get(queue, {}).pop(lane, None)
            case NeedsCapacity(shapes=shapes):
                self._nodes.pop(lane, None)
                for shape in shapes:
                    watch = self._watches.get(shape)
                    if watch is not None and watch.lanes.pop(lane, None) is not None and not watch.lanes:
                        del self._watches[shape]
            case NeedsAnswer(ask=ask):
                self._asks.pop(ask, None)
            case _:
                self._headroom.pop(lane, None)
                self._nodes.pop(lane, None)
                self._any.pop(lane, None)

    def woken(self, changes: StateChanges, now: Instant) -> list[Lane]:
        """Lanes for which something in `changes`, or the time, may be the cure; in a fixed order, without repeats."""
        found: Lanes = {}
        if changes.total:
            for lanes in self._queues.values():
                found |= lanes
        else:
            for queue in changes.queues:
                found |= self._queues.get(queue, {})
        if changes.headroom:
            found |= self._headroom
        if changes.nodes:
            found |= self._nodes
        if changes.headroom or changes.nodes or changes.queues:
            found |= self._any
        if changes.freed and self._watches:
            self._room(changes, found)
        while self._clock and self._clock[0][0] <= now:
            _, _, lane = heappop(self._clock)
            if isinstance(lane.blocker, NeedsTime):
                found[lane] = None
        return list(found)

    def _room(self, changes: StateChanges, found: Lanes) -> None:
        """Add what fits on rows with more room than before; rows that lost some since are not counted down."""
        table = self._state.table
        rows = np.fromiter(changes.freed, np.int64, len(changes.freed))
        rows = rows[rows < table.size]
        for watch in self._watches.values():
            if watch.copies.size < table.size:
                watch.copies = np.pad(watch.copies, (0, table.size - watch.copies.size))
            now = table.copies_at(watch.shape.request, rows)
            now *= self._fits.of(watch.shape).mask[rows]
            if watch.shape.spec.ports:
                np.minimum(now, 1, out=now)
            gain = now - watch.copies[rows]
            np.maximum(gain, 0, out=gain)
            if gain.any():
                watch.copies[rows] += gain
                watch.total += int(gain.sum())
                for lane, needs in watch.lanes.items():
                    if needs is None or needs <= watch.total:
                        found[lane] = None

    def answered(self, ask: str) -> Lane | None:
        """The lane that waits for this answer."""
        return self._asks.get(ask)

    def wake_at(self) -> Instant | None:
        """When the next lane is due by the clock."""
        while self._clock and not isinstance(self._clock[0][2].blocker, NeedsTime):
            heappop(self._clock)
        return self._clock[0][0] if self._clock else None
