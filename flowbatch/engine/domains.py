"""Where in the network a gang may go: areas with room for all of it, the tightest first, and neighbours inside them.

An area is one HyperNode, or the whole cluster where closeness is only a wish. Room per domain is the room per node,
summed up for all domains in one pass, so that looking at two hundred domains costs what looking at one does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowbatch.engine.guard import Guard
from flowbatch.engine.placement import Placement, Room, copies_empty
from flowbatch.model.blockers import NeedsTopology
from flowbatch.model.domainindex import NOBODY, level_of
from flowbatch.model.facts import Reach
from flowbatch.model.gangs import PLACED, Gang, Task
from flowbatch.model.ids import HyperNodeName
from flowbatch.model.resources import Sums, add
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Ints
from flowbatch.model.view import View
from flowbatch.policy.contract import DomainAsk, DomainOrder
from flowbatch.policy.policy import Policy

#: Areas that are tried one after the other for one gang; only gangs whose shapes compete ever need a second.
MOST_TRIED = 64
NO_ROWS: Ints = np.zeros(0, np.int64)


@dataclass(slots=True, eq=False)
class Area:
    """Part of the cluster: the rows of `mask` (None: all), which are those of the domain at `place` in the index."""

    place: int | None = None
    mask: Bools | None = None
    #: Neighbouring members shall come to neighbouring rows.
    near: bool = False


#: Without a wish to be close.
EVERYWHERE = Area()


@dataclass(slots=True)
class Asked:
    """Members to place together: how many of each shape, where others of them are, and where they would like to be."""

    reach: Reach
    counts: dict[Shape, int]
    #: Rows that members run on: every area holds all of them.
    anchor: Ints = field(default_factory=lambda: NO_ROWS)
    #: Rows, or a HyperNode, that the gang had before; only a wish.
    kept: Ints = field(default_factory=lambda: NO_ROWS)
    home: HyperNodeName | None = None
    #: Inside this area only.
    inside: Area = EVERYWHERE


class Domains:
    """Searches areas. Reads the state, changes nothing."""

    def __init__(self, state: ClusterState, view: View, policy: Policy, guard: Guard, placement: Placement) -> None:
        self._state = state
        self._view = view
        self._policy = policy
        self._guard = guard
        self._placement = placement

    # -- which areas

    def admissible(self, asked: Asked) -> Bools:
        """Domains that may hold them as far as closeness goes, whatever is free."""
        index, size = self._state.topology.index, self._state.table.size
        allowed = index.within(asked.reach)
        if asked.inside.place is not None:
            allowed = allowed & index.inside(asked.inside.place, size)
        if asked.anchor.size:
            allowed = allowed & index.holding(asked.anchor, size)
        return allowed

    def areas(self, asked: Asked) -> Iterator[Area]:
        """Areas with room for every shape by itself, tightest first; a soft wish ends in the area around them all."""
        index = self._state.topology.index
        allowed = self.admissible(asked)
        slack: Ints | None = None
        for shape, count in asked.counts.items():
            left = index.sums(self._placement.reach(shape, asked.inside.mask)) - count
            slack = left if slack is None else np.minimum(slack, left)
        assert slack is not None, "nothing is asked for"
        found = self._sorted(asked, np.flatnonzero(allowed & (slack >= 0)), slack)
        yield from map(self._area, islice(found, MOST_TRIED))
        if asked.reach.soft:
            yield Area(asked.inside.place, asked.inside.mask, near=True)

    def domains(self, gang: Gang) -> list[Area]:
        """Every area that `gang` may be in, however full: where an eviction would have to make room.

        Low tiers come first, and of one tier where least is missing.
        """
        if gang.reach is None:
            return [EVERYWHERE]
        index = self._state.topology.index
        asked = Asked(gang.reach, {}, placed_rows(gang.tasks.values()))
        places = np.flatnonzero(self.admissible(asked))
        for task in gang.pending.values():
            asked.counts[task.shape] = asked.counts.get(task.shape, 0) + 1
        order = np.lexsort([places, -self._fitting(asked)[places], index.tiers[places]])
        areas = [self._area(place) for place in places[order].tolist()]
        return [*areas, Area(near=True)] if gang.reach.soft else areas

    def _fitting(self, asked: Asked) -> Ints:
        """By domain, how many of those asked for would find room now, each shape by itself."""
        index = self._state.topology.index
        fits: Ints = np.zeros(len(index), np.int64)
        for shape, count in asked.counts.items():
            fits += np.minimum(index.sums(self._placement.reach(shape, asked.inside.mask)), count)
        return fits

    def inner(self, reach: Reach, tasks: Iterable[Task], inside: Area) -> list[Area]:
        """Every area inside another one that `tasks` may be in together, tightest first, however full."""
        asked = Asked(reach, {}, placed_rows(tasks), inside=inside)
        places = np.flatnonzero(self.admissible(asked))
        tiers = self._state.topology.index.tiers[places]
        return [self._area(place) for place in places[np.argsort(tiers, kind="stable")].tolist()]

    def widest(self, asked: Asked) -> Area | None:
        """Where members that go in one by one may go: the tightest area for all of them, or else the roomiest."""
        if asked.reach.soft:
            return Area(asked.inside.place, asked.inside.mask, near=True)
        tightest = next(self.areas(asked), None)
        if tightest is not None:
            return tightest
        allowed = np.flatnonzero(self.admissible(asked))
        if not allowed.size:
            return None
        return self._area(int(allowed[np.argmax(self._fitting(asked)[allowed])]))

    def distance(self, asked: Asked, masks: dict[Shape, Bools]) -> NeedsTopology:
        """How far the best admissible domain is from holding them all; `masks` are the nodes that admit each shape."""
        index = self._state.topology.index
        allowed = np.flatnonzero(self.admissible(asked))
        shapes, needs = tuple(shape.id for shape in asked.counts), sum(asked.counts.values())
        limit = words_of(asked.reach)
        if not allowed.size:
            return NeedsTopology(shapes, limit, 0, needs, hopeless=True)
        fits, most = self._fitting(asked), np.zeros(len(index), np.int64)
        for shape, count in asked.counts.items():
            most += np.minimum(index.sums(copies_empty(self._state, masks[shape], shape)), count)
        best = int(allowed[np.argmax(fits[allowed])])
        domain = index.domains[best]
        largest = int(most[allowed].max())
        fitting = min(int(fits[best]), needs - 1)
        return NeedsTopology(shapes, limit, fitting, needs, domain.name, domain.tier, largest, hopeless=largest < needs)

    def _area(self, place: int) -> Area:
        return Area(place, self._state.topology.index.mask(place, self._state.table.size), near=True)

    def _sorted(self, asked: Asked, places: Ints, slack: Ints) -> Iterator[int]:
        """The old home first, then low tiers, then as the policy says, then by name; asked only where it matters."""
        if not places.size:
            return
        sums: Sums = {}
        for shape, count in asked.counts.items():
            add(sums, shape.request, count)
        ranks = list(self._ranks(asked, DomainAsk(sums, slack)))
        best = places
        for rank in ranks:
            if best.size > 1:
                values = rank()[best]
                best = best[values == values.min()]
        first = int(best[0])
        yield first
        keys: list[NDArray[Any]] = [rank()[places] for rank in ranks]
        for place in places[np.lexsort([places, *reversed(keys)])].tolist():
            if place != first:
                yield place

    def _ranks(self, asked: Asked, ask: DomainAsk) -> Iterator[Callable[[], NDArray[Any]]]:
        """By what areas are sorted, the most important first; smaller comes first."""
        index = self._state.topology.index
        yield lambda: ~self._wished(asked)
        yield lambda: index.tiers
        for order in self._policy.domain_order:
            yield partial(self._rank, order, ask)

    def _rank(self, order: DomainOrder, ask: DomainAsk) -> NDArray[Any]:
        nothing: NDArray[Any] = np.zeros(len(self._state.topology.index))
        return self._guard.call(order, order.rank, nothing, ask, self._view)

    def _wished(self, asked: Asked) -> Bools:
        """Domains that are, or lie in, what the gang had before."""
        index, size = self._state.topology.index, self._state.table.size
        home = index.at.get(asked.home) if asked.home else None
        if asked.anchor.size:
            return np.zeros(len(index), np.bool_)
        if asked.kept.size:
            return index.holding(asked.kept, size)
        return np.zeros(len(index), np.bool_) if home is None else index.inside(home, size)

    # -- which rows

    def choose(self, shape: Shape, count: int, room: Room, area: Area, beside: Ints) -> tuple[Ints, Ints]:
        """Rows for `count` of `shape`: in few, neighbouring domains, first in those of `beside`; in walking order."""
        index = self._state.topology.index
        if not area.near or not len(index):
            return self._placement.choose(shape, count, room)
        lowest = None if area.place is None else int(index.tiers[area.place])
        levels = [level for tier, level in index.levels if lowest is None or tier < lowest]
        chosen: list[tuple[Ints, Ints]] = []
        self._descend(shape, count, room, levels, beside, chosen)
        rows = np.concatenate([rows for rows, _ in chosen])
        counts = np.concatenate([counts for _, counts in chosen])
        walk = index.order(rows)
        return rows[walk], counts[walk]

    def _descend(
        self,
        shape: Shape,
        count: int,
        room: Room,
        levels: Sequence[Ints],
        beside: Ints,
        chosen: list[tuple[Ints, Ints]],
    ) -> None:
        """Fill as few groups of the next level as will do, the last as tightly as can be. No deeper than the tree."""
        if not levels:
            chosen.append(self._placement.choose(shape, count, room))
            return
        group = level_of(levels[0], room.rows)
        names, which = np.unique(group, return_inverse=True)
        if names.size == 1:
            self._descend(shape, count, room, levels[1:], beside, chosen)
            return
        space = np.bincount(which, room.copies, names.size).astype(np.int64)
        friends = np.bincount(
            np.searchsorted(names, known) if (known := _among(level_of(levels[0], beside), names)).size else known,
            minlength=names.size,
        )
        while count:
            best = _best_group(names, space, friends, count)
            some = min(count, int(space[best]))
            self._descend(shape, some, room.only(which == best), levels[1:], beside, chosen)
            count -= some
            space[best] = 0


def _among(groups: Ints, names: Ints) -> Ints:
    return groups[np.isin(groups, names)]


def _best_group(names: Ints, space: Ints, friends: Ints, count: int) -> int:
    """One that holds all of `count`, as tightly as can be, or else the roomiest; friends come first, strangers last."""
    enough = space >= count
    wish = np.where(enough, space, -space)
    keys = (names, wish, -friends, names >= NOBODY, ~enough, space == 0)
    return int(np.lexsort(keys)[0])


def words_of(reach: Reach) -> str:
    """How close, for people."""
    if reach.name:
        return f'inside one HyperNode of tier "{reach.name}"'
    return "inside one HyperNode" if reach.highest is None else f"inside one HyperNode of tier {reach.highest} or lower"


def placed_rows(tasks: Iterable[Task]) -> Ints:
    """Rows of nodes, known to us, on which `tasks` have their place."""
    rows = {
        task.node.row: None
        for task in tasks
        if task.node is not None and task.state in PLACED and task.node.fact is not None
    }
    return np.fromiter(rows, np.int64, len(rows))
