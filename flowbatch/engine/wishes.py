"""What a gang that waits for a window asks for, in pieces that must each be in one place.

Without topology all of it is one wish, to be had anywhere. A gang that must be close together has a plan for each
domain that would do; its sub-gangs with a domain of their own are wishes of their own, inside that one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowbatch.engine.domains import EVERYWHERE, Area
from flowbatch.engine.ground import Ground
from flowbatch.engine.standing import Demand, Part
from flowbatch.engine.teams import Team
from flowbatch.model.gangs import Gang
from flowbatch.model.resources import AMOUNT_MAX
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Ints

#: Domains that are looked at for one gang, and for one of its sub-gangs.
MOST_TRIED = 16


@dataclass(frozen=True, slots=True)
class Wish:
    """So many of each shape, all on rows of one of `places`; anywhere, where none is named."""

    counts: Sequence[tuple[Shape, int]]
    places: tuple[Bools, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that one gang asks for, in one way; and by row how many of each shape could ever be there."""

    wishes: Sequence[Wish]
    most: dict[Shape, Ints]


class Wishes:
    """Turns a demand into plans. Reads the state, changes nothing."""

    def __init__(self, ground: Ground) -> None:
        self._state = ground.state
        self._fits = ground.fits
        self._placement = ground.placement
        self._domains = ground.domains

    def plans(self, gang: Gang, what: Demand) -> list[Plan]:
        """One for each domain that would do, the best first; none where no domain does."""
        most = {shape: self._most(shape) for shape, _ in counts(what)}
        areas = self._domains.domains(gang)[:MOST_TRIED] if near(gang) else [EVERYWHERE]
        return [Plan(self._wishes(what, area), most) for area in areas]

    def _wishes(self, what: Demand, area: Area) -> list[Wish]:
        inside = () if area.mask is None else (area.mask,)
        apart = [team for team in what.teams if _apart(team)]
        found = [self._team(what, team, area) for team in apart]
        rest = [part for part in what.parts if part.team is None or part.team not in apart]
        return [*found, Wish(_sum(rest, what), inside)]

    def _team(self, what: Demand, team: Team, area: Area) -> Wish:
        reach = team.rule.reach
        assert reach is not None
        areas = self._domains.inner(reach, team.tasks, area)[:MOST_TRIED]
        nowhere: Bools = np.zeros(self._state.table.size, np.bool_)
        places = tuple(each.mask for each in areas if each.mask is not None) or (nowhere,)
        return Wish(_sum([part for part in what.parts if part.team is team], None), places)

    def _most(self, shape: Shape) -> Ints:
        """By row, how many could be there as far as anything but amounts goes."""
        result: Ints = np.where(self.admits(shape), AMOUNT_MAX, 0)
        if shape.spec.ports:
            result = np.minimum(result, 1)
        if shape.stake is not None:
            result = self._placement.among_others(shape, result)
        return self._state.pieces.limit(shape, result, empty=True)

    def admits(self, shape: Shape) -> Bools:
        """Rows that admit the shape now, whatever is free; others that are there now keep it from some."""
        mask: Bools = self._fits.of(shape).mask & self._state.table.open_rows()
        if self._fits.momentary:
            self._fits.close(shape, mask)
        for refused, _ in self._fits.refusals(shape, by_placement=True) if shape.stake is not None else ():
            mask = mask & ~refused
        return mask


def counts(what: Demand) -> list[tuple[Shape, int]]:
    """How many of each shape in all."""
    return _sum(what.parts, what)


def near(gang: Gang) -> bool:
    """All of it must be close together."""
    return gang.reach is not None and not gang.reach.soft


def predictable(what: Demand) -> bool:
    """What others will be there can matter to it only so far that its room can be promised.

    Not to pods that must be near others, or spread among them; nor to such as must be apart from each other in larger
    domains than nodes; nor where devices are claimed; nor to several shapes with shared devices, or cpus of their own,
    because those are not told apart.
    """
    shapes = [shape for shape, _ in counts(what)]
    if any(shape.spec.device_claims or shape.spec.near for shape in shapes):
        return False
    if any(each.hard for shape in shapes for each in shape.spec.spreads):
        return False
    if sum(bool(shape.spec.devices) or shape.spec.numa is not None for shape in shapes) > 1:
        return False
    return not any(_scattered(shape) for shape in shapes)


def _scattered(shape: Shape) -> bool:
    stake = shape.stake
    if stake is None:
        return False
    moved = dict.fromkeys(stake.moved())
    return any(tally in moved and not tally.column.single() for tally in (*stake.apart, *stake.guards()))


def _apart(team: Team) -> bool:
    return team.rule.reach is not None and not team.rule.reach.soft


def _sum(parts: Sequence[Part], what: Demand | None) -> list[tuple[Shape, int]]:
    found: dict[Shape, int] = {}
    for part in parts:
        if part.must:
            found[part.shape] = found.get(part.shape, 0) + part.must
    for role, count in what.reserve if what is not None else ():
        if role.shape is not None:
            found[role.shape] = found.get(role.shape, 0) + count
    return list(found.items())
