"""One search for victims: whose going would let the whole remaining minimum of a gang be placed.

Everything happens inside a Trial that is always undone. Room is what is free and what is leaving; where that does not
do, rows are taken in the order of what one more pod costs there: whole gangs broken, then priority, then pods, then who
started last. Costs are worked out again for rows that change, so a gang that goes whole pays for all of its rows. At
the end everybody is given back, in reverse, whom the placement does not need.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import numpy as np

from flowbatch.engine.candidates import Candidates, Unit, Way
from flowbatch.engine.domains import Area
from flowbatch.engine.fits import Fits
from flowbatch.engine.placement import Placement
from flowbatch.engine.standing import Demand
from flowbatch.engine.teams import Team
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.ids import GangId, Row
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.ports import collides
from flowbatch.model.resources import Sums, add
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Ints
from flowbatch.model.trial import Trial
from flowbatch.policy.contract import Ceiling

#: Rows that are tried for one member whom others keep away.
MOST_TRIED = 64
#: Whole gangs and pods for each member that gains by it, with priority between them; then start and row.
Cost = tuple[float, int, float, int, int]
Ceilings = Callable[[Gang], Iterable[Ceiling]]


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
    ) -> None:
        self._state = state
        self._fits = fits
        self._placement = placement
        self._ceilings = ceilings
        self._gang = gang
        self._needs = needs
        self._way = way
        self._area = area
        self._inner = inner
        self._trial = Trial(state)
        self._victims: list[Unit] = []
        self._overdue = overdue
        #: Rows where a shape with host ports has been put.
        self._ported: dict[int, None] = {}

    def run(self, find: Callable[[], Candidates], first: Sequence[Gang] = ()) -> Found | None:
        """`find` looks for candidates once the gang's own claims are lifted; all of each of `first` goes at once."""
        with self._trial as trial:
            trial.unreserve(self._gang)
            trial.unclaim(self._gang)
            self._future = self._look_ahead()
            if any(want.shape.spec.devices for want in self._needs):
                trial.suppose_left(self._leaving())
            self._who = find()
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
        return all(self._place(want) for want in sorted(rest, key=lambda want: int(self._copies(want.shape).sum())))

    def _place_team(self, team: Team, needs: list[Want]) -> bool:
        """All of it in one domain that is close enough for it."""
        outer = self._area
        for area in self._inner(team, outer):
            before, mark = len(self._victims), self._trial.mark()
            future = {axis: column.copy() for axis, column in self._future.items()}
            ported = dict(self._ported)
            self._area = area
            placed = all(self._place(want) for want in needs)
            self._area = outer
            if placed:
                return True
            self._undo(before, mark)
            self._future, self._ported = future, ported
            for want in needs:
                want.places.clear()
        return False

    def _found(self) -> Found:
        broken = [unit.tasks[0].gang for unit in self._victims if unit.whole and len(unit.tasks) > 1]
        victims = [task for unit in self._victims for task in unit.tasks]
        return Found(_cost(self._victims, 0), victims, self._needs, [gang for gang in broken if gang is not None])

    def _look_ahead(self) -> dict[int, Ints]:
        """By axis and row: what there will be. What should have left long ago is not counted on."""
        self._state.table.fit_axes()
        axes = range(len(self._state.axes))
        future = {axis: self._state.table.future(axis).copy() for axis in axes}
        for task in self._overdue:
            for axis, amount in task.shape.request if task.node else ():
                assert task.node is not None
                future[axis][task.node.row] -= amount
        return future

    def _leaving(self) -> list[Task]:
        """Tasks that will have left their devices; what should have left long ago is not counted on."""
        late = {task.uid: None for task in self._overdue}
        return [task for task in self._state.leaving.values() if task.uid not in late]

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
        if not short:
            return True
        units = {id(unit): unit for units in self._who.by_row.values() for unit in units if unit.there}
        for unit in sorted(units.values(), key=lambda unit: unit.key):
            if not short:
                return True
            if unit.there and any(_relieves(unit, ceiling, amounts) for ceiling, amounts in short):
                self._evict(unit)
                short = self._shortages()
        return not short

    # -- room

    def _mask(self, shape: Shape, *, social: bool = True) -> Bools:
        """Rows that admit the shape; not `social`: if those who keep it away by being there were gone."""
        table = self._state.table
        result: Bools = self._fits.of(shape).mask & table.ready[: table.size]
        if self._area.mask is not None:
            result = result & self._area.mask
        if self._fits.momentary:
            self._fits.close(shape, result)
        for refused, _ in self._fits.refusals(shape, by_placement=True) if social else ():
            result = result & ~refused
        for window in self._state.windows.others(self._gang):
            # What is kept for somebody else is not to be taken by having others leave.
            result[window.rows] = False
        return result

    def _copies(self, shape: Shape) -> Ints:
        """How many fit on each row without anybody else's going."""
        least: Ints | None = None
        for axis, amount in shape.request:
            copies = self._future[axis] // amount
            least = copies if least is None else np.minimum(least, copies)
        assert least is not None
        result: Ints = np.maximum(least, 0) * self._mask(shape)
        if shape.spec.ports:
            result[[row for row in self._state.ports.taken(shape.spec.ports) if self._holders(row, shape)]] = 0
            result[list(self._ported)] = 0
            np.minimum(result, 1, out=result)
        if shape.spec.devices:
            result = self._state.devices.limit(shape, result)
        if self._fits.momentary:
            result = self._fits.cap(shape, result)
        return result

    def _holders(self, row: int, shape: Shape) -> list[Task]:
        """Who stays on `row` with a host port that the shape needs."""
        return [
            task
            for task in self._state.node_at[Row(row)].tasks.values()
            if task.state is not TaskState.RELEASING and _collide(task.shape, shape)
        ]

    def _place(self, want: Want) -> bool:
        if self._placement.social(want.shape):
            return self._place_singly(want)
        copies = self._copies(want.shape)
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
        for placed in range(want.count):
            rows = np.flatnonzero(self._copies(want.shape))
            if rows.size:
                self._put(want, int(rows[0]), 1)
            elif placed < want.meek or not self._make_room_among(want):
                return False
        return True

    def _make_room_among(self, want: Want) -> bool:
        """It is not enough that there is room: those must go, too, who keep it away by being there."""
        mask = self._mask(want.shape, social=False)
        costs = ((self._cost(row, want.shape, 1), row) for row in self._who.by_row if mask[row])
        for _, row in sorted((cost, row) for cost, row in costs if cost is not None)[:MOST_TRIED]:
            before, mark = len(self._victims), self._trial.mark()
            units = self._enough(row, want.shape)
            if units is not None and self._clear(row, units) is not None and self._let_in(row, want.shape):
                for unit in self._victims[before:]:
                    unit.pinned = True
                self._put(want, row, 1)
                return True
            self._undo(before, mark)
        return False

    def _let_in(self, row: int, shape: Shape) -> bool:
        """Nobody on `row` keeps the shape out, once one more has gone, or as many as it takes."""
        if self._mask(shape)[row]:
            return True
        for alone in (True, False):
            for unit in list(self._who.by_row.get(row, ())):
                before, mark = len(self._victims), self._trial.mark()
                if unit.there and self._evict(unit):
                    if self._mask(shape)[row]:
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
        for axis, amount in want.shape.request:
            self._future[axis][row] -= amount * count
        if want.shape.spec.ports:
            self._ported[row] = None

    def _make_room(self, want: Want, count: int) -> bool:
        mask = self._mask(want.shape)
        offers = [
            (cost, row)
            for row in self._who.by_row
            if mask[row] and (cost := self._cost(row, want.shape, count)) is not None
        ]
        heapify(offers)
        while count and offers:
            cost, row = heappop(offers)
            units = self._enough(row, want.shape)
            now = None if units is None else self._price(units, row, want.shape, count)
            if now == cost and units is not None:
                touched = self._clear(row, units)
                if touched is not None:
                    self._put(want, row, 1)
                    count -= 1
                    for other in touched:
                        if other != row and mask[other] and (cheap := self._cost(other, want.shape, count)) is not None:
                            heappush(offers, (cheap, other))
                now = self._cost(row, want.shape, count)
            if now is not None:
                heappush(offers, (now, row))
        return not count

    def _cost(self, row: int, shape: Shape, count: int) -> Cost | None:
        units = self._enough(row, shape)
        return None if units is None else self._price(units, row, shape, count)

    def _price(self, units: Sequence[Unit], row: int, shape: Shape, count: int) -> Cost:
        """What one more on `row` costs, where `count` are still to be placed: a whole gang makes room elsewhere too."""
        gain = self._gain(units, shape, count) if any(unit.whole for unit in units) else 1
        return _cost(units, row, max(1, gain))

    def _gain(self, units: Sequence[Unit], shape: Shape, count: int) -> int:
        gives: dict[int, Sums] = {}
        for unit in units:
            for row, given in unit.gives.items():
                add(gives.setdefault(row, {}), given.items())
        gain = 0
        for row, given in gives.items():
            room = [(int(self._future[axis][row]), given.get(axis, 0), amount) for axis, amount in shape.request]
            before = min(free // amount for free, _, amount in room)
            gain += min((free + more) // amount for free, more, amount in room) - max(0, before)
            if gain >= count:
                return count
        return gain

    def _enough(self, row: int, shape: Shape) -> list[Unit] | None:
        """The cheapest units whose going makes room for one more on `row`; None where that is not possible."""
        lack = {axis: short for axis, amount in shape.request if (short := amount - int(self._future[axis][row])) > 0}
        units = self._who.by_row.get(row, [])
        chosen: list[Unit] = []
        if shape.spec.ports:
            if row in self._ported:
                return None
            holders = self._holders(row, shape)
            chosen = [unit for unit in units if unit.there and any(task in unit.tasks for task in holders)]
            if any(not any(task in unit.tasks for unit in chosen) for task in holders):
                return None
        pinned = len(chosen)
        for unit in chosen:
            _take_off(lack, unit.gives[row])
        for unit in units:
            if not lack:
                break
            if unit.there and unit not in chosen[:pinned] and any(axis in lack for axis in unit.gives[row]):
                chosen.append(unit)
                _take_off(lack, unit.gives[row])
        if lack or (shape.spec.devices and not self._free_devices(row, shape, units, chosen)):
            return None
        return self._thin(row, shape, chosen, pinned)

    def _free_devices(self, row: int, shape: Shape, units: Sequence[Unit], chosen: list[Unit]) -> bool:
        """Add those to `chosen` who must go besides, until one more fits on the row's devices, if it ever does."""
        for unit in units:
            if self._devices_fit(row, shape, chosen):
                return True
            holds = any(task.devices and task.node is not None and task.node.row == row for task in unit.tasks)
            if unit.there and unit not in chosen and holds:
                chosen.append(unit)
        return self._devices_fit(row, shape, chosen)

    def _devices_fit(self, row: int, shape: Shape, gone: Sequence[Unit]) -> bool:
        """One more fits on the row's devices once these units are gone."""
        devices = self._state.devices
        shares = [
            task.devices
            for unit in gone
            for task in unit.tasks
            if unit.there and task.devices and task.node is not None and task.node.row == row
        ]
        for each in shares:
            devices.hold(Row(row), each, -1)
        fits = bool(devices.copies(shape, np.array([row]))[0])
        for each in shares:
            devices.hold(Row(row), each)
        return fits

    def _thin(self, row: int, shape: Shape, chosen: list[Unit], pinned: int) -> list[Unit]:
        """Without those that turn out not to be needed, the dearest first."""
        spare: Sums = {axis: int(self._future[axis][row]) - amount for axis, amount in shape.request}
        for unit in chosen:
            for axis in spare:
                spare[axis] += unit.gives[row].get(axis, 0)
        kept: list[Unit] = []
        gone: list[Unit] = []
        for unit in reversed(chosen[pinned:]):
            given = unit.gives[row]
            left = [other for other in chosen if other is not unit and other not in gone] if shape.spec.devices else []
            useless = not shape.spec.devices or self._devices_fit(row, shape, left)
            if useless and all(spare[axis] >= given.get(axis, 0) for axis in spare):
                gone.append(unit)
                for axis in spare:
                    spare[axis] -= given.get(axis, 0)
            else:
                kept.append(unit)
        return [*chosen[:pinned], *reversed(kept)]

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
        for row, given in unit.gives.items():
            for axis, amount in given.items():
                self._future[axis][row] += amount
        return True

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
        for row, given in unit.gives.items():
            for axis, amount in given.items():
                self._future[axis][row] -= amount

    def _give_back(self) -> None:
        """In reverse: whoever fits where he is, beside all that has been placed and within all limits, stays."""
        slacks = self._slacks()
        kept: list[Unit] = []
        broken: dict[GangId, None] = {}
        for unit in reversed(self._victims):
            gang = unit.tasks[0].gang
            assert gang is not None
            if gang.id not in broken and self._may_stay(unit, slacks) and self._trial.devices_back(unit.tasks):
                self._return(unit)
            else:
                kept.append(unit)
                if unit.whole:
                    broken[gang.id] = None
        self._victims = kept[::-1]

    def _may_stay(self, unit: Unit, slacks: list[tuple[Ceiling, Sums]]) -> bool:
        for row, given in unit.gives.items():
            if any(self._future[axis][row] < amount for axis, amount in given.items()):
                return False
        if unit.pinned or self._needed_for_port(unit):
            return False
        concerned = [slack for ceiling, slack in slacks if _counts_in(unit, ceiling)]
        given = {}
        for there in unit.gives.values() if concerned else ():
            add(given, there.items())
        if any(slack[axis] < given.get(axis, 0) for slack in concerned for axis in slack):
            return False
        for slack in concerned:
            for axis in slack:
                slack[axis] -= given.get(axis, 0)
        return True

    def _needed_for_port(self, unit: Unit) -> bool:
        return any(
            task.node is not None and task.node.row in want.places and _collide(task.shape, want.shape)
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


def _ints(values: Iterable[int]) -> Ints:
    return np.array(list(values), np.int64)


def _cost(units: Sequence[Unit], row: int, gain: int = 1) -> Cost:
    if not units:
        return (0, 0, 0, 0, row)
    return (
        sum(unit.whole for unit in units) / gain,
        max(unit.key[1] for unit in units),
        sum(len(unit.tasks) for unit in units) / gain,
        max(unit.key[3] for unit in units),
        row,
    )


def _take_off(lack: Sums, given: Sums) -> None:
    for axis, amount in given.items():
        if axis in lack:
            lack[axis] -= amount
            if lack[axis] <= 0:
                del lack[axis]


def _collide(one: Shape, other: Shape) -> bool:
    return any(
        mine[0] == theirs[0] and mine[2] == theirs[2] and collides(mine[1], theirs[1])
        for mine in one.spec.ports
        for theirs in other.spec.ports
    )


def _relieves(unit: Unit, ceiling: Ceiling, short: Sums) -> bool:
    """Its going gives back something that the limit lacks."""
    return _counts_in(unit, ceiling) and any(axis in short for given in unit.gives.values() for axis in given)


def _counts_in(unit: Unit, ceiling: Ceiling) -> bool:
    """What it holds counts against this limit."""
    home = unit.tasks[0].gang.queue if unit.tasks[0].gang else None
    if home is None or ceiling.owner:
        return False
    return home is ceiling.queue if ceiling.own else ceiling.queue in home.path
