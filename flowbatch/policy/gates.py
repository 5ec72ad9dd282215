"""The enqueue gate: which gangs may have pods now (PodGroup Pending to Inqueue).

Pods of gangs that cannot start soon only cost the API server; so a gang is let in when its stated minimum fits what its
queue may hold and what the whole cluster can promise. A gang without `minResources` always passes.
"""

from dataclasses import dataclass, field

from flowbatch.model.blockers import Blocker, NeedsHeadroom, NeedsQuota, QueueClosed
from flowbatch.model.gangs import Gang
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Request, Sums, add, shortfall
from flowbatch.model.view import ClusterView
from flowbatch.policy.share import Capability


def minimum_of(gang: Gang) -> Request:
    """The gang's stated minimum on our axes; empty where it states none."""
    return gang.minimum


@dataclass(frozen=True)
class QueueOpen:
    """Only open queues let gangs in, and none below one that is suspended; those already in go on."""

    alike = True
    #: No permit opens this gate.
    firm = True

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """QueueClosed while the queue is not Open."""
        queue = gang.queue
        if queue is None or queue.fact is None:
            return None
        if not queue.open:
            return QueueClosed(queue.name, queue.fact.state)
        stopped = next((each for each in queue.path if each.fact and each.fact.state == "Suspended"), None)
        return QueueClosed(stopped.name, "Suspended") if stopped is not None else None


@dataclass(frozen=True)
class QueueRoom:
    """minResources + allocated + inqueue - elastic is within what the queue may ever hold (Volcano: proportion)."""

    ceiling: Capability = field(default_factory=Capability)
    alike = True

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """NeedsQuota for the first queue on the path that has no room."""
        minimum = minimum_of(gang)
        for queue in gang.queue.path if gang.queue and minimum else ():
            limit = self.ceiling.limit(queue, view)
            taken = promised(queue) if limit else {}
            short = shortfall(minimum, taken, limit) if limit else {}
            if short:
                names, hopeless = view.axes.names, bool(shortfall(minimum, {}, limit))
                told = view.axes.amounts(short)
                passes_at = tuple((names[axis], taken.get(axis, 0) - amount) for axis, amount in short.items())
                return NeedsQuota(queue.name, self.ceiling.kind, told, hopeless, passes_at=passes_at, counts="promised")
        return None


def promised(queue: Queue) -> Sums:
    """What the queue holds or has promised, less what gangs hold beyond their minimum."""
    sums = queue.held()
    add(sums, queue.inqueue.items())
    add(sums, queue.elastic.items(), -1)
    return sums


@dataclass(frozen=True)
class Overcommit:
    """inqueue + minResources must fit total x factor - used, on the axes asked for (Volcano: overcommit plugin)."""

    factor: float = 1.2
    alike = True
    #: Smallest sensible arguments.
    least = {"factor": 1.0}

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """NeedsHeadroom while too much is promised."""
        minimum = minimum_of(gang)
        if not minimum:
            return None
        permille = round(self.factor * 1000)
        total = {axis: view.total.get(axis, 0) for axis, _ in minimum}
        limit = {axis: amount * permille // 1000 for axis, amount in total.items()}
        taken = {axis: view.used.get(axis, 0) + view.inqueue.get(axis, 0) for axis, _ in minimum}
        tight = shortfall(minimum, taken, limit)
        if not tight:
            return None
        # What is told is the room it needs to start, which is more than what would let it past this gate.
        short = {axis: amount for axis, amount in shortfall(minimum, taken, total).items() if axis in tight}
        names = view.axes.amounts
        asked = {axis: amount for axis, amount in minimum if axis in tight}
        there, used = ({axis: sums[axis] for axis in tight} for sums in (total, taken))
        hopeless = bool(shortfall(minimum, {}, limit))
        passes_at = tuple((view.axes.names[axis], limit[axis] - amount) for axis, amount in asked.items())
        return NeedsHeadroom(names(short), names(asked), names(there), names(used), hopeless, passes_at)
