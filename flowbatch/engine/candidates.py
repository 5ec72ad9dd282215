"""Who may go for whom: the engine's own laws first, then the policy's filters; every veto is final and counted.

The laws, which no configuration lifts: only pods that run or are bound, and that say they may be evicted; in a queue
only for a gang of higher priority; across queues only from reclaimable ones that hold more than is theirs of something
that is asked for, and never below what they are guaranteed. So nobody can be evicted by whom he evicted, over any
number of steps: in a queue priority only rises, and between queues what is held above entitlements only falls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from flowbatch.engine.guard import Guard
from flowbatch.model.gangs import PLACED, Gang, Task, key_of
from flowbatch.model.ids import Instant, PodUid, QueueName
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.queues import Queue, QueueTree
from flowbatch.model.resources import Sums, add
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import VictimFilter
from flowbatch.policy.policy import Policy
from flowbatch.policy.victims import may_lose, may_lose_team

EVICTABLE: Final = (TaskState.BOUND, TaskState.RUNNING)


@dataclass(frozen=True, slots=True)
class Way:
    """One of Volcano's actions that evict: from the own queue or `across` queues.

    `gang`: a gang loses only what it has beyond its minimum, whatever filters there are; `whole`: or all of it.
    `inside`: only members of the gang itself, of lower priority than the one that waits. `moves`: nobody loses a place,
    whoever goes has another one already (engine.movers, engine.rehousing).
    """

    action: str
    across: bool
    gang: bool
    whole: bool = False
    inside: bool = False
    moves: bool = False


#: Volcano's preempt does this too: a member of higher priority takes the place of one of lower priority.
INSIDE: Final = Way("preempt", across=False, gang=True, inside=True)
WAYS: Final = {
    way.action: way
    for way in (
        Way("preempt", across=False, gang=False),
        Way("reclaim", across=True, gang=False),
        Way("gangpreempt", across=False, gang=True, whole=True),
        Way("gangreclaim", across=True, gang=True, whole=True),
        Way("consolidate", across=False, gang=True, moves=True),
    )
}


@dataclass(slots=True, eq=False)
class Unit:
    """What goes together: one pod, or all of a gang. The key puts those first who are missed least."""

    tasks: tuple[Task, ...]
    whole: bool
    key: tuple[int, int, int, int, PodUid]
    #: It has been told to go in this search.
    going: bool = False
    #: It must go for more than its room.
    pinned: bool = False
    #: Row -> what it gives there.
    gives: dict[int, Sums] = field(default_factory=dict)

    @classmethod
    def of(cls, tasks: Sequence[Task], *, whole: bool) -> "Unit":
        """The unit of some tasks of one gang, all on nodes."""
        gang = tasks[0].gang
        last = max(tasks, key=lambda task: (task.fact.started or task.fact.created, task.fact.uid))
        started = last.fact.started or last.fact.created
        priority = max(task.fact.priority for task in tasks)
        gives: dict[int, Sums] = {}
        for task in tasks:
            assert task.node is not None
            there = gives.setdefault(task.node.row, {})
            for axis, amount in task.shape.request:
                there[axis] = there.get(axis, 0) + amount
        key = (int(whole), gang.priority if gang else 0, priority, -started, last.fact.uid)
        return cls(tuple(tasks), whole, key, gives=gives)

    @property
    def there(self) -> bool:
        """It has not been told to go, on its own or with the rest of its gang."""
        return not self.going and any(task.state is not TaskState.RELEASING for task in self.tasks)


class Candidates:
    """Everybody who may go for one gang in one way, by row, cheapest first."""

    def __init__(
        self, state: ClusterState, view: View, policy: Policy, guard: Guard, beneficiary: Gang, way: Way, asked: Sums
    ) -> None:
        self._state = state
        self._view = view
        self._policy = policy
        self._guard = guard
        self._gang = beneficiary
        self._way = way
        self._asked = asked
        self._filters: tuple[VictimFilter, ...] = tuple(
            each for each in self._asking() if not (way.gang and getattr(each, "single", False))
        )
        self._by_victim = tuple(each for each in self._filters if getattr(each, "by_victim", False))
        self._divided = {axis: amount for axis, amount in asked.items() if axis in divided(state.queues)}
        self._within: dict[QueueName, bool] = {}
        self._whole: dict[str, Unit | None] = {}
        self._teams: dict[tuple[object, ...], Unit | None] = {}
        self.by_row: dict[int, list[Unit]] = {}
        #: Reason -> pods spared for it.
        self.spared: dict[str, int] = {}
        #: When the first of those may go who are spared only for a time.
        self.soonest: Instant | None = None
        self._collect()

    # -- looking around

    def _asking(self) -> tuple[VictimFilter, ...]:
        return self._policy.reclaimable if self._way.across else self._policy.preemptable

    def _runtime_ms(self, task: Task) -> int:
        """How long it must have run."""
        return self._policy.reclaim_min_runtime_ms if self._way.across else self._policy.preempt_min_runtime_ms

    def _collect(self) -> None:
        for gang in self._gangs():
            reason = self._gang_law(gang)
            if reason is not None:
                self._spare(reason, gang.count(TaskState.BOUND) + gang.count(TaskState.RUNNING))
                continue
            for task in gang.tasks.values():
                if task.state in EVICTABLE and (reason := self._veto(task)) is not None:
                    self._spare(reason)
                elif task.state in EVICTABLE:
                    self._offer(task)
        for units in self.by_row.values():
            units.sort(key=lambda unit: unit.key)

    def _gangs(self) -> Iterator[Gang]:
        queue = self._gang.queue
        assert queue is not None
        if self._way.inside:
            yield self._gang
            return
        if not self._way.across:
            yield from queue.gangs.values()
            return
        for other in self._state.queues.by_name.values():
            if other is not queue:
                yield from other.gangs.values()

    def _offer(self, task: Task) -> None:
        assert task.node is not None
        if not self._way.gang or may_lose(task):
            self.add(task.node.row, Unit.of([task], whole=False))
        elif (unit := self._team(task)) is not None or (unit := self.whole(task.gang)) is not None:
            self.add(task.node.row, unit)
        else:
            self._spare("needed by their gang")

    def add(self, row: int, unit: Unit) -> None:
        """One more unit that gives room on `row`; a gang is there once."""
        units = self.by_row.setdefault(row, [])
        if len(unit.tasks) == 1 or unit not in units:
            units.append(unit)

    def whole(self, gang: Gang | None) -> Unit | None:
        """All of a gang that is on nodes, if all of it may go."""
        if gang is None or not self._way.whole:
            return None
        if gang.id not in self._whole:
            tasks = [task for task in gang.tasks.values() if task.node is not None]
            going = [task for task in tasks if task.state is not TaskState.RELEASING]
            fine = all(task.state in EVICTABLE and self._veto(task) is None for task in going)
            fine = fine and self._guarantee(going) is None
            self._whole[gang.id] = Unit.of(going, whole=True) if going and fine else None
        return self._whole[gang.id]

    def _team(self, task: Task) -> Unit | None:
        """All of its sub-gang, where the gang can do without."""
        gang = task.gang
        key = key_of(task, gang.fact.sub_groups) if gang is not None and gang.fact is not None else None
        if gang is None or gang.fact is None or key is None:
            return None
        name = (gang.id, *key)
        if name not in self._teams:
            rules = gang.fact.sub_groups
            members = [each for each in gang.tasks.values() if each.state in PLACED and key_of(each, rules) == key]
            fine = all(each.state in EVICTABLE and self._veto(each) is None for each in members)
            fine = fine and may_lose_team(members) and self._guarantee(members) is None
            self._teams[name] = Unit.of(members, whole=False) if fine else None
        return self._teams[name]

    def rebuild(self, unit: Unit) -> None:
        """Some of a gang have gone one by one: what is left of it takes its place."""
        gang = unit.tasks[0].gang
        assert gang is not None
        for row in unit.gives:
            # It may have been struck off, or rebuilt, since somebody thought of it.
            units = self.by_row.get(row, [])
            if unit in units:
                units.remove(unit)
        if not unit.whole:
            return
        self._whole.pop(gang.id, None)
        left = self.whole(gang)
        for row in unit.gives:
            if left is not None and row in left.gives:
                self.add(row, left)

    def _spare(self, reason: str, count: int = 1) -> None:
        if count:
            self.spared[reason] = self.spared.get(reason, 0) + count

    # -- laws

    def _gang_law(self, gang: Gang) -> str | None:
        queue = gang.queue
        if gang.fact is None or queue is None or queue.fact is None:
            return "of gangs that nobody knows"
        if gang.fact.preemptable is False:
            return "not preemptable"
        if self._way.inside:
            return None
        if not self._way.across:
            lower = gang.priority < self._gang.priority and gang is not self._gang
            return None if lower else "of the same or higher priority"
        if not queue.fact.reclaimable:
            return "of queues that nothing is reclaimed from"
        return self._across(queue)

    def _entitled(self, queue: Queue) -> bool:
        """The beneficiary's queue, or one above it, stays within its share with all that is asked for."""
        if queue.name not in self._within:
            share, holds = queue.share or {}, staying(queue, own=queue is self._gang.queue)
            asked = self._divided.items()
            self._within[queue.name] = all(holds.get(axis, 0) + amount <= share.get(axis, 0) for axis, amount in asked)
        return self._within[queue.name] and bool(self._divided)

    def _above(self, queue: Queue) -> bool:
        """A victim's queue, or one above it, holds more than its share of something that is asked for."""
        share, holds = queue.share or {}, staying(queue, own=bool(queue.gangs))
        return any(holds.get(axis, 0) > share.get(axis, 0) for axis in self._divided)

    def _across(self, queue: Queue) -> str | None:
        """Why nothing may be taken from `queue`: it, and what it is part of, must be above their shares, and we below.

        Queues that both are part of do not matter; of those above, only such count as have a share of their own.
        """
        mine = self._gang.queue
        assert mine is not None
        if queue.share is None:
            return "of queues that have no share"
        for each in mine.path:
            if each in queue.path:
                break
            if (each is mine or _divides(each)) and not self._entitled(each):
                return "of other queues, while its own would be above its share"
        for each in queue.path:
            if each in mine.path:
                break
            if (each is queue or _divides(each)) and not self._above(each):
                return "of queues within their share"
        return None

    def _guarantee(self, tasks: Sequence[Task]) -> str | None:
        """Across queues nobody falls below what is guaranteed to him."""
        queue = tasks[0].gang.queue if tasks and tasks[0].gang else None
        for each in queue.path if queue is not None and self._way.across else ():
            for axis, least in each.guarantee.items():
                given = sum(amount for task in tasks for a, amount in task.shape.request if a == axis)
                if given and each.allocated.get(axis, 0) - each.leaving.get(axis, 0) - given < least:
                    return "within the guarantee of their queue"
        return None

    def _veto(self, task: Task) -> str | None:
        """Why this pod must stay, whatever its gang may lose."""
        fact, now, runtime = task.fact, self._view.now, self._runtime_ms(task)
        if not fact.preemptable:
            return "not preemptable"
        if self._way.inside and fact.priority >= highest(self._gang):
            return "of the same or higher task priority"
        for until, reason in (
            (task.spared_until, "whose eviction was refused"),
            (fact.started + runtime if runtime else 0, "that have just started"),
            (fact.started + fact.cooldown_ms if fact.cooldown_ms else 0, ""),
        ):
            if now < until:
                self.soonest = Instant(until if self.soonest is None else min(until, self.soonest))
                if reason:
                    return reason
        return self._ask(self._filters, task)

    def _ask(self, filters: Sequence[VictimFilter], task: Task) -> str | None:
        for each in filters:
            reason = self._guard.call(each, each.spares, "spared by a policy that failed", task, self._gang, self._view)
            if reason is not None:
                return reason
        return None

    # -- with others gone already

    def objection(self, unit: Unit) -> str | None:
        """Why it must stay after all, now that others have been told to go."""
        if unit.whole:
            gang = unit.tasks[0].gang
            assert gang is not None
            return self._gang_law(gang) or self._guarantee(unit.tasks)
        task = unit.tasks[0]
        if len(unit.tasks) > 1:
            gang = task.gang
            assert gang is not None
            lost = None if may_lose_team(unit.tasks) else "needed by their gang"
            return lost or self._gang_law(gang) or self._guarantee(unit.tasks)
        if self._way.gang and not may_lose(task):
            return "needed by their gang"
        assert task.gang is not None
        return self._gang_law(task.gang) or self._guarantee(unit.tasks) or self._ask(self._filters, task)

    def objects_now(self, task: Task) -> str | None:
        """Asked of every member of a whole gang on its way out."""
        return self._ask(self._by_victim, task)

    def note(self, reason: str) -> None:
        """One more is spared, on second thoughts."""
        self._spare(reason)


def highest(gang: Gang) -> int:
    """Of its members that wait, the highest priority."""
    return max((task.fact.priority for task in gang.pending.values()), default=0)


def pushes(gang: Gang) -> bool:
    """A member that waits is of higher priority than one that runs."""
    most = highest(gang)
    return any(task.fact.priority < most and task.state in EVICTABLE for task in gang.tasks.values())


def divided(queues: QueueTree) -> dict[int, None]:
    """Resources of which some queue has a share: of the others nothing is anybody's own."""
    axes: dict[int, None] = {}
    for queue in queues.by_name.values():
        axes |= dict.fromkeys(queue.share or ())
    return axes


def _divides(queue: Queue) -> bool:
    return any((queue.share or {}).values())


def staying(queue: Queue, *, own: bool) -> Sums:
    """What a queue holds and will hold, once all that leaves has left and all that is claimed is placed.

    `own`: by its own gangs; otherwise by all below it.
    """
    held = dict(queue.own) if own else queue.held()
    add(held, (queue.own_leaving if own else queue.leaving).items(), -1)
    add(held, (queue.own_claimed if own else queue.claimed).items())
    return held
