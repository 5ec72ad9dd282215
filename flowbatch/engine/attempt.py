"""One gang's attempt: its minimum goes in whole, or nothing does.

Inside a Trial, in order: give up own reservations, check what the queue may hold, find rows for every part that the
minimum needs, hold room for members to come. If any of it fails the Trial is undone and the reason is a Blocker.
A gang that already runs in part (a failed binding, a lost member, a crash) is in repair: it takes what it can get.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from flowbatch.engine.fits import Fits
from flowbatch.engine.guard import Guard
from flowbatch.engine.placement import Placement, Room, admits_empty
from flowbatch.engine.room import Rooms
from flowbatch.engine.standing import Demand, Part
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsNode, NeedsQuota
from flowbatch.model.gangs import Gang, Reservation, Role, Task
from flowbatch.model.ids import Row
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.nodes import Node
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add, shortfall
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.trial import Trial
from flowbatch.model.view import View
from flowbatch.policy.contract import QueueLimit
from flowbatch.policy.policy import Policy

Placed = list[tuple[Task, Node]]


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
    needs: int | None = None
    #: The question that must be answered before the orders go out.
    question: str | None = None


class Attempts:
    """Tries gangs against the state."""

    def __init__(
        self, state: ClusterState, view: View, policy: Policy, guard: Guard, fits: Fits, placement: Placement
    ) -> None:
        self._state = state
        self._view = view
        self._policy = policy
        self._guard = guard
        self._fits = fits
        self._placement = placement

    def attempt(self, gang: Gang, demand: Demand, batch: int | None) -> Outcome:
        """Place what `demand` asks for; at most `batch` surplus members (None: all)."""
        if demand.surplus:
            outcome = self._surplus(gang, demand, batch)
        else:
            outcome = self._minimum(gang, demand, whole=not gang.repairing)
        if demand.best_effort:
            self._best_effort(gang, demand.best_effort, outcome)
        return outcome

    # -- the minimum, all or nothing

    def _minimum(self, gang: Gang, demand: Demand, *, whole: bool) -> Outcome:
        order = [part for part in demand.parts if part.must]
        outcome = self._try(gang, demand, order, whole=whole)
        if outcome.blocker is not None and whole and len({part.shape.id: None for part in order}) > 1:
            # Parts compete for the same nodes: once more, hardest to place first.
            hardest = sorted(order, key=lambda part: self._placement.room(part.shape).total)
            outcome = self._try(gang, demand, hardest, whole=whole)
        return outcome

    def _try(self, gang: Gang, demand: Demand, order: list[Part], *, whole: bool) -> Outcome:
        with Trial(self._state) as trial:
            trial.unreserve(gang)
            blocker = self._quota(gang, order, demand.reserve) if whole else None
            if blocker is None:
                blocker = self._fill(trial, gang, order, whole=whole)
            if blocker is None or not whole:
                blocker = self._hold_room(trial, gang, demand.reserve) or blocker
            if blocker is None or (trial.placing and not whole):
                question = self._question(gang, trial)
                placed = trial.keep(Stimulus.HOLD if question else Stimulus.PLACE)
                return Outcome(placed, settled=True, question=question)
        if isinstance(blocker, NeedsCapacity):
            return self._tight(gang, order, demand.reserve, blocker)
        return Outcome(blocker=blocker)

    def _fill(self, trial: Trial, gang: Gang, order: list[Part], *, whole: bool) -> Blocker | None:
        missed: Blocker | None = None
        for part in order:
            room = self._placement.room(part.shape)
            wanted = part.must
            if room.total < wanted:
                missed = self._tightness(part.shape, room.total, wanted)
                if whole:
                    return missed
                wanted = room.total
            if not whole:
                allowed = self._allowance(gang, part.shape)
                if allowed < wanted:
                    missed = self._over_limit(gang, part.shape)
                    wanted = allowed
            found = self._put(trial, gang, part, wanted, room)
            if found < wanted:
                missed = self._tightness(part.shape, found, part.must)
                if whole:
                    return missed
        return missed

    def _put(self, trial: Trial, gang: Gang, part: Part, count: int, room: Room) -> int:
        """Place the first `count` of `part`; returns how many found a place."""
        if not self._placement.one_by_one:
            self._put_all(trial, gang, part, part.tasks[:count], room)
            return count
        for placed, task in enumerate(part.tasks[:count]):
            here = self._placement.room(part.shape)
            if not here.total:
                return placed
            self._put_all(trial, gang, part, [task], here)
        return count

    def _put_all(self, trial: Trial, gang: Gang, part: Part, tasks: list[Task], room: Room) -> None:
        if not tasks:
            return
        avoided = self._avoided(tasks)
        if avoided:
            elsewhere = room.but(avoided)
            room = elsewhere if elsewhere.total >= len(tasks) else room
        rows, counts = self._placement.choose(part.shape, len(tasks), room)
        trial.place(gang, part.shape, tasks, rows, counts)

    def _avoided(self, tasks: list[Task]) -> list[Row]:
        """Rows that have refused one of these pods."""
        names = dict.fromkeys(name for task in tasks if task.refused for name in task.refused)
        return [node.row for name in names if (node := self._state.nodes.get(name)) is not None]

    def _hold_room(self, trial: Trial, gang: Gang, reserve: list[tuple[Role, int]]) -> Blocker | None:
        for role, count in reserve:
            assert role.shape is not None
            room = self._placement.room(role.shape)
            if room.total < count:
                return self._tightness(role.shape, room.total, count)
            rows, counts = self._placement.choose(role.shape, count, room)
            trial.reserve(gang, Reservation(role.name, role.shape, rows, counts))
        return None

    def _tight(self, gang: Gang, order: list[Part], reserve: list[tuple[Role, int]], blocker: NeedsCapacity) -> Outcome:
        """The attempt is undone: note what each of its shapes finds now, so that only more room wakes it."""
        counts: dict[Shape, int] = {}
        for part in order:
            counts[part.shape] = counts.get(part.shape, 0) + part.must
        for role, count in reserve:
            if role.shape is not None:
                counts[role.shape] = counts.get(role.shape, 0) + count
        rooms: Rooms = {shape.id: (shape, self._placement.room(shape).by_row) for shape in counts}
        alone = len(counts) == 1 and not gang.reservations and not gang.repairing
        needs = sum(counts.values()) if alone else None
        if alone:
            (shape,) = counts
            assert needs is not None
            blocker = self._capacity(shape, int(rooms[shape.id][1].sum()), needs)
        shapes = tuple(rooms)
        return Outcome(blocker=msgspec.structs.replace(blocker, shapes=shapes), rooms=rooms, needs=needs)

    def _tightness(self, shape: Shape, fits: int, needs: int) -> Blocker:
        """Why one shape found too little: no node at all, or full ones."""
        mask = self._fits.of(shape).mask
        if not mask.any():
            return NeedsNode(shape.id)
        return self._capacity(shape, fits, needs)

    def _capacity(self, shape: Shape, fits: int, needs: int) -> NeedsCapacity:
        most = admits_empty(self._state, self._fits.of(shape).mask, shape)
        return NeedsCapacity((shape.id,), fits, needs, most, most < needs)

    # -- what queues may hold

    def _limits(self, queue: Queue) -> Iterable[tuple[QueueLimit, Queue, Sums, dict[int, int]]]:
        """Every limit on the way to the root that applies: with the queue, what it holds, and its ceilings."""
        for each in queue.path:
            for limit in self._policy.limits:
                if limit.own and each is not queue:
                    continue
                ceiling = self._guard.call(limit, limit.limit, {}, each, self._view)
                if ceiling:
                    yield limit, each, each.own if limit.own else each.held(), dict(ceiling)

    def _quota(self, gang: Gang, parts: list[Part], reserve: list[tuple[Role, int]]) -> Blocker | None:
        asked: Sums = {}
        for part in parts:
            add(asked, part.shape.request, part.must)
        for role, count in reserve:
            if role.shape is not None:
                add(asked, role.shape.request, count)
        queue = gang.queue
        assert queue is not None
        for limit, each, held, ceiling in self._limits(queue):
            if limit.first_gang_may_exceed and not held:
                continue
            short = shortfall(asked.items(), held, ceiling)
            if short:
                hopeless = limit.kind != "share" and bool(shortfall(asked.items(), gang.allocated, ceiling))
                return NeedsQuota(each.name, limit.kind, self._state.axes.amounts(short), hopeless)
        return None

    def _allowance(self, gang: Gang, shape: Shape) -> int:
        """How many more of `shape` the gang's queues may hold."""
        queue = gang.queue
        assert queue is not None
        most = len(gang.pending)
        for _, _, held, ceiling in self._limits(queue):
            for axis, amount in shape.request:
                if axis in ceiling:
                    most = min(most, max(0, ceiling[axis] - held.get(axis, 0)) // amount)
        return most

    # -- beyond the minimum

    def _surplus(self, gang: Gang, demand: Demand, batch: int | None) -> Outcome:
        left = batch if batch is not None else len(gang.pending)
        outcome = Outcome()
        reasons: list[Blocker] = []
        with Trial(self._state) as trial:
            for part in demand.parts:
                count, reason = self._some(gang, part, left, outcome.rooms, trial)
                left -= count
                if reason is not None:
                    reasons.append(reason)
            outcome.question = self._question(gang, trial)
            outcome.placed = trial.keep(Stimulus.HOLD if outcome.question else Stimulus.PLACE)
        if not outcome.placed and reasons:
            outcome.blocker, *outcome.also = reasons
        return outcome

    def _some(self, gang: Gang, part: Part, left: int, rooms: Rooms, trial: Trial) -> tuple[int, Blocker | None]:
        """Place as many of `part` as fit and may; a reason only where it was none at all."""
        allowed = min(left, len(part.tasks), self._allowance(gang, part.shape))
        if allowed == 0:
            return 0, self._over_limit(gang, part.shape)
        room = self._placement.room(part.shape)
        count = self._put(trial, gang, part, min(allowed, room.total), room)
        if count:
            return count, None
        rooms[part.shape.id] = (part.shape, room.by_row)
        return 0, self._tightness(part.shape, 0, 1)

    def _over_limit(self, gang: Gang, shape: Shape) -> Blocker | None:
        part = Part(Role(""), shape, [], must=1)
        queue = gang.queue
        assert queue is not None
        for limit, each, held, ceiling in self._limits(queue):
            short = shortfall(part.shape.request, held, ceiling)
            if short:
                return NeedsQuota(each.name, limit.kind, self._state.axes.amounts(short))
        return None

    def _best_effort(self, gang: Gang, parts: list[Part], outcome: Outcome) -> None:
        """Pods without requests need no gang: wherever a node admits one more pod (Volcano: backfill)."""
        with Trial(self._state) as trial:
            for part in parts:
                _, reason = self._some(gang, part, len(part.tasks), outcome.rooms, trial)
                if reason is not None:
                    outcome.also.append(reason)
            outcome.placed += trial.keep()
        if outcome.also and outcome.blocker is None:
            outcome.blocker = outcome.also.pop(0)

    def _question(self, gang: Gang, trial: Trial) -> str | None:
        placed = trial.preview() if self._policy.confirmations else []
        for each in self._policy.confirmations if placed else ():
            question = self._guard.call(each, each.question, None, gang, placed, self._view)
            if question is not None:
                return question
        return None
