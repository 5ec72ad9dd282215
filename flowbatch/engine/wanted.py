"""What a search for victims is to find a place for, and what it has found."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flowbatch.engine.costs import Cost
from flowbatch.engine.standing import Demand
from flowbatch.engine.teams import Team
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.ids import Row
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints


@dataclass(slots=True)
class Want:
    """Members of one task and shape that need a place."""

    role: str
    shape: Shape
    count: int
    #: Those that have pods, first the ones that may not evict.
    tasks: list[Task] = field(default_factory=list)
    #: How many of them must find room without evicting.
    meek: int = 0
    #: The sub-gang that must stay together in a domain of its own.
    team: Team | None = None
    places: dict[int, int] = field(default_factory=dict)


def wants(demand: Demand) -> list[Want]:
    """What the gang's minimum needs; of one that has it, the member that comes first."""
    if demand.surplus:
        part = demand.parts[0]
        return [Want(part.role.name, part.shape, 1, part.tasks[:1], int(not part.tasks[0].fact.preempts))]
    found: list[Want] = []
    for part in demand.parts:
        if part.must:
            tasks = sorted(part.tasks[: part.must], key=lambda task: task.fact.preempts)
            meek = sum(not task.fact.preempts for task in tasks)
            apart = part.team is not None and part.team.rule.reach is not None and not part.team.rule.reach.soft
            team = part.team if apart else None
            found.append(Want(part.role.name, part.shape, part.must, tasks, meek, team))
    found.extend(Want(role.name, role.shape, count) for role, count in demand.reserve if role.shape is not None)
    return found


@dataclass(slots=True)
class Found:
    """What a search came to: what it costs, who goes, and where those that are wanted find their place."""

    cost: Cost
    victims: list[Task]
    wants: list[Want]
    #: Gangs of several pods that go whole.
    broken: list[Gang] = field(default_factory=list)
    #: Of those who go, the ones who move, and where to.
    berths: list[tuple[Task, Row]] = field(default_factory=list)

    @property
    def claims(self) -> tuple[Reservation, ...]:
        """The places, as room to be kept."""
        return tuple(
            Reservation(want.role, want.shape, _ints(want.places), _ints(want.places.values())) for want in self.wants
        )

    @property
    def named(self) -> list[tuple[Task, Row]]:
        """Pods with the row that each may have."""
        pairs: list[tuple[Task, Row]] = []
        for want in self.wants:
            rows = (Row(row) for row, count in want.places.items() for _ in range(count))
            pairs.extend(zip(want.tasks, rows, strict=False))
        return pairs


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), np.int64)
