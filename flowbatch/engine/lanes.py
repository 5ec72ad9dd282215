"""Equal gangs that wait, in one lane: what one of them is refused for, the others would be as well."""

from dataclasses import dataclass, field
from heapq import heappop

from flowbatch.engine.standing import Demand, LaneKey
from flowbatch.model.blockers import Blocker
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId
from flowbatch.policy.contract import Key


@dataclass(slots=True, eq=False)
class Lane:
    """Equal gangs of one queue. Asleep while `blocker` is set; then all of them wait for the same cure."""

    key: LaneKey
    blocker: Blocker | None = None
    #: Further reasons that may be cured on their own.
    also: tuple[Blocker, ...] = ()
    waiting: "list[Turn]" = field(default_factory=list)
    members: "dict[GangId, Entry]" = field(default_factory=dict)
    #: In a fifo lane: who was refused last, or stands there alone. All others are behind it.
    head: "Entry | None" = None

    def first(self) -> "Turn | None":
        """The first of those that lie down."""
        while self.waiting:
            turn = self.waiting[0]
            if turn[2].ticket == turn[1]:
                return turn
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


#: As gangs are sorted: by key, and the ticket with which they were lined up.
Turn = tuple[Key, int, Entry]
Lanes = dict[Lane, None]
