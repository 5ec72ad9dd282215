"""Queues as a tree. Every queue is a path to the root, and every sum is kept for each queue on that path.

A broken tree degrades by queue and never as a whole: a missing parent, or a circle of parents, hangs the queue under
the root and says so in `orphaned`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowbatch.model.facts import QueueSeen
from flowbatch.model.ids import GangId, QueueName
from flowbatch.model.memory import Memory
from flowbatch.model.owners import Accounts
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
    #: Queues right below, by name; only those that have been shown to us.
    children: "tuple[Queue, ...]" = ()
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
    #: Guaranteed to it or, if that is more, to its children together.
    assured: Sums = field(default_factory=dict)
    #: What its children are assured of in all.
    pledged: Sums = field(default_factory=dict)
    #: How much it may hold above its quota, by axis; None on all axes but those.
    borrowing: Sums = field(default_factory=dict)
    #: How much of its quota it lends, by axis; all of it on all others.
    lending: Sums = field(default_factory=dict)
    #: What it deserves, or its children together if that is more, without what those keep for themselves.
    quota: Sums = field(default_factory=dict)
    #: The part of its quota that it does not lend.
    kept: Sums = field(default_factory=dict)
    #: What namespaces and users hold here, where that is limited.
    accounts: Accounts | None = None
    #: Here or above, what namespaces or users hold is counted.
    limits_owners: bool = False
    #: What it has used, while a policy asks for it.
    memory: Memory | None = None
    #: What it may hold before others may reclaim, as the policy divides the cluster now; None where no policy does.
    share: Sums | None = None
    #: When one of its pods last got a place, as the number of that order; 0 for never.
    served_at: int = 0

    @property
    def weight(self) -> int:
        """At least one, so that a nonsensical weight cannot starve or divide by zero."""
        return max(1, self.fact.weight) if self.fact else 1

    @property
    def open(self) -> bool:
        """New gangs may be admitted."""
        return self.fact is not None and self.fact.state == "Open"

    @property
    def fifo(self) -> bool:
        """A gang that cannot go on holds up those behind it."""
        return self.fact is not None and self.fact.dequeue == "fifo"

    @property
    def parent(self) -> "Queue | None":
        """The queue right above; None for the root."""
        return self.path[1] if len(self.path) > 1 else None

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
        #: How many queues hang under the root because their parents do not do.
        self.orphans = 0
        #: Counts up when a queue's own facts, the tree or the cluster's capacity change.
        self.version = 0
        #: What policies have worked out from the sums as they are; emptied when those move.
        self.worked_out: dict[str, Any] = {}
        #: The same, kept for the next time; whoever keeps something here knows by himself when it is too old.
        self.kept_work: dict[str, Any] = {}
        #: Queues that keep something of their quota for themselves, deepest first.
        self.lenders: tuple[Queue, ...] = ()
        #: What all queues together deserve, where anybody limits borrowing or lending.
        self.deserved: Sums = {}
        #: Axes on which borrowing or lending is limited anywhere.
        self.bounded: tuple[int, ...] = ()

    @property
    def guaranteed(self) -> Sums:
        """What all queues together are guaranteed."""
        return self.root.pledged

    def named(self, name: QueueName) -> Queue:
        """The queue of that name, shown to us or not."""
        queue = self.by_name.get(name)
        if queue is None:
            queue = self.by_name[name] = Queue(name)
            queue.path = (queue, self.root)
            queue.limits_owners = self.root.limits_owners
        return queue

    def forget(self, queue: Queue) -> None:
        """Drop a name that nothing needs; the root stays."""
        if queue is not self.root and queue.idle():
            del self.by_name[queue.name]

    def link(self) -> None:
        """Find every queue's path again, after one went or changed its parent. No recursion: depth is input."""
        below: dict[QueueName, list[Queue]] = {}
        for queue in sorted(self.by_name.values(), key=lambda queue: queue.name):
            queue.path, queue.orphaned = self._path(queue)
            if queue.fact is not None and queue.parent is not None:
                below.setdefault(queue.parent.name, []).append(queue)
        for queue in self.by_name.values():
            queue.children = tuple(below.get(queue.name, ()))
        self.orphans = sum(queue.orphaned for queue in self.by_name.values())
        self.note_owners()

    def note_owners(self) -> None:
        """Mark the queues in which namespaces or users are limited, by themselves or from above."""
        for queue in self.by_name.values():
            queue.limits_owners = any(each.accounts is not None for each in queue.path)

    def join(self, queue: Queue) -> bool:
        """Link one new queue alone; False where others hang on its coming, and all must be linked."""
        if queue is self.root or self.orphans:
            return False
        path, orphaned = self._path(queue)
        if orphaned or (queue.gangs and path != queue.path):
            return False
        queue.path = path
        queue.limits_owners = any(each.accounts is not None for each in path)
        parent = path[1]
        parent.children = tuple(sorted((*parent.children, queue), key=lambda child: child.name))
        return True

    def tally(self) -> None:
        """Add up guarantees and quotas from the leaves to the root, after one of them or the tree changed."""
        self.worked_out.clear()
        upwards = self.top_down()[::-1]
        for queue in upwards:
            queue.pledged = _sum(child.assured for child in queue.children)
            queue.assured = _larger(queue.guarantee, queue.pledged)
        self._tally_quotas(upwards)

    def _tally_quotas(self, upwards: list[Queue]) -> None:
        bounded = {axis: None for queue in upwards for axis in (*queue.borrowing, *queue.lending)}
        self.bounded = tuple(sorted(bounded))
        gross: dict[QueueName, Sums] = {}
        for queue in upwards if bounded else ():
            gross[queue.name] = whole = _larger(queue.deserved, _sum(gross[child.name] for child in queue.children))
            queue.quota = dict(whole)
            for child in queue.children:
                # What a grandchild keeps is missing from its parent's quota already.
                missing = {axis: amount - child.quota.get(axis, 0) for axis, amount in gross[child.name].items()}
                add(queue.quota, missing.items(), -1)
                add(queue.quota, child.kept.items(), -1)
            lent = queue.lending.items()
            queue.kept = {
                axis: queue.quota.get(axis, 0) - lends for axis, lends in lent if queue.quota.get(axis, 0) > lends
            }
        self.deserved = gross.get(ROOT, {})
        self.lenders = tuple(queue for queue in upwards if queue.kept) if bounded else ()

    def top_down(self) -> list[Queue]:
        """All queues, each after its parent."""
        return sorted(self.by_name.values(), key=lambda queue: (len(queue.path), queue.name))

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

    def branches(self) -> list[Queue]:
        """Queues that have gangs, and all above them, each after its parent."""
        found = {each.name: each for queue in self.leaves() for each in queue.path}
        return sorted(found.values(), key=lambda queue: (len(queue.path), queue.name))


def charge(gang: "Gang", queue: Queue, request: Request, count: int = 1) -> None:
    """Add to what `queue` and its ancestors have allocated for `gang`; a negative count takes it away."""
    add(queue.own, request, count)
    for each in queue.path:
        add(each.allocated, request, count)
        if each.accounts is not None:
            each.accounts.charge(gang.id, gang.owners, request, count)


def _sum(many: Iterable[Sums]) -> Sums:
    total: Sums = {}
    for sums in many:
        add(total, sums.items())
    return total


def _larger(left: Sums, right: Sums) -> Sums:
    """Axis by axis the larger one."""
    return {**left, **{axis: max(amount, left.get(axis, 0)) for axis, amount in right.items()}}
