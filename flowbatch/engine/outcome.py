"""What came of an attempt to place a gang."""

from dataclasses import dataclass, field

from flowbatch.engine.room import Near, Rooms
from flowbatch.model.blockers import Blocker
from flowbatch.model.gangs import Task
from flowbatch.model.inquiry import Inquiry
from flowbatch.model.nodes import Node

Placed = list[tuple[Task, Node]]
#: Which of the policy's confirmations asks, and what.
Found = tuple[int, str | Inquiry]


@dataclass(slots=True)
class Outcome:
    """What came of an attempt. `blocker` is set where something is still to be placed and cannot be."""

    placed: Placed = field(default_factory=list)
    #: The minimum is met and room is held for members to come, even if nobody had to be placed for it.
    settled: bool = False
    blocker: Blocker | None = None
    #: Further reasons, each of which may be cured on its own.
    also: list[Blocker] = field(default_factory=list)
    #: What the shapes of a NeedsCapacity found, and how many copies would do (None: one more may make the difference).
    rooms: Rooms = field(default_factory=dict)
    needs: int | Near | None = None
    #: The question that must be answered before the orders go out.
    question: Found | None = None
