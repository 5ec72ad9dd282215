"""Who of a gang starts, and where, when its parts compete: every choice of members and rows, as far as steps go.

Placing part after part decides almost always, and in no time. But a part may take the very rows that only another one
could use, and a member that fits nowhere need not keep the others waiting if the minimum can do without it (Volcano: a
task that fails its predicates does not end the job's allocation). Then this looks at all ways: exact for gangs of a
dozen members on a few dozen rows that differ, bounded for all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from flowbatch.engine.ground import Ground
from flowbatch.engine.placement import Room
from flowbatch.engine.standing import Demand, Part
from flowbatch.engine.tightness import Tightness
from flowbatch.model.blockers import Blocker, NeedsCapacity
from flowbatch.model.gangs import Gang, Reservation, Role
from flowbatch.model.ids import Row, ShapeId
from flowbatch.model.ports import collides
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Ints
from flowbatch.model.trial import Trial

#: Looks at one row for one member, in one attempt of one gang.
STEPS_MAX = 4_000
CHOICES_MAX = 64
#: Rows considered for each shape, best first.
ROWS_MAX = 32
MEMBERS_MAX = 32


def choices(demand: Demand) -> list[list[int]]:
    """How many of each part could make up the minimum; those that take earlier parts come first."""
    parts = demand.parts
    wanted = sum(part.must for part in parts)
    if wanted == sum(len(part.tasks) for part in parts):
        return [[part.must for part in parts]]
    found: list[list[int]] = []

    def extend(counts: list[int], left: int) -> None:
        if len(found) >= CHOICES_MAX:
            return
        place = len(counts)
        if place == len(parts):
            if left == 0 and _enough(demand, counts):
                found.append(counts)
            return
        behind = sum(len(part.tasks) for part in parts[place + 1 :])
        for count in range(min(left, len(parts[place].tasks)), max(0, left - behind) - 1, -1):
            extend([*counts, count], left - count)

    extend([], wanted)
    return found


def _enough(demand: Demand, counts: list[int]) -> bool:
    """Every task has its own minimum."""
    of_task: dict[str, int] = {}
    for part, count in zip(demand.parts, counts, strict=True):
        of_task[part.role.name] = of_task.get(part.role.name, 0) + count
    return all(of_task.get(name, 0) >= least for name, least in demand.least)


@dataclass(slots=True)
class Steps:
    """How much may still be looked at."""

    left: int = STEPS_MAX


@dataclass(slots=True, eq=False)
class Kind:
    """Equal members to be put somewhere, and the rows that would take at least one of them, best first."""

    shape: Shape
    count: int
    rows: list[Row]
    chosen: list[Row] = field(default_factory=list)


class Packing:
    """One try to put members of several shapes on rows: depth first, hardest shape first."""

    def __init__(self, state: ClusterState, wanted: Sequence[tuple[Shape, int, Room, list[Row]]], steps: Steps) -> None:
        #: (shape, copies, room for it, its best rows), each shape once.
        self._kinds = [Kind(shape, count, rows) for shape, count, room, rows in sorted(wanted, key=_hardness)]
        self._steps = steps
        rows = dict.fromkeys(row for kind in self._kinds for row in kind.rows)
        offers = {axis: state.table.offer(axis) for kind in self._kinds for axis, _ in kind.shape.request}
        self._free = {row: {axis: int(offer[row]) for axis, offer in offers.items()} for row in rows}
        self._ports: dict[Row, list[tuple[str, str, int]]] = {}

    def solve(self) -> dict[int, list[Row]] | None:
        """Rows by shape, one for each of its members; None where there is no way, or no time to find it."""
        members = [kind for kind in self._kinds for _ in range(kind.count)]
        if len(members) <= MEMBERS_MAX and self._place(members, 0, 0):
            return {kind.shape.id: kind.chosen for kind in self._kinds}
        return None

    def _place(self, members: list[Kind], first: int, least: int) -> bool:
        if first == len(members):
            return True
        kind = members[first]
        # Equal members are interchangeable: each goes to the row of the one before it, or to a later one.
        start = least if first and members[first - 1] is kind else 0
        for place in range(start, len(kind.rows)):
            if self._steps.left <= 0:
                return False
            self._steps.left -= 1
            row = kind.rows[place]
            if self._fits(kind.shape, row):
                self._take(kind.shape, row, 1)
                kind.chosen.append(row)
                if self._place(members, first + 1, place):
                    return True
                kind.chosen.pop()
                self._take(kind.shape, row, -1)
        return False

    def _fits(self, shape: Shape, row: Row) -> bool:
        free = self._free[row]
        if any(amount > free[axis] for axis, amount in shape.request):
            return False
        taken = self._ports.get(row, ())
        return not any(
            (protocol, port) == (there[0], there[2]) and collides(address, there[1])
            for protocol, address, port in shape.spec.ports
            for there in taken
        )

    def _take(self, shape: Shape, row: Row, sign: int) -> None:
        free = self._free[row]
        for axis, amount in shape.request:
            free[axis] -= sign * amount
        if shape.spec.ports:
            taken = self._ports.setdefault(row, [])
            for port in shape.spec.ports:
                if sign > 0:
                    taken.append(port)
                else:
                    taken.remove(port)


def _hardness(wanted: tuple[Shape, int, Room, list[Row]]) -> tuple[int, int]:
    shape, count, room, _ = wanted
    return room.total - count, shape.id


class Ways:
    """All ways in which one gang may reach its minimum."""

    def __init__(self, ground: Ground, tightness: Tightness) -> None:
        self._state = ground.state
        self._fits = ground.fits
        self._placement = ground.placement
        self._limits = ground.limits
        self._tightness = tightness

    def differ(self, demand: Demand) -> bool:
        """It may matter who is taken and who goes first, and only rooms of nodes decide what fits."""
        shapes = shapes_of(demand)
        if len(shapes) < 2 or demand.teams or self._fits.momentary:
            return False
        return not any(self._state.pieces.matter(shape) or self._placement.social(shape) for shape in shapes)

    def most(self, demand: Demand, allowance: Callable[[Shape], int]) -> list[Part]:
        """In repair: the choice of members of which the most find room now, and may be held."""
        most = {each.id: min(self._placement.room(each).total, allowance(each)) for each in shapes_of(demand)}

        def found(counts: list[int]) -> int:
            return sum(min(count, most[part.shape.id]) for part, count in zip(demand.parts, counts, strict=True))

        best = max(choices(demand), key=found)
        return [replace(part, must=count) for part, count in zip(demand.parts, best, strict=True) if count]

    def find(self, trial: Trial, gang: Gang, demand: Demand) -> list[Blocker]:
        """Place the minimum in `trial`, in the first way that works; else why each choice of members does not."""
        steps, blockers = Steps(), []
        rooms = {shape.id: self._placement.room(shape) for shape in shapes_of(demand)}
        for counts in choices(demand):
            order = [replace(part, must=count) for part, count in zip(demand.parts, counts, strict=True) if count]
            blocker = self._limits.quota(gang, order, demand.reserve) or self._tight(order, demand.reserve, rooms)
            if blocker is None:
                wanted = _counts(order, demand.reserve)
                found = self._pack(wanted, rooms, steps)
                if found is not None:
                    self._put(trial, gang, order, demand.reserve, found)
                    return []
                blocker = _crowded(wanted, rooms)
            blockers.append(blocker)
        return blockers

    def _tight(self, order: list[Part], reserve: list[tuple[Role, int]], rooms: dict[ShapeId, Room]) -> Blocker | None:
        for shape, count in _counts(order, reserve).items():
            if rooms[shape.id].total < count:
                return self._tightness.few(shape, rooms[shape.id].total, count)
        return None

    def _pack(self, wanted: dict[Shape, int], rooms: dict[ShapeId, Room], steps: Steps) -> dict[int, list[Row]] | None:
        kinds = [(shape, n, rooms[shape.id], self._best_rows(shape, rooms[shape.id])) for shape, n in wanted.items()]
        return Packing(self._state, kinds, steps).solve()

    def _best_rows(self, shape: Shape, room: Room) -> list[Row]:
        """The rows it would choose by itself, then others."""
        rows, _ = self._placement.choose(shape, min(room.total, ROWS_MAX), room)
        others = room.rows[~np.isin(room.rows, rows)][: max(0, ROWS_MAX - rows.size)]
        return [Row(row) for row in (*rows.tolist(), *others.tolist())]

    @staticmethod
    def _put(
        trial: Trial, gang: Gang, order: list[Part], reserve: list[tuple[Role, int]], found: dict[int, list[Row]]
    ) -> None:
        """Rows of one shape are dealt out to the parts that share it."""
        for part in order:
            rows, found[part.shape.id] = found[part.shape.id][: part.must], found[part.shape.id][part.must :]
            trial.place(gang, part.shape, part.tasks[: part.must], *_counted(rows))
        for role, count in reserve:
            assert role.shape is not None
            rows, found[role.shape.id] = found[role.shape.id][:count], found[role.shape.id][count:]
            trial.reserve(gang, Reservation(role.name, role.shape, *_counted(rows)))


def shapes_of(demand: Demand) -> list[Shape]:
    """Every shape that may be needed, once."""
    shapes = {part.shape: None for part in demand.parts}
    return list(shapes | {role.shape: None for role, _ in demand.reserve if role.shape is not None})


def _counts(order: list[Part], reserve: list[tuple[Role, int]]) -> dict[Shape, int]:
    counts: dict[Shape, int] = {}
    for shape, count in [(part.shape, part.must) for part in order] + [(role.shape, n) for role, n in reserve]:
        if shape is not None:
            counts[shape] = counts.get(shape, 0) + count
    return counts


def _crowded(wanted: dict[Shape, int], rooms: dict[ShapeId, Room]) -> Blocker:
    """Each shape alone would fit; together they do not. What is said is that the tightest of them lacks one place."""
    shape = min(wanted, key=lambda each: rooms[each.id].total - wanted[each])
    return NeedsCapacity((shape.id,), wanted[shape] - 1, wanted[shape], wanted[shape])


def _counted(rows: list[Row]) -> tuple[Ints, Ints]:
    """Rows and how often each occurs, in the order of the rows."""
    times: dict[Row, int] = {}
    for row in rows:
        times[row] = times.get(row, 0) + 1
    return np.array(list(times), np.int64), np.array(list(times.values()), np.int64)
