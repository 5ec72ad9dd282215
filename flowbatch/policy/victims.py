"""Whom an eviction must spare. Each filter gives its reason as it stands after a count: "3 of higher priority".

Those that are `about_parts` weigh whose part of the cluster it is; of a pod that only moves they are not asked.

They are asked inside a trial: victims chosen before are leaving already, so what a gang or a queue has left is what it
holds less what is leaving. The engine has laws of its own besides: who may evict whom, guarantees, `preemptable`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowbatch.model.facts import SubGroups
from flowbatch.model.gangs import PLACED, Gang, Task, key_of
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, positive_difference
from flowbatch.model.view import ClusterView
from flowbatch.policy.ordering import dominant_share

#: Of what an eviction would break first.
CRITICAL_CLASSES = ("system-cluster-critical", "system-node-critical")
CRITICAL_NAMESPACE = "kube-system"
#: Volcano's drf plugin takes shares for equal that differ by less.
SHARE_DELTA = 1e-6


def may_lose(task: Task) -> bool:
    """Its gang keeps its minimum without this member, and so do its task and its sub-gang."""
    gang, role = task.gang, task.role
    if gang is None or gang.fact is None or role is None:
        return True
    if gang.ready <= gang.min_members or role.ready <= role_minimum(gang, role.name):
        return False
    return not gang.fact.sub_groups or _beyond_team(task, gang, gang.fact.sub_groups)


def may_lose_team(members: Sequence[Task]) -> bool:
    """Its gang keeps all of its minima without this whole sub-gang."""
    gang = members[0].gang
    assert gang is not None
    fact = gang.fact
    assert fact is not None
    key = key_of(members[0], fact.sub_groups)
    if key is None or gang.ready - len(members) < gang.min_members:
        return False
    rule = fact.sub_groups[key[0]]
    ready: dict[tuple[str, ...], int] = {}
    for task in gang.tasks.values():
        if (task.state in PLACED or task.state is TaskState.SUCCEEDED) and (other := key_of(task, fact.sub_groups)):
            ready[other[1]] = ready.get(other[1], 0) + (other[0] == key[0])
    losing: dict[str, int] = {}
    for task in members:
        losing[task.fact.task] = losing.get(task.fact.task, 0) + 1
    if any(gang.roles[name].ready - count < role_minimum(gang, name) for name, count in losing.items()):
        return False
    return sum(count >= rule.size for count in ready.values()) > rule.minimum


def _beyond_team(task: Task, gang: Gang, rules: tuple[SubGroups, ...]) -> bool:
    """Its sub-gang, if it is in one, stays whole without it."""
    key = key_of(task, rules)
    if key is None:
        return True
    ready = sum(
        (other.state in PLACED or other.state is TaskState.SUCCEEDED) and key_of(other, rules) == key
        for other in gang.tasks.values()
    )
    return ready > rules[key[0]].size


def role_minimum(gang: Gang, name: str) -> int:
    """How many members of one task must be there; minima that add up to more than the gang's own are not asked."""
    fact = gang.fact
    if fact is None:
        return 0
    stated = dict(fact.min_by_task) or {task.name: task.minimum for task in fact.declared}
    return stated.get(name, 0) if sum(stated.values()) <= gang.min_members else 0


def staying(gang: Gang) -> Sums:
    """What a gang holds without what is leaving."""
    return positive_difference(gang.allocated, gang.leaving)


@dataclass(frozen=True)
class Surplus:
    """A gang gives only members beyond its minimum (Volcano: gang plugin). Whole gangs are weighed by the engine."""

    #: Not asked where whole gangs may go.
    single = True

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Needed for the minimum of its gang."""
        return None if may_lose(victim) else "needed by their gang"


@dataclass(frozen=True)
class LowerPriority:
    """Only gangs of lower priority, and in one gang only tasks of lower priority (Volcano: priority plugin)."""

    about_parts = True

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Of the same or of higher priority."""
        if victim.gang is None:
            return "of nobody's gang"
        if victim.gang is beneficiary:
            waiting = [task.fact.priority for task in beneficiary.pending.values()]
            return None if waiting and victim.fact.priority < max(waiting) else "of the same or higher task priority"
        return None if victim.gang.priority < beneficiary.priority else "of the same or higher priority"


@dataclass(frozen=True)
class Conformance:
    """What keeps the cluster itself alive stays (Volcano: conformance plugin)."""

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Critical for the system."""
        fact = victim.fact
        critical = fact.namespace == CRITICAL_NAMESPACE or fact.priority_class in CRITICAL_CLASSES
        return "critical for the system" if critical else None


@dataclass(frozen=True)
class SmallerShare:
    """The gang that waits would still hold no more of the cluster than the one that gives (Volcano: drf plugin)."""

    about_parts = True

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Of a gang that would hold less than the one it makes room for."""
        gang = victim.gang
        if gang is None:
            return None
        asked = next(iter(beneficiary.pending.values()), None)
        mine = staying(beneficiary)
        for axis, amount in asked.shape.request if asked else ():
            mine[axis] = mine.get(axis, 0) + amount
        theirs = positive_difference(staying(gang), dict(victim.shape.request))
        larger = dominant_share(mine, view.total) > dominant_share(theirs, view.total) + SHARE_DELTA
        return "of gangs with a smaller share" if larger else None


@dataclass(frozen=True)
class OverShare:
    """Only queues above their share in a resource that is asked for (Volcano: proportion plugin)."""

    about_parts = True

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Of a queue within its share."""
        queue = victim.gang.queue if victim.gang else None
        return (
            None if queue is not None and exceeds(queue, queue.share, beneficiary) else "of queues within their share"
        )


def exceeds(queue: Queue, part: Sums | None, beneficiary: Gang) -> bool:
    """The queue's own gangs hold more than its part of something that `beneficiary` asks for."""
    if part is None:
        return False
    asked = (beneficiary.wanted, beneficiary.awaited)
    return any(
        queue.own.get(axis, 0) - queue.own_leaving.get(axis, 0) > part.get(axis, 0) for sums in asked for axis in sums
    )


@dataclass(frozen=True)
class Cooldown:
    """A pod that has just started is let work for as long as it says (Volcano: cdp plugin, for elastic training)."""

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Still in its cooldown."""
        fact = victim.fact
        return "in their cooldown" if fact.cooldown_ms and view.now < fact.started + fact.cooldown_ms else None


@dataclass(frozen=True)
class WithinBudget:
    """No more of a budget's pods than it allows (Volcano: pdb plugin)."""

    #: What it says changes with every victim, in the middle of a gang too.
    by_victim = True

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """Protected by a budget that is spent."""
        budgets = view.budgets
        if not budgets:
            return None
        spent = next((each for each in budgets.covering(victim.fact) if budgets.left(each) <= 0), None)
        return f"protected by budget {spent.id}" if spent else None
