"""Queues that say themselves what they deserve, in a tree or flat (Volcano: capacity plugin).

A queue may hold all that its limits and its ancestors' allow; what it deserves only orders queues among each other, and
says above what others may reclaim from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowbatch.model.blockers import Blocker, QueueNotLeaf
from flowbatch.model.gangs import Gang
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Key
from flowbatch.policy.share import real_capability


@dataclass(frozen=True)
class Deserved:
    """Each queue's share is what it deserves: within its limits when flat, and never below its guarantee.

    `ancestor_reclaim_level` is how many levels below the root a queue that reclaims, and one that gives, are compared.
    """

    tree: bool = False
    ancestor_reclaim_level: int = 0

    def divide(self, queues: Sequence[Queue], total: Sums, view: ClusterView) -> list[Sums]:
        """Amounts by axis; a resource that a queue does not say it deserves is all beyond its share."""
        return [self._share(queue, total) for queue in queues]

    def _share(self, queue: Queue, total: Sums) -> Sums:
        if queue.parent is None and self.tree:
            return _together(queue)
        deserved = dict(queue.deserved)
        if not self.tree:
            real = real_capability(queue, total)
            deserved = {axis: min(amount, real.get(axis, 0)) for axis, amount in deserved.items()}
        for axis, amount in queue.guarantee.items():
            deserved[axis] = max(amount, deserved.get(axis, 0))
        return deserved


def _together(queue: Queue) -> Sums:
    """What its children deserve in all."""
    total: Sums = {}
    for child in queue.children:
        add(total, {**child.guarantee, **child.deserved}.items())
    return total


@dataclass(frozen=True)
class DeservedOrder:
    """The queue that holds the smaller part of what it deserves first; of equal ones, one that deserves something.

    In a tree the levels are compared from the top: two queues are told apart where their ancestors first differ.
    """

    tree: bool = False

    @property
    def by_tree(self) -> bool:
        """It looks at what ancestors hold."""
        return self.tree

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """(part it holds, nothing deserved) for the queue, or for each queue on its path."""
        if not self.tree:
            return _standing(queue, queue.own)
        levels: list[float] = []
        for each in reversed(queue.path[:-1]):
            levels.extend(_standing(each, each.held()))
        return (tuple(levels),)


def _standing(queue: Queue, held: Sums) -> tuple[float, int]:
    """A queue that deserves nothing counts as full."""
    share = queue.share or {}
    if not any(share.values()):
        return 1.0, 1
    return max(_part(held.get(axis, 0), whole) for axis, whole in share.items()), 0


def _part(held: int, whole: int) -> float:
    if whole:
        return held / whole
    return 1.0 if held else 0.0


@dataclass(frozen=True)
class LeafOnly:
    """Gangs belong in queues without queues below."""

    alike = True

    def blocker(self, gang: Gang, view: ClusterView) -> Blocker | None:
        """QueueNotLeaf while its queue has children."""
        queue = gang.queue
        if queue is None or not queue.children:
            return None
        return QueueNotLeaf(queue.name, queue.children[0].name)
