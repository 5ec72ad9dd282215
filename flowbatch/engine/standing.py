"""Where a gang stands: what it asks for next, or what it lacks before it may ask. Reads only the gang and its queue.

Members without pods are of two kinds. A task without dependencies will get its pods at once, so the gang waits for
them. A task that `waits_for` others gets its pods later, on purpose: it counts as present, and room for its declared
minimum (or as many as `min_members` needs) is reserved together with the first placement: room for all phases at the
same time, but for members that are to take over the room of others who will have succeeded by then. It may be more than
they will use, but a later phase never finds its room taken.
"""

from dataclasses import dataclass, field

import msgspec

from flowbatch.engine.teams import Team, Teams
from flowbatch.model.blockers import Blocker, Gated, NeedsGang, NeedsMembers, QueueMissing
from flowbatch.model.facts import Reach, SubGroups
from flowbatch.model.gangs import Gang, Role, Task
from flowbatch.model.ids import GangId, QueueName, ShapeId
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.resources import Request, Sums, add, positive_difference
from flowbatch.model.shapes import Shape


class LaneKey(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Gangs with equal keys ask for the same of the same queue: if one is refused, so are the others.

    `parts` are (shape, pods that wait, of which must be placed), `reserve` is (shape, members) to hold room for.
    `solo` names the gang where something makes it unlike all others, `owners` whose it is where that matters.
    In a queue that is `fifo` all gangs stand in one lane, whatever they ask for: so its first holds up the others.
    """

    queue: QueueName
    stage: str
    parts: tuple[tuple[ShapeId, int, int], ...] = ()
    reserve: tuple[tuple[ShapeId, int], ...] = ()
    minimum: Request = ()
    reach: Reach | None = None
    groups: tuple[SubGroups, ...] = ()
    solo: GangId | None = None
    #: How long its pods say they will run, where that decides (engine.reservations).
    estimate_ms: int | None = None
    owners: tuple[str, ...] = ()
    fifo: bool = False
    #: Where others may have to go for it: those of lower priority, if it may ask for that at all.
    rank: int | None = None
    #: By part, which of them share a task, where the minimum leaves a choice between parts.
    least: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True, eq=False)
class Part:
    """Pending tasks of one role and shape, in order; the first `must` are needed for the gang's minimum."""

    role: Role
    shape: Shape
    tasks: list[Task]
    must: int = 0
    #: The sub-gang they belong to; None for those who belong to none.
    team: Team | None = None


@dataclass(slots=True, eq=False)
class Demand:
    """What a gang asks for in its next attempt."""

    parts: list[Part]
    #: Members without pods to hold room for.
    reserve: list[tuple[Role, int]]
    #: Pods without requests: placed one by one, outside the gang's all or nothing.
    best_effort: list[Part]
    #: Only members beyond the minimum are left to place.
    surplus: bool
    #: Sub-gangs, where there are any.
    teams: list[Team] = field(default_factory=list)
    #: How many pods of each task the minimum needs, whatever else it takes.
    least: list[tuple[str, int]] = field(default_factory=list)

    def awaited(self, gang: Gang) -> Sums:
        """What members without pods ask for, beyond what is held for them already."""
        sums: Sums = {}
        for role, count in self.reserve:
            if role.shape is not None:
                add(sums, role.shape.request, count)
        return positive_difference(sums, gang.reserved)

    def lane(self, gang: Gang, queue: QueueName) -> LaneKey:
        """The key of all gangs that ask for the same."""
        alone = (
            gang.reservations
            or gang.claims
            or gang.berths
            or self.best_effort
            or gang.repairing
            or any(t.refused for t in gang.pending.values())
        )
        fact = gang.fact
        assert fact is not None
        if fact.reach is not None or fact.sub_groups:
            # Where its others are, or were, decides where it may, or would like to, go.
            alone = bool(alone or gang.live or fact.home)
        return LaneKey(
            queue,
            "place",
            tuple((part.shape.id, len(part.tasks), part.must) for part in self.parts),
            tuple((role.shape.id, count) for role, count in self.reserve if role.shape),
            reach=fact.reach,
            groups=fact.sub_groups,
            solo=gang.id if alone else None,
            owners=owners_of(gang),
            least=self._tasks() if len(self.parts) > 1 else (),
        )

    def _tasks(self) -> tuple[tuple[int, int], ...]:
        """(number of the task, its minimum) of each part: whether two gangs have the same choices."""
        number = {part.role.name: place for place, part in enumerate(self.parts)}
        least = dict(self.least)
        return tuple((number[part.role.name], least.get(part.role.name, 0)) for part in self.parts)


def missing(gang: Gang) -> Blocker | None:
    """What must exist before anything else is asked."""
    if gang.fact is None:
        return NeedsGang()
    queue = gang.queue
    if queue is None or queue.fact is None:
        return QueueMissing(gang.fact.queue)
    return None


def demand(gang: Gang) -> Demand | Blocker | None:
    """What an admitted gang asks for next; a Blocker where members are missing; None where it has all it can have."""
    if is_plain(gang):
        return _plain_demand(gang)
    teams = Teams(gang)
    parts, best_effort = _parts(gang, teams)
    lack = minima(gang)
    need = max(0, gang.min_members - gang.ready - sum(len(part.tasks) for part in best_effort))
    for part in best_effort:
        lack[part.role.name] = lack.get(part.role.name, 0) - len(part.tasks)
    for each in gang.reservations:
        # Those for whom room is held have come: they get it, whatever else the gang may lack.
        come = sum(len(part.tasks) for part in parts if part.role.name == each.role)
        lack[each.role] = max(lack.get(each.role, 0), min(come, each.total))
    least = _least(parts, lack)
    if teams.all:
        rest = teams.plan(gang, lack, need)
        if isinstance(rest, Blocker):
            return rest
        need = rest
    need = _spread_need([part for part in parts if part.team is None], lack, need)
    reserve, need = _reserve(gang, lack, need)
    short = _short(gang, lack, need)
    if short is not None:
        return short
    surplus = not any(part.must for part in parts)
    held = [(each.role, each.total) for each in gang.reservations]
    if not parts and not best_effort and held == [(role.name, count) for role, count in reserve]:
        return None
    surplus = surplus and held == [(role.name, count) for role, count in reserve]
    return Demand(parts, reserve, best_effort, surplus, teams.all, least)


def is_plain(gang: Gang) -> bool:
    """One role of equal pods, enough of them, and nothing said about parts of it: most gangs."""
    fact = gang.fact
    assert fact is not None
    if len(gang.roles) > 1 or fact.declared or fact.min_by_task or fact.sub_groups or gang.reservations:
        return False
    shapes = {task.shape: None for task in gang.pending.values()}
    equal = len(shapes) <= 1 and not any(shape.best_effort for shape in shapes)
    return equal and gang.min_members - gang.ready <= len(gang.pending)


def _plain_demand(gang: Gang) -> Demand | None:
    tasks = list(gang.pending.values())
    if not tasks:
        return None
    if len(tasks) > 1:
        tasks.sort(key=lambda task: (-task.fact.priority, task.fact.index, task.fact.created, task.fact.uid))
    must = max(0, gang.min_members - gang.ready)
    role = tasks[0].role
    assert role is not None
    return Demand([Part(role, tasks[0].shape, tasks, must)], [], [], surplus=not must)


def _least(parts: list[Part], lack: dict[str, int]) -> list[tuple[str, int]]:
    """How many of the pods that wait each task's own minimum needs."""
    if not lack:
        return []
    there: dict[str, int] = {}
    for part in parts:
        there[part.role.name] = there.get(part.role.name, 0) + len(part.tasks)
    return [(name, min(count, lack[name])) for name, count in there.items() if lack.get(name, 0) > 0]


def owners_of(gang: Gang) -> tuple[str, ...]:
    """Its namespace and user, if what they may hold is limited: then only their own gangs are like it."""
    return tuple(name for _, name in gang.owners) if gang.queue is not None and gang.queue.limits_owners else ()


def minima(gang: Gang) -> dict[str, int]:
    """How many more of each task must have a place; minima that add up to more than the gang's own are not asked."""
    fact = gang.fact
    assert fact is not None
    stated = dict(fact.min_by_task) or {task.name: task.minimum for task in fact.declared}
    if sum(stated.values()) > gang.min_members:
        return {}
    ready = {name: role.ready for name, role in gang.roles.items()}
    return {name: minimum - ready.get(name, 0) for name, minimum in stated.items() if minimum > ready.get(name, 0)}


def _parts(gang: Gang, teams: Teams) -> tuple[list[Part], list[Part]]:
    position, team_of = _positions(gang), teams.of
    place = {id(team): at for at, team in enumerate(teams.all, 1)}
    tasks = sorted(
        gang.pending.values(),
        key=lambda task: (
            -task.fact.priority,
            position[task.fact.task],
            place[id(team_of[task.fact.uid])] if task.fact.uid in team_of else 0,
            task.fact.index,
            task.fact.created,
            task.fact.uid,
        ),
    )
    parts: list[Part] = []
    best_effort: list[Part] = []
    last: Part | None = None
    for task in tasks:
        team = team_of.get(task.fact.uid)
        if last is None or last.role is not task.role or last.shape is not task.shape or last.team is not team:
            assert task.role is not None
            last = Part(task.role, task.shape, [], team=team)
            (best_effort if task.shape.best_effort else parts).append(last)
            if team is not None and not task.shape.best_effort:
                team.parts.append(last)
        last.tasks.append(task)
    return parts, best_effort


def _positions(gang: Gang) -> dict[str, tuple[int, str]]:
    """Tasks in the order of declaration, the others after them by name."""
    declared = gang.fact.declared if gang.fact else ()
    order = {task.name: place for place, task in enumerate(declared)}
    return {name: (order.get(name, len(order)), name) for name in gang.roles}


def _spread_need(parts: list[Part], lack: dict[str, int], need: int) -> int:
    """Mark which pending tasks the minimum needs: first what each task needs, then in order. Returns what is left."""
    for part in parts:
        part.must = min(len(part.tasks), max(0, lack.get(part.role.name, 0)))
        lack[part.role.name] = lack.get(part.role.name, 0) - part.must
        need -= part.must
    for part in parts:
        more = min(len(part.tasks) - part.must, max(0, need))
        part.must += more
        lack[part.role.name] = lack.get(part.role.name, 0) - more
        need -= more
    return need


def _reserve(gang: Gang, lack: dict[str, int], need: int) -> tuple[list[tuple[Role, int]], int]:
    """For whom to hold room: declared minima of tasks held back, then as many as the gang's minimum still needs."""
    counts: dict[str, int] = {}
    heirs: dict[str, int] = {}
    position = _positions(gang)
    roles = sorted((role for role in gang.roles.values() if role.held_back), key=lambda role: position[role.name])
    for role in roles:
        declared = role.declared
        assert declared is not None
        counts[role.name] = min(role.held_back, max(0, declared.minimum - role.present, lack.get(role.name, 0)))
        need -= counts[role.name]
        if declared.takes_over:
            heirs[role.name] = min(counts[role.name], gang.inheriting(role.name))
    for role in roles:
        more = min(role.held_back - counts[role.name], max(0, need))
        counts[role.name] += more
        need -= more
    for role in roles:
        lack[role.name] = lack.get(role.name, 0) - counts[role.name]
    asking = [
        (role, count)
        for role in roles
        if (count := counts[role.name] - heirs.get(role.name, 0)) and not (role.shape and role.shape.best_effort)
    ]
    return asking, need


def _short(gang: Gang, lack: dict[str, int], need: int) -> Blocker | None:
    """What is said when members are missing: gates first, because then people have to act elsewhere."""
    lacking = [name for name in sorted(lack) if lack[name] > 0]
    if need <= 0 and not lacking:
        return None
    gated = gang.gated
    if gated and need <= gated and all(lack[name] <= gang.roles[name].gated for name in lacking if name in gang.roles):
        return Gated(gated, len(gang.pending), gang.min_members)
    if lacking and need <= 0:
        name = lacking[0]
        role = gang.roles.get(name)
        have = members(role) if role else 0
        return NeedsMembers(have, have + lack[name], name)
    return NeedsMembers(sum(members(role) for role in gang.roles.values()), gang.min_members)


def members(role: Role) -> int:
    """Members that exist or are held back; failed and leaving ones do not count."""
    counts = role.counts
    return role.ready + counts[TaskState.PENDING] + role.held_back
