"""Who comes first: gangs in a queue, and queues among each other."""

from dataclasses import dataclass

from flowbatch.model.gangs import Gang
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Key


def dominant_share(held: Sums, total: Sums) -> float:
    """The largest part that `held` is of `total` on any axis (Ghodsi et al., NSDI 2011). All of nothing is one."""
    share = 0.0
    for axis, amount in held.items():
        whole = total.get(axis, 0)
        part = amount / whole if whole else 1.0
        share = max(share, part)
    return share


@dataclass(frozen=True)
class Priority:
    """Higher priority class first (Volcano: priority plugin)."""

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """Negative priority."""
        return (-gang.priority,)


@dataclass(frozen=True)
class UnreadyFirst:
    """Gangs that lack their minimum before those that only want more (Volcano: gang plugin)."""

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """0 while it lacks its minimum."""
        return (int(gang.ready >= gang.min_members),)


@dataclass(frozen=True)
class DominantShare:
    """The gang that holds the smaller dominant share of the cluster first (Volcano: drf plugin)."""

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """Its dominant share."""
        return (dominant_share(gang.allocated, view.total),)


@dataclass(frozen=True)
class Oldest:
    """First come, first served; every order ends in it anyway."""

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """Creation time."""
        return (gang.created,)


@dataclass(frozen=True)
class QueuePriority:
    """Queues of higher `spec.priority` first."""

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """Negative priority."""
        return (-queue.fact.priority if queue.fact else 0,)


@dataclass(frozen=True)
class LeastServed:
    """The queue that uses the smaller part of its share first (Volcano: proportion plugin)."""

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """Dominant part of its share that it holds."""
        return (dominant_share(queue.own, queue.share if queue.share is not None else view.total),)
