"""Whom an eviction must spare. Each filter gives its reason as it stands after a count: "3 of higher priority".

They are asked inside a trial: victims chosen before are leaving already, so what a gang or a queue has left is what it
holds less what is leaving. The engine has laws of its own besides: who may evict whom, guarantees, `preemptable`.
"""

from dataclasses import dataclass

from flowbatch.model.gangs import Gang, Task
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
    """Its gang keeps its minimum, and its task's, without this member."""
    gang, role = task.gang, task.role
    if gang is None or gang.fact is None or role is None:
        return True
    if gang.ready <= gang.min_members:
        return False
    return role.ready > role_minimum(gang, role.name)


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
