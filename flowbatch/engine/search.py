"""One search for victims: whose going would let the whole remaining minimum of a gang be placed.

Everything happens inside a Trial that is always undone. Room is what is free and what is leaving; where that does not
do, rows are taken in the order of what one more pod costs there: whole gangs broken, then priority, then pods, then who
started last. Costs are worked out again for rows that change, so a gang that goes whole pays for all of its rows. At
the end everybody is given back, in reverse, whom the placement does not need.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush

import numpy as np

from flowbatch.engine.candidates import Candidates, Unit, Way
from flowbatch.engine.costs import Cost, collide, cost_of, counts_in, relieves
from flowbatch.engine.domains import Area
from flowbatch.engine.fits import Fits
from flowbatch.engine.intheway import InTheWay
from flowbatch.engine.outlook import Outlook
from flowbatch.engine.placement import Placement
from flowbatch.engine.pricing import Pricing
from flowbatch.engine.rehousing import Rehousing
from flowbatch.engine.teams import Team
from flowbatch.engine.wanted import Found, Want
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.ids import GangId
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.resources import Sums, add
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.trial import Trial
from flowbatch.policy.contract import Ceiling

#: Rows that are tried for one member whom others keep away.
MOST_TRIED = 64
Ceilings = Callable[[Gang], Iterable[Ceiling]]


class Search:
    """Use once. `run` says who must go and what is to be claimed, or None."""

    def __init__(
        self,
        state: ClusterState,
        fits: Fits,
        placement: Placement,
        ceilings: Ceilings,
        gang: Gang,
        needs: list[Want],
        way: Way,
        area: Area,
        inner: Callable[[Team, Area], list[Area]],
        overdue: list[Task],
        moved_most: int,
    ) -> None:
        self._state = state
        self._fits = fits
        self._placement = placement
        self._ceilings = ceilings
        self._gang = gang
        self._needs = needs
        self._way = way
        self._inner = inner
        self._moved_most = moved_most
        #: Where those are to be who only move.
        self._houses: Rehousing | None = None
        self._queues = gang.queue.path if gang.queue is not None else ()
        self._trial = Trial(state)
        self._victims: list[Unit] = []
        self._outlook = Outlook(state, fits, gang, area, overdue)

    def run(self, find: Callable[[], Candidates], first: Sequence[Gang] = ()) -> Found | None:
        """`find` looks for candidates once the gang's own claims are lifted; all of each of `first` goes at once."""
        with self._trial as trial:
            trial.unreserve(self._gang)
            trial.unclaim(self._gang)
            self._outlook.look_ahead()
            pieced = any(self._state.pieces.matter(want.shape) for want in self._needs)
            if pieced or self._state.group_use is not None:
                trial.suppose_left(self._outlook.leaving())
            self._who = find()
            by_row = self._who.by_row
            self._way_in = InTheWay(self._state, by_row)
            self._pricing = Pricing(self._state, self._outlook, by_row)
            if self._way.moves:
                self._houses = Rehousing(self._state, self._fits, self._outlook, trial, by_row, self._moved_most)
            for gang in first:
                unit = self._who.whole(gang)
                if unit is None or not self._evict(unit):
                    return None
            if not self._place_all():
                return None
            if not self._cure_limits():
                return None
            self._give_back()
            return self._found()

    def _place_all(self) -> bool:
        """Sub-gangs with a domain of their own first, then what is hardest to place."""
        teams = {id(want.team): want.team for want in self._needs if want.team is not None}
        for team in teams.values():
            if not self._place_team(team, [want for want in self._needs if want.team is team]):
                return False
        rest = [want for want in self._needs if want.team is None]
        return all(
            self._place(want) for want in sorted(rest, key=lambda want: int(self._outlook.copies(want.shape).sum()))
        )

    def _place_team(self, team: Team, needs: list[Want]) -> bool:
        """All of it in one domain that is close enough for it."""
        outlook, outer = self._outlook, self._outlook.area
        for area in self._inner(team, outer):
            before, mark = len(self._victims), self._trial.mark()
            future = {axis: column.copy() for axis, column in outlook.future.items()}
            ported = dict(outlook.ported)
            outlook.area = area
            placed = all(self._place(want) for want in needs)
            outlook.area = outer
            if placed:
                return True
            self._undo(before, mark)
            outlook.future, outlook.ported = future, ported
            for want in needs:
                want.places.clear()
        return False

    def _found(self) -> Found:
        broken = [unit.tasks[0].gang for unit in self._victims if unit.whole and len(unit.tasks) > 1]
        victims = [task for unit in self._victims for task in unit.tasks]
        berths = list(self._houses.berths.items()) if self._houses is not None else []
        return Found(cost_of(self._victims, 0), victims, self._needs, [each for each in broken if each], berths)

    # -- what queues may hold

    def _asked(self) -> Sums:
        asked: Sums = {}
        for want in self._needs:
            add(asked, want.shape.request, want.count)
        return asked

    def _shortages(self) -> list[tuple[Ceiling, Sums]]:
        """Limits that are exceeded even when all that leaves has left."""
        asked = self._asked()
        found: list[tuple[Ceiling, Sums]] = []
        for ceiling in self._ceilings(self._gang):
            rest = {axis: held - ceiling.leaving.get(axis, 0) for axis, held in ceiling.held.items()}
            if ceiling.first_gang_may_exceed and all(rest.get(axis, 0) <= asked.get(axis, 0) for axis in rest):
                continue
            most = ceiling.most
            short = {axis: rest[axis] - most[axis] for axis in asked if axis in most and rest.get(axis, 0) > most[axis]}
            if short:
                found.append((ceiling, short))
        return found

    def _cure_limits(self) -> bool:
        """Where room is found but a limit is exceeded, more of the same queue must go."""
        short = self._shortages()
        if not short or self._way.moves:
            return not short
        units = {id(unit): unit for units in self._who.by_row.values() for unit in units if unit.there}
        for unit in sorted(units.values(), key=lambda unit: unit.key):
            if not short:
                return True
            if unit.there and any(relieves(unit, ceiling, amounts) for ceiling, amounts in short):
                self._evict(unit)
                short = self._shortages()
        return not short

    def _place(self, want: Want) -> bool:
        if self._placement.social(want.shape):
            return self._place_singly(want)
        copies = self._outlook.copies(want.shape)
        rows = np.flatnonzero(copies)
        filled = np.minimum(np.cumsum(copies[rows]), want.count)
        counts = np.diff(filled, prepend=0)
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            if count:
                self._put(want, row, count)
        placed = int(filled[-1]) if filled.size else 0
        return placed == want.count or (placed >= want.meek and self._make_room(want, want.count - placed))

    def _place_singly(self, want: Want) -> bool:
        """One by one: each may open or close places for the next."""
        if not self._take_over(want):
            return False
        for placed in range(want.count):
            rows = np.flatnonzero(self._outlook.copies(want.shape))
            if rows.size:
                self._put(want, int(rows[0]), 1)
            elif placed < want.meek or not self._make_room_among(want):
                return False
        return True

    def _take_over(self, want: Want) -> bool:
        """Whoever has a claim of it for himself must go, wherever he is."""
        for claim in self._fits.held_alone(want.shape):
            users = [unit for units in self._who.by_row.values() for unit in units if _uses(unit, claim)]
            for unit in dict.fromkeys(users):
                if unit.there and self._evict(unit):
                    unit.pinned = True
        return not self._fits.held_alone(want.shape)

    def _make_room_among(self, want: Want) -> bool:
        """It is not enough that there is room: those must go, too, who keep it away by being there."""
        for row in self._rows_among(want.shape):
            before, mark = len(self._victims), self._trial.mark()
            units = self._pricing.enough(row, want.shape)
            cleared = units is not None and self._clear(row, units) is not None and self._let_in(row, want.shape)
            if cleared and self._outlook.bears(row, want.shape):
                for unit in self._victims[before:]:
                    unit.pinned = True
                self._put(want, row, 1)
                return True
            self._undo(before, mark)
        return False

    def _rows_among(self, shape: Shape) -> list[int]:
        """Rows for one more, by what it costs that nobody keeps it away from there."""
        mask = self._outlook.mask(shape, social=False)
        rows = dict.fromkeys(row for row in self._who.by_row if mask[row])
        rows |= dict.fromkeys(self._way_in.rows(shape, self._outlook.roomy(shape, mask)))
        offers: list[tuple[Cost, int]] = []
        for row in rows:
            units, others = self._pricing.enough(row, shape), self._way_in.of(row, shape)
            if units is not None and others is not None:
                everybody = list(dict.fromkeys([*units, *others]))
                offers.append((self._pricing.price(everybody, row, shape, 1), row))
        return [row for _, row in sorted(offers)[:MOST_TRIED]]

    def _let_in(self, row: int, shape: Shape) -> bool:
        """Nobody keeps the shape out of `row`, once all in its way have gone, or one more, or as many as it takes."""
        if self._outlook.mask(shape)[row]:
            return True
        if not all(self._evict(unit) for unit in self._way_in.of(row, shape) or () if unit.there):
            return False
        if self._outlook.mask(shape)[row]:
            return True
        for alone in (True, False):
            for unit in list(self._who.by_row.get(row, ())):
                before, mark = len(self._victims), self._trial.mark()
                if unit.there and self._evict(unit):
                    if self._outlook.mask(shape)[row]:
                        return True
                    if alone:
                        self._undo(before, mark)
        return False

    def _undo(self, before: int, mark: int) -> None:
        """All that were told to go since then stay."""
        for gone in self._victims[before:]:
            self._return(gone)
        del self._victims[before:]
        self._trial.undo(mark)

    def _put(self, want: Want, row: int, count: int) -> None:
        """Give `count` members a place on `row`."""
        done = sum(want.places.values())
        want.places[row] = want.places.get(row, 0) + count
        where, counts = np.array([row]), np.array([count])
        if want.tasks:
            self._trial.place(self._gang, want.shape, want.tasks[done : done + count], where, counts)
        else:
            self._trial.reserve(self._gang, Reservation(want.role, want.shape, where, counts))
        self._outlook.take(want.shape, row, count)

    def _make_room(self, want: Want, count: int) -> bool:
        mask = self._outlook.mask(want.shape)
        offers = [
            (cost, row)
            for row in self._who.by_row
            if mask[row] and (cost := self._pricing.cost(row, want.shape, count)) is not None
        ]
        heapify(offers)
        while count and offers:
            cost, row = heappop(offers)
            units = self._pricing.enough(row, want.shape)
            now = None if units is None else self._pricing.price(units, row, want.shape, count)
            if now == cost and units is not None:
                before, mark = len(self._victims), self._trial.mark()
                touched = self._clear(row, units)
                if touched is not None and not self._outlook.bears(row, want.shape):
                    # Whoever went: no more of them may be there.
                    self._undo(before, mark)
                    continue
                if touched is not None:
                    self._put(want, row, 1)
                    count -= 1
                    for other in touched:
                        if (
                            other != row
                            and mask[other]
                            and (cheap := self._pricing.cost(other, want.shape, count)) is not None
                        ):
                            heappush(offers, (cheap, other))
                now = self._pricing.cost(row, want.shape, count)
            if now is not None:
                heappush(offers, (now, row))
        return not count

    # -- going

    def _clear(self, row: int, units: Sequence[Unit]) -> list[int] | None:
        """Tell all of `units` to go; None, and nobody goes, if one of them objects. Else rows that have more room."""
        before, mark = len(self._victims), self._trial.mark()
        touched: dict[int, None] = {}
        for unit in units:
            if not self._evict(unit):
                self._undo(before, mark)
                return None
            touched |= dict.fromkeys(unit.gives)
        return list(touched)

    def _evict(self, unit: Unit) -> bool:
        """Tell one unit to go, unless it must stay after all; then it is struck off."""
        reason, mark = self._who.objection(unit), self._trial.mark()
        # Of these, objections speak for the gang only.
        together = unit.whole or len(unit.tasks) > 1
        if reason is None and len(unit.tasks) > 1 and any(task.state is TaskState.RELEASING for task in unit.tasks):
            self._who.rebuild(unit)
            return False
        if reason is None:
            for task in unit.tasks:
                reason = self._who.objects_now(task) if together else None
                if reason is not None:
                    self._trial.undo(mark)
                    break
                self._trial.evict(task)
        if reason is not None:
            self._strike(unit, reason)
            return False
        unit.going = True
        self._victims.append(unit)
        self._outlook.give(unit)
        reason = self._houses.find(unit) if self._houses is not None else None
        if reason is not None:
            self._undo(len(self._victims) - 1, mark)
            self._strike(unit, reason)
        return reason is None

    def _strike(self, unit: Unit, reason: str) -> None:
        for row in unit.gives:
            units = self._who.by_row.get(row, [])
            if unit in units:
                units.remove(unit)
        gang = unit.tasks[0].gang
        whole = None if unit.whole else self._who.whole(gang)
        if whole is not None and not whole.going:
            for row in unit.gives:
                self._who.add(row, whole)
        else:
            self._who.note(reason)

    def _return(self, unit: Unit) -> None:
        unit.going = False
        self._outlook.give(unit, -1)
        if self._houses is not None:
            self._houses.back(unit)

    def _give_back(self) -> None:
        """In reverse: whoever fits where he is, beside all that has been placed and within all limits, stays."""
        slacks = self._slacks()
        kept: list[Unit] = []
        broken: dict[GangId, None] = {}
        for unit in reversed(self._victims):
            gang = unit.tasks[0].gang
            assert gang is not None
            if gang.id not in broken and self._may_stay(unit, slacks) and self._trial.pieces_back(unit.tasks):
                self._return(unit)
            else:
                kept.append(unit)
                if unit.whole:
                    broken[gang.id] = None
        self._victims = kept[::-1]

    def _may_stay(self, unit: Unit, slacks: list[tuple[Ceiling, Sums]]) -> bool:
        for row, given in unit.gives.items():
            if any(self._outlook.future[axis][row] < amount for axis, amount in given.items()):
                return False
        if unit.pinned or self._needed_for_port(unit) or self._counts_in_groups(unit):
            return False
        # Who moves is held against the same limits wherever he is.
        concerned = [slack for ceiling, slack in slacks if counts_in(unit, ceiling) and not self._way.moves]
        given = {}
        for there in unit.gives.values() if concerned else ():
            add(given, there.items())
        if any(slack[axis] < given.get(axis, 0) for slack in concerned for axis in slack):
            return False
        for slack in concerned:
            for axis in slack:
                slack[axis] -= given.get(axis, 0)
        return True

    def _counts_in_groups(self, unit: Unit) -> bool:
        """What it holds counts where a queue of the gang may hold only so much of a group of nodes."""
        home = unit.tasks[0].gang.queue if unit.tasks[0].gang else None
        both = [each for each in home.path if each in self._queues] if home is not None else []
        return any(each.fact is not None and each.fact.group_limits for each in both)

    def _needed_for_port(self, unit: Unit) -> bool:
        return any(
            task.node is not None and task.node.row in want.places and collide(task.shape, want.shape)
            for task in unit.tasks
            for want in self._needs
            if want.shape.spec.ports
        )

    def _slacks(self) -> list[tuple[Ceiling, Sums]]:
        """What each limit leaves of what was asked for, once all that leaves has left."""
        asked = self._asked()
        return [
            (
                ceiling,
                {
                    axis: ceiling.most[axis] - ceiling.held.get(axis, 0) + ceiling.leaving.get(axis, 0)
                    for axis in asked
                    if axis in ceiling.most
                },
            )
            for ceiling in self._ceilings(self._gang)
        ]


def _uses(unit: Unit, claim: str) -> bool:
    return any(claim in task.shape.spec.claims for task in unit.tasks)
