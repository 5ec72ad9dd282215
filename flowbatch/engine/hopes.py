"""Sleeping lanes that may go on without having been told: in line by their first gangs, and asked in that order.

Where room comes that would do for one of many lanes, nothing is done to any of them. Whoever has the first turn is
looked for among those who sleep, takes the room, and the others have slept on. So an event costs what its one gang
costs, however many wait for it.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Protocol

from flowbatch.engine.counters import Counters
from flowbatch.engine.lanes import Entry, Lane, Lanes, Turn
from flowbatch.model.ids import QueueName

Where = tuple[str, QueueName]
#: So few lanes are looked at one by one; of more, those that come first.
FEW = 16


class Cause(Protocol):
    """Something that many lanes wait for, and that may be there for some of them at once."""

    @property
    def open(self) -> bool:
        """It is there for somebody, perhaps."""
        ...

    def hopes(self, lane: Lane) -> bool:
        """It is there for this lane, which has not been refused since."""
        ...

    def few(self) -> Sequence[Lane] | None:
        """The lanes that it may be there for, and perhaps others; None if they are many."""
        ...

    def close(self) -> None:
        """Nobody is left who may hope."""
        ...


class Hopes:
    """Lanes of all queues that sleep for one cause."""

    def __init__(self, cause: Cause, counters: Counters) -> None:
        self._cause = cause
        self._counters = counters
        #: Sorted, for a binary search: lanes come and go one at a time.
        self._lines: dict[Where, list[Turn]] = {}
        #: Where each lane stands; None while none of its gangs has lain down yet.
        self._turns: dict[Lane, Turn | None] = {}
        self._upright: Lanes = {}
        #: Lines in which somebody may still hope.
        self._sought: dict[Where, None] = {}

    def add(self, lane: Lane) -> None:
        """The lane sleeps from now on."""
        if lane not in self._turns:
            self._turns[lane] = None
            self._upright[lane] = None
            self.shift(lane)

    def remove(self, lane: Lane) -> None:
        """The lane is awake, or gone."""
        if lane in self._turns:
            self._step_out(lane)
            del self._turns[lane]
            self._upright.pop(lane, None)

    def shift(self, lane: Lane) -> None:
        """Another of its gangs may be the first now."""
        if lane not in self._turns:
            return
        turn = lane.first()
        if turn is not self._turns[lane]:
            self._step_out(lane)
            self._turns[lane] = turn
            if turn is None:
                self._upright[lane] = None
                return
            self._upright.pop(lane, None)
            where = (lane.key.stage, lane.key.queue)
            insort(self._lines.setdefault(where, []), turn)
            if self._cause.open:
                self._sought[where] = None

    def _step_out(self, lane: Lane) -> None:
        turn, where = self._turns[lane], (lane.key.stage, lane.key.queue)
        if turn is not None:
            line = self._lines[where]
            del line[bisect_left(line, turn)]
            if not line:
                del self._lines[where]

    def seek(self) -> None:
        """The cause has come: somebody may hope in any line."""
        if self._cause.open:
            self._sought = dict.fromkeys(self._lines)

    def queues(self, stage: str) -> list[QueueName]:
        """Where somebody may hope."""
        return [queue for its_stage, queue in self._sought if its_stage == stage] if self._cause.open else []

    def first(self, stage: str, queue: QueueName) -> Entry | None:
        """The first gang of all that may hope in one queue."""
        where = (stage, queue)
        if not self._cause.open or where not in self._sought:
            return None
        for _, _, entry in self._candidates(where):
            self._counters.lanes_asked += 1
            if self._cause.hopes(entry.lane):
                return entry
        del self._sought[where]
        if not self._sought and not self._upright:
            self._cause.close()
        return None

    def others(self, stage: str, lane: Lane) -> bool:
        """Somebody may hope who is not in `lane`."""
        if not self._cause.open:
            return False
        turns = (turn for where in self._sought if where[0] == stage for turn in self._candidates(where))
        return any(entry.lane is not lane and self._cause.hopes(entry.lane) for _, _, entry in turns)

    def _candidates(self, where: Where) -> Sequence[Turn]:
        few = self._cause.few()
        if few is None:
            return self._lines.get(where, ())
        here = (self._turns.get(lane) for lane in few if (lane.key.stage, lane.key.queue) == where)
        return sorted(turn for turn in here if turn is not None)
