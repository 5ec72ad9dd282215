"""Queues as a tree. Every queue is a path to the root, and every sum is kept for each queue on that path.

A broken tree degrades by queue and never as a whole: a missing parent, or a circle of parents, hangs the queue under
the root and says so in `orphaned`.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowbatch.model.facts import QueueSeen
from flowbatch.model.ids import GangId, QueueName
from flowbatch.model.resources import Request, Sums, add

if TYPE_CHECKING:
    from flowbatch.model.gangs import Gang

ROOT = QueueName("root")


@dataclass(slots=True, eq=False)
class Queue:
    """A queue, or a name that gangs or children use and that nobody has shown us (`fact` is None)."""

    name: QueueName
    fact: QueueSeen | None = None
    #: From this queue up to the root, itself first.
    path: "tuple[Queue, ...]" = ()
    #: The parent that was asked for does not exist, or asks for us.
    orphaned: bool = False
    gangs: "dict[GangId, Gang]" = field(default_factory=dict)
    #: Held by, and reserved for, its own gangs only: what its share is compared with.
    own: Sums = field(default_factory=dict)
    #: Held by tasks of this queue and everything below it.
    allocated: Sums = field(default_factory=dict)
    #: Held for members that have no pod yet.
    reserved: Sums = field(default_factory=dict)
    #: Promised to admitted gangs that have not started.
    inqueue: Sums = field(default_factory=dict)
    #: Held by gangs beyond their stated minimum.
    elastic: Sums = field(default_factory=dict)
    #: Asked for by pods that wait, and for members to come.
    wanted: Sums = field(default_factory=dict)
    #: Part of `own` and of `allocated` that is about to be given back, because its tasks are leaving.
    own_leaving: Sums = field(default_factory=dict)
    leaving: Sums = field(default_factory=dict)
    #: Claimed by its own gangs, and by all below it, on top of what they hold.
    own_claimed: Sums = field(default_factory=dict)
    claimed: Sums = field(default_factory=dict)
    capability: Sums = field(default_factory=dict)
    guarantee: Sums = field(default_factory=dict)
    deserved: Sums = field(default_factory=dict)
    #: Its share of the cluster now, as the policy divides it; None where no policy does.
    share: Sums | None = None

    @property
    def weight(self) -> int:
        """At least one, so that a nonsensical weight cannot starve or divide by zero."""
        return max(1, self.fact.weight) if self.fact else 1

    @property
    def open(self) -> bool:
        """New gangs may be admitted."""
        return self.fact is not None and self.fact.state == "Open"

    def held(self) -> Sums:
        """Allocated and reserved together: what counts against limits."""
        total = dict(self.allocated)
        add(total, self.reserved.items())
        return total

    def idle(self) -> bool:
        """Nothing needs this name any more."""
        return self.fact is None and not self.gangs


class QueueTree:
    """All queues by name, with the root that is always there."""

    def __init__(self) -> None:
        root = Queue(ROOT)
        root.path = (root,)
        self.root = root
        self.by_name: dict[QueueName, Queue] = {ROOT: root}
        #: What all queues together are guaranteed.
        self.guaranteed: Sums = {}

    def named(self, name: QueueName) -> Queue:
        """The queue of that name, shown to us or not."""
        queue = self.by_name.get(name)
        if queue is None:
            queue = self.by_name[name] = Queue(name)
            queue.path = (queue, self.root)
        return queue

    def forget(self, queue: Queue) -> None:
        """Drop a name that nothing needs; the root stays."""
        if queue is not self.root and queue.idle():
            del self.by_name[queue.name]

    def link(self) -> None:
        """Find every queue's path again, after one came, went or changed its parent. No recursion: depth is input."""
        for queue in self.by_name.values():
            queue.path, queue.orphaned = self._path(queue)

    def sum_guarantees(self) -> None:
        """Add up what queues are guaranteed; a parent's guarantee covers its children's."""
        self.guaranteed = {}
        for queue in self.by_name.values():
            if queue.guarantee and not any(ancestor.guarantee for ancestor in queue.path[1:]):
                add(self.guaranteed, queue.guarantee.items())

    def _path(self, queue: Queue) -> tuple[tuple[Queue, ...], bool]:
        path = {queue.name: queue}
        while queue is not self.root:
            name = queue.fact.parent if queue.fact and queue.fact.parent else ROOT
            parent = self.by_name.get(name)
            if parent is None or (parent.fact is None and parent is not self.root) or parent.name in path:
                first = next(iter(path.values()))
                return (first, self.root), True
            path[parent.name] = parent
            queue = parent
        return tuple(path.values()), False

    def leaves(self) -> list[Queue]:
        """Queues that have gangs, by name."""
        return sorted((queue for queue in self.by_name.values() if queue.gangs), key=lambda queue: queue.name)


def charge(queue: Queue | None, request: Request, count: int = 1) -> None:
    """Add to what `queue` and its ancestors have allocated; a negative count takes it away."""
    if queue is not None:
        add(queue.own, request, count)
        for each in queue.path:
            add(each.allocated, request, count)
