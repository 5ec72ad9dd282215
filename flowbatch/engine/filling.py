"""Puts the members of a gang on nodes, part by part, inside a Trial."""

from collections.abc import Iterator, Sequence

import numpy as np

from flowbatch.engine.domains import EVERYWHERE, Area, placed_rows
from flowbatch.engine.ground import Ground
from flowbatch.engine.placement import Room
from flowbatch.engine.standing import Part
from flowbatch.engine.tightness import Tightness
from flowbatch.engine.walk import Walk
from flowbatch.model.blockers import Blocker
from flowbatch.model.buckets import Buckets
from flowbatch.model.gangs import Gang, Reservation, Role, Task
from flowbatch.model.ids import Row
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints
from flowbatch.model.trial import Trial

ONE: Ints = np.ones(1, np.int64)


class Filling:
    """Puts members on nodes, inside a Trial: all that were asked for, or as many as there is room for."""

    def __init__(self, ground: Ground, tightness: Tightness) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = ground.policy
        self._guard = ground.guard
        self._placement = ground.placement
        self._domains = ground.domains
        self._limits = ground.limits
        self._tightness = tightness

    def fill(self, trial: Trial, gang: Gang, order: list[Part], area: Area, *, whole: bool) -> Blocker | None:
        """Place the `must` of every part in `area`, or say why not; not `whole`: as much of it as goes."""
        missed: Blocker | None = None
        for part in self.in_buckets(gang, order):
            room = self._placement.room(part.shape, area.mask)
            wanted, most = part.must, self.most(part.shape, part.must, room)
            if most < wanted:
                missed = self._tightness.few(part.shape, room.total, wanted)
                if whole:
                    return missed
                wanted = most
            if not whole:
                allowed = self._limits.allowance(gang, part.shape)
                if allowed < wanted:
                    missed = self._limits.exceeded(gang, part.shape)
                    wanted = allowed
            found = self.put(trial, gang, part, wanted, room, area)
            if found < wanted:
                missed = self._tightness.few(part.shape, found, part.must, found)
                if whole:
                    return missed
        return missed

    def fill_claims(
        self, trial: Trial, gang: Gang, order: list[Part], reserve: list[tuple[Role, int]]
    ) -> Blocker | None:
        """Take exactly the rows that others have left for it: nothing else is sure to hold all of its parts."""
        claims = list(gang.claims)
        members = [(part.role, part.shape, part.must, part.tasks[: part.must]) for part in order]
        members += [(role, role.shape, count, []) for role, count in reserve if role.shape is not None]
        for role, shape, count, tasks in members:
            fitting = (c for c in claims if (c.role, c.shape) == (role.name, shape) and c.total >= count)
            claim = next(fitting, None)
            room = self._placement.room(shape)
            if claim is None:
                return self._tightness.few(shape, room.total, count)
            claims.remove(claim)
            counts = np.diff(np.minimum(np.cumsum(claim.counts), count), prepend=0)
            if (room.by_row[claim.rows] < counts).any():
                return self._tightness.few(shape, room.total, count)
            rows, counts = claim.rows[counts > 0], counts[counts > 0]
            if tasks:
                trial.place(gang, shape, tasks, rows, counts)
            else:
                trial.reserve(gang, Reservation(role.name, shape, rows, counts))
        return None

    def hold_room(
        self, trial: Trial, gang: Gang, reserve: list[tuple[Role, int]], area: Area = EVERYWHERE
    ) -> Blocker | None:
        """Reserve room for members to come, or say why there is too little."""
        for role, count in reserve:
            assert role.shape is not None
            room = self._placement.room(role.shape, area.mask)
            if count > 1 and self._placement.pace(role.shape) == "one":
                rows, counts = self._walk_ahead(trial, gang, role.shape, count, room)
                found = int(counts.sum())
                if found < count:
                    return self._tightness.few(role.shape, found, count)
            elif room.total < count:
                return self._tightness.few(role.shape, room.total, count)
            else:
                rows, counts = self._choose(trial, gang, role.shape, count, room, area)
            trial.reserve(gang, Reservation(role.name, role.shape, rows, counts))
        return None

    def side_by_side(self, gang: Gang) -> Buckets | None:
        """Which members of `gang` are to be together, as the policy has it."""
        rule = self._policy.buckets
        return self._guard.call(rule, rule.build, None, gang) if rule is not None else None

    def in_buckets(self, gang: Gang, order: Sequence[Part]) -> Iterator[Part]:
        """The same members bucket by bucket, largest first, and then those in none; each time anew, as a Trial is."""
        buckets = self._view.buckets
        if buckets is None:
            yield from order
            return
        buckets = self._view.buckets = self.side_by_side(gang) or buckets
        for piece in pieces(order, buckets):
            buckets.bucket, buckets.role = buckets.of.get(piece.tasks[0].uid), piece.role.name
            yield piece
        buckets.bucket = None

    def put(self, trial: Trial, gang: Gang, part: Part, count: int, room: Room, area: Area = EVERYWHERE) -> int:
        """Place the first `count` of `part`; returns how many found a place."""
        if count <= 1 or self._placement.pace(part.shape) != "one":
            self._put_all(trial, gang, part, part.tasks[:count], room, area)
            return count
        mark, tasks = trial.mark(), part.tasks[:count]
        found = self._walk(trial, gang, part.shape, tasks, room)
        spec = part.shape.spec
        if found == count or not (spec.claims or spec.near or spec.device_claims):
            return found
        # The first one decides where all of them are: once more, from a node that would take all.
        roomy = room.only(room.copies >= count)
        if roomy.total:
            trial.undo(mark)
            if self._walk(trial, gang, part.shape, tasks, roomy) == count:
                return count
            trial.undo(mark)
            self._walk(trial, gang, part.shape, tasks, room)
        return found

    def _walk(self, trial: Trial, gang: Gang, shape: Shape, tasks: list[Task], room: Room) -> int:
        """Place them one after the other, the first of them in `room`; returns how many found a place."""
        walk = Walk(self._placement, shape, room)
        for placed, task in enumerate(tasks):
            row = walk.next(self._avoided([task]))
            if row is None:
                return placed
            trial.place(gang, shape, [task], row, ONE)
            walk.placed(row)
        return len(tasks)

    def most(self, shape: Shape, wanted: int, room: Room) -> int:
        """How many of `wanted` may find a place; where each one opens or closes some, that cannot be said before."""
        if room.total >= wanted or not room.total or self._placement.pace(shape) != "one":
            return min(wanted, room.total)
        return wanted

    def _put_all(self, trial: Trial, gang: Gang, part: Part, tasks: list[Task], room: Room, area: Area) -> None:
        if not tasks:
            return
        avoided = self._avoided(tasks)
        if avoided:
            elsewhere = room.but(avoided)
            room = elsewhere if elsewhere.total >= len(tasks) else room
        rows, counts = self._choose(trial, gang, part.shape, len(tasks), room, area)
        trial.place(gang, part.shape, tasks, rows, counts)
        if self._view.buckets is not None:
            self._view.buckets.placed(tasks, rows, counts)

    def _choose(self, trial: Trial, gang: Gang, shape: Shape, count: int, room: Room, area: Area) -> tuple[Ints, Ints]:
        if not area.near:
            return self._placement.choose(shape, count, room)
        beside = np.concatenate([placed_rows(gang.tasks.values()), *trial.rows_of(gang)])
        return self._domains.choose(shape, count, room, area, beside)

    def _avoided(self, tasks: list[Task]) -> list[Row]:
        """Rows that have refused one of these pods."""
        names = dict.fromkeys(name for task in tasks if task.refused for name in task.refused)
        return [node.row for name in names if (node := self._state.nodes.get(name)) is not None]

    def _walk_ahead(self, trial: Trial, gang: Gang, shape: Shape, count: int, room: Room) -> tuple[Ints, Ints]:
        """Where members to come would go one after the other, each minding those before it."""
        where: list[int] = []
        mark, walk = trial.mark(), Walk(self._placement, shape, room)
        while len(where) < count and (row := walk.next([])) is not None:
            trial.place(gang, shape, (), row, ONE)
            walk.placed(row)
            where.append(int(row[0]))
        trial.undo(mark)
        rows, counts = np.unique(np.array(where, np.int64), return_counts=True)
        return rows, counts.astype(np.int64)


def pieces(order: Sequence[Part], buckets: Buckets) -> Iterator[Part]:
    """Parts cut at the borders of buckets; a part that is not for the minimum keeps all of its tasks."""
    whole = [(part, part.tasks[: part.must] if part.must else part.tasks) for part in order]
    for bucket in sorted(buckets.all, key=lambda each: (-len(each.waiting), each.index)):
        for part, tasks in whole:
            mine = [task for task in tasks if buckets.of.get(task.uid) is bucket]
            if mine:
                yield Part(part.role, part.shape, mine, len(mine) if part.must else 0, part.team)
    for part, tasks in whole:
        others = [task for task in tasks if task.uid not in buckets.of]
        if others:
            yield Part(part.role, part.shape, others, len(others) if part.must else 0, part.team)
