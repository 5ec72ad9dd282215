"""Gates that count on evictions: what somebody would have to leave for a gang does not keep it out.

Volcano's gates do not know of that: a job that could only run by preemption stays Pending there, and as its pods do not
exist it never preempts. A Volcano configuration keeps those gates; the preset "preempting" has these around them.
"""

from dataclasses import dataclass

from flowbatch.model.blockers import Blocker, NeedsHeadroom, NeedsQuota
from flowbatch.model.gangs import Gang
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add, positive_difference
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Admission
from flowbatch.policy.victims import staying


@dataclass(frozen=True)
class UnlessEvictable:
    """`gate`, but open where what is short could be had from others: at most that, who may go is looked at later."""

    gate: Admission

    @property
    def alike(self) -> bool:
        """As the gate; priority is part of who is alike wherever there are evictions."""
        return bool(getattr(self.gate, "alike", False))

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """What the gate says, unless enough is held by those who would have to make room."""
        found = self.gate.blocker(gang, view)
        if not isinstance(found, NeedsHeadroom | NeedsQuota) or found.hopeless or gang.queue is None:
            return found
        if gang.fact is None or not gang.fact.preempts:
            return found
        others = excess(gang, gang.queue, view) if isinstance(found, NeedsHeadroom) else {}
        given = lower(gang, gang.queue)
        add(given, others.items())
        short = {view.axes.axis(name): amount for name, amount in found.short}
        return None if all(given.get(axis, 0) >= amount for axis, amount in short.items()) else found


def lower(gang: Gang, queue: Queue) -> Sums:
    """What gangs of lower priority in its queue hold."""
    sums: Sums = {}
    for other in queue.gangs.values():
        if other.allocated and other.priority < gang.priority and other.fact and other.fact.preemptable is not False:
            add(sums, staying(other).items())
    return sums


def excess(gang: Gang, queue: Queue, view: ClusterView) -> Sums:
    """What queues that may be reclaimed from hold above their shares; nothing for a queue above its own."""
    share = queue.share
    if share is None:
        return {}
    for axis, amount in gang.minimum:
        if queue.own.get(axis, 0) - queue.own_leaving.get(axis, 0) + amount > share.get(axis, 0):
            return {}
    sums: Sums = {}
    for other in view.queues.by_name.values():
        if other is not queue and other.share is not None and other.fact is not None and other.fact.reclaimable:
            held = positive_difference(other.own, other.own_leaving)
            add(sums, positive_difference(held, other.share).items())
    return sums
