"""Gangs that may be tried, in order: a heap of gangs per queue, with equal gangs in one lane.

Gangs of a lane ask for the same, so when one is refused the lane falls asleep and the others are not even tried; when
something wakes the lane, only its first gang comes back, and the next one only after that was placed. A thousand equal
hopeless gangs cost what one costs. Where there may be room for one of many lanes, none of them is woken: the first that
may hope has its turn among those who are awake.

Removal is lazy: every entry carries a ticket, and only the gang's last ticket is valid.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

from flowbatch.engine.hopes import Hopes
from flowbatch.engine.lanes import Entry, Lane, Turn
from flowbatch.engine.standing import Demand, LaneKey
from flowbatch.model.blockers import Blocker
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, QueueName
from flowbatch.policy.contract import Key

Line = list[Turn]


class Pending:
    """All gangs of one stage ("enqueue" or "place")."""

    def __init__(self, stage: str, hopes: Sequence[Hopes]) -> None:
        self._stage = stage
        self._hopes = hopes
        self._lines: dict[QueueName, Line] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        self._entries: dict[GangId, Entry] = {}
        self._tickets = 0

    def __contains__(self, gang: GangId) -> bool:
        return gang in self._entries

    def entry(self, gang: GangId) -> Entry | None:
        """The gang's entry, tried or asleep."""
        return self._entries.get(gang)

    def entries(self) -> list[Entry]:
        """Every gang of the stage, in no particular order of turn."""
        return list(self._entries.values())

    def lanes(self) -> list[Lane]:
        """Every lane, oldest first."""
        return list(self._lanes.values())

    def put(self, gang: Gang, lane_key: LaneKey, key: Key, demand: Demand | None) -> Entry:
        """Line a gang up, or let it sleep with its lane."""
        self.remove(gang.id)
        lane = self._lanes.get(lane_key)
        if lane is None:
            lane = self._lanes[lane_key] = Lane(lane_key)
        self._tickets += 1
        entry = self._entries[gang.id] = Entry(gang, lane, key, self._tickets, demand)
        lane.members[gang.id] = entry
        if lane.blocker is not None:
            self._lie_down(entry)
        else:
            self._push(self._line(lane), entry)
        return entry

    def _lie_down(self, entry: Entry) -> None:
        self._push(entry.lane.waiting, entry)
        self._shift(entry.lane)

    def _shift(self, lane: Lane) -> None:
        for hopes in self._hopes:
            hopes.shift(lane)

    def _line(self, lane: Lane) -> Line:
        return self._lines.setdefault(lane.key.queue, [])

    @staticmethod
    def _push(line: Line, entry: Entry) -> None:
        heappush(line, (entry.key, entry.ticket, entry))

    def remove(self, gang: GangId) -> Lane | None:
        """Take a gang out; returns its lane if that is now empty and gone."""
        entry = self._entries.pop(gang, None)
        if entry is None:
            return None
        lane = entry.lane
        entry.ticket = -1
        del lane.members[gang]
        if lane.members:
            if lane.blocker is None:
                self._advance(lane)
            else:
                self._shift(lane)
            return None
        del self._lanes[lane.key]
        return lane

    @property
    def crowded(self) -> bool:
        """Somebody is here, tried or asleep."""
        return bool(self._entries)

    def queues(self) -> list[QueueName]:
        """Queues with somebody to try."""
        names = dict.fromkeys([*self._lines, *(name for hopes in self._hopes for name in hopes.queues(self._stage))])
        return [name for name in names if self.head(name) is not None]

    def head(self, queue: QueueName) -> Entry | None:
        """Who is next in `queue`: awake, or in a lane that may hope."""
        first = self._first_awake(queue)
        for hopes in self._hopes:
            hopeful = hopes.first(self._stage, queue)
            if hopeful is not None and (first is None or (hopeful.key, hopeful.ticket) < (first.key, first.ticket)):
                first = hopeful
        return first

    def _first_awake(self, queue: QueueName) -> Entry | None:
        """Members of sleeping lanes that are still in line lie down on the way."""
        line = self._lines.get(queue)
        while line:
            _, ticket, entry = line[0]
            if entry.ticket == ticket:
                if entry.lane.blocker is None:
                    return entry
                self._lie_down(entry)
            heappop(line)
        self._lines.pop(queue, None)
        return None

    def sleep(self, lane: Lane, blocker: Blocker, also: tuple[Blocker, ...] = ()) -> None:
        """All of the lane's gangs wait for the cure of `blocker`, or of one of the others."""
        lane.blocker = blocker
        lane.also = also

    def wake(self, lane: Lane) -> None:
        """The cure may have come: the lane's first gang is tried."""
        if lane.blocker is not None:
            lane.blocker, lane.also = None, ()
            self._advance(lane)

    def _advance(self, lane: Lane) -> None:
        """Let the best of those still lying down stand in line."""
        waiting = lane.waiting
        while waiting:
            _, ticket, entry = heappop(waiting)
            if entry.ticket == ticket:
                self._push(self._line(lane), entry)
                return

    def alone(self, entry: Entry) -> bool:
        """Nobody else stands in any line, or may hope."""
        queue = entry.lane.key.queue
        if any(hopes.others(self._stage, entry.lane) for hopes in self._hopes):
            return False
        if any(self._first_awake(name) is not None for name in list(self._lines) if name != queue):
            return False
        line = self._lines.get(queue, [])
        return len(line) < 8 and not any(each.ticket == ticket and each is not entry for _, ticket, each in line)
