"""How much queues borrow from each other, and lend (peers: Kueue's quotas in a tree).

A queue's quota is what it deserves, or its children together. It keeps what it does not lend; what it holds beyond that
comes out of its parent's pool, and so on up to the root, whose pool is the cluster. Borrowing is holding more than the
quota. What is available may be negative, after a quota was cut: then nothing new fits, and nobody is asked to leave.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from flowbatch.model.gangs import Gang
from flowbatch.model.ids import QueueName
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Ceiling


@dataclass(frozen=True)
class Borrowing:
    """No queue on the path borrows more than it may, or than others lend. Costs nothing where nobody limits either."""

    def ceilings(self, gang: Gang, view: ClusterView) -> Iterable[Ceiling]:
        """One for every queue on the path that bounds what the gang's queue can get."""
        if not view.queues.bounded or gang.queue is None:
            return ()
        return _ceilings(gang.queue, view)


def _ceilings(queue: Queue, view: ClusterView) -> Iterator[Ceiling]:
    later = _available(queue, view, _staying_held) if view.queues.root.leaving else {}
    for each, (held, room) in _available(queue, view, _held).items():
        if room:
            most = {axis: held.get(axis, 0) + more for axis, more in room.items()}
            # Not all that leaves comes back to the pool: some was never out of it.
            given = {axis: later[each][1][axis] - more for axis, more in room.items()} if later else {}
            yield Ceiling(each, "borrowing", held, most, leaving=given)


def _held(queue: Queue) -> Sums:
    """What a queue holds, and what is being made room for on its account."""
    held = queue.held()
    add(held, queue.claimed.items())
    return held


def _staying_held(queue: Queue) -> Sums:
    """The same once all that is about to be given back was."""
    held = _held(queue)
    add(held, queue.leaving.items(), -1)
    return held


def _available(
    queue: Queue, view: ClusterView, held_by: Callable[[Queue], Sums]
) -> dict[Queue, tuple[Sums, dict[int, int]]]:
    """For every queue on the path: what it holds, and how much more it lets the first have, where it bounds that."""
    stays = staying(view, held_by)
    found: dict[Queue, tuple[Sums, dict[int, int]]] = {}
    #: What queues so far on the path have kept for themselves and not used: no need to ask higher up for it.
    unused: Sums = {}
    for each in queue.path:
        held = held_by(each)
        pooled = dict(held)
        add(pooled, stays.get(each.name, {}).items(), -1)
        more: dict[int, int] = {}
        for axis in view.queues.bounded:
            room = _room(each, axis, pooled.get(axis, 0), view)
            unused[axis] = unused.get(axis, 0) + max(0, each.kept.get(axis, 0) - pooled.get(axis, 0))
            if room is not None:
                more[axis] = room + unused[axis]
        found[each] = held, more
    return found


def _room(queue: Queue, axis: int, used: int, view: ClusterView) -> int | None:
    """How much more may come out of the pool above `queue`, or of the pool of the root itself; None for any amount."""
    quota, kept = queue.quota.get(axis, 0), queue.kept.get(axis, 0)
    if queue.parent is None:
        return pool(view, axis) - used
    if axis not in queue.borrowing:
        return None
    return quota - kept + queue.borrowing[axis] - max(0, used - kept)


def pool(view: ClusterView, axis: int) -> int:
    """The root's own quota: the cluster, or what its queues deserve if that is more, without what they keep."""
    tree = view.queues
    return tree.root.quota.get(axis, 0) + max(0, view.total.get(axis, 0) - tree.deserved.get(axis, 0))


def staying(view: ClusterView, held_by: Callable[[Queue], Sums] = _held) -> dict[QueueName, Sums]:
    """For every queue above lenders, how much of what it holds stays with them and is not out of its own pool."""
    below: dict[QueueName, Sums] = {}
    for lender in view.queues.lenders:
        used = held_by(lender)
        add(used, below.get(lender.name, {}).items(), -1)
        stays = {axis: min(kept, used.get(axis, 0)) for axis, kept in lender.kept.items() if used.get(axis, 0) > 0}
        for each in lender.path[1:]:
            add(below.setdefault(each.name, {}), stays.items())
    return below
