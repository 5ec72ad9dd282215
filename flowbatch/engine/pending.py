"""Gangs that may be tried, in order: a heap of gangs per queue, with equal gangs in one lane.

Gangs of a lane ask for the same, so when one is refused the lane falls asleep and the others are not even tried; when
something wakes the lane, only its first gang comes back, and the next one only after that was placed. A thousand equal
hopeless gangs cost what one costs. Where room may do for one of many lanes, they only *hope*: they stay asleep until
one of them has its turn, and what it takes ends the hope of others.

Removal is lazy: every entry carries a ticket, and only the gang's last ticket is valid.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from flowbatch.engine.standing import Demand, LaneKey
from flowbatch.model.blockers import Blocker
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, QueueName
from flowbatch.policy.contract import Key


@dataclass(slots=True, eq=False)
class Lane:
    """Equal gangs of one queue. Asleep while `blocker` is set; then all of them wait for the same cure."""

    key: LaneKey
    blocker: Blocker | None = None
    #: Further reasons that may be cured on their own.
    also: tuple[Blocker, ...] = ()
    waiting: "list[tuple[Key, int, Entry]]" = field(default_factory=list)
    members: "dict[GangId, Entry]" = field(default_factory=dict)
    #: In a fifo lane: who was refused last, or stands there alone. All others are behind it.
    head: "Entry | None" = None
    #: Asleep still, but there may be room now: whoever has its turn first takes it, and then there may be none.
    hope: bool = False

    def best(self) -> "Entry | None":
        """The first of those that lie down."""
        while self.waiting:
            _, ticket, entry = self.waiting[0]
            if entry.ticket == ticket:
                return entry
            heappop(self.waiting)
        return None


@dataclass(slots=True, eq=False)
class Entry:
    """One gang in the line, with what it asks for."""

    gang: Gang
    lane: Lane
    key: Key
    ticket: int
    demand: Demand | None


Line = list[tuple[Key, int, Entry]]


class Pending:
    """All gangs of one stage ("enqueue" or "place")."""

    def __init__(self) -> None:
        self._lines: dict[QueueName, Line] = {}
        self._lanes: dict[LaneKey, Lane] = {}
        self._entries: dict[GangId, Entry] = {}
        self._tickets = 0
        #: The first gangs of hopeful lanes.
        self._hopes: dict[QueueName, Line] = {}

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
        self._push(lane.waiting if lane.blocker else self._line(lane), entry)
        if lane.hope:
            self._push(self._hopes.setdefault(lane.key.queue, []), entry)
        return entry

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
            if not lane.blocker:
                self._advance(lane)
            return None
        del self._lanes[lane.key]
        return lane

    @property
    def crowded(self) -> bool:
        """Somebody is here, tried or asleep."""
        return bool(self._entries)

    def queues(self) -> list[QueueName]:
        """Queues with somebody to try."""
        return [name for name in list(self._lines | self._hopes) if self.head(name) is not None]

    def head(self, queue: QueueName) -> Entry | None:
        """Who is next in `queue`: awake, or in a lane that may hope."""
        first = self._first_awake(queue)
        hopeful = self._first_hopeful(queue) if self._hopes else None
        if hopeful is not None and (first is None or (hopeful.key, hopeful.ticket) < (first.key, first.ticket)):
            return hopeful
        return first

    def _first_hopeful(self, queue: QueueName) -> Entry | None:
        line = self._hopes.get(queue)
        while line:
            _, ticket, entry = line[0]
            lane = entry.lane
            if entry.ticket == ticket and lane.hope:
                return entry
            heappop(line)
            following = lane.best() if lane.hope else None
            if following is not None:
                self._push(line, following)
        self._hopes.pop(queue, None)
        return None

    def hope(self, lane: Lane) -> None:
        """There may be room for the sleeping lane's first gang."""
        first = lane.best()
        if not lane.hope and lane.blocker is not None and first is not None:
            lane.hope = True
            self._push(self._hopes.setdefault(lane.key.queue, []), first)

    def _first_awake(self, queue: QueueName) -> Entry | None:
        """Members of sleeping lanes that are still in line lie down on the way."""
        line = self._lines.get(queue)
        while line:
            _, ticket, entry = line[0]
            if entry.ticket == ticket:
                if entry.lane.blocker is None:
                    return entry
                self._push(entry.lane.waiting, entry)
            heappop(line)
        self._lines.pop(queue, None)
        return None

    def sleep(self, lane: Lane, blocker: Blocker, also: tuple[Blocker, ...] = ()) -> None:
        """All of the lane's gangs wait for the cure of `blocker`, or of one of the others."""
        lane.blocker = blocker
        lane.also = also
        lane.hope = False

    def wake(self, lane: Lane) -> None:
        """The cure may have come: the lane's first gang is tried."""
        lane.hope = False
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

    def alone(self, queue: QueueName) -> bool:
        """At most one gang stands in all lines: the one of `queue`."""
        if self._hopes and any(self._first_hopeful(name) is not None for name in list(self._hopes)):
            return False
        lines = [name for name in self.queues() if name != queue]
        line = self._lines.get(queue, [])
        return not lines and sum(entry.ticket == ticket for _, ticket, entry in line[:8]) <= 1 and len(line) < 8
