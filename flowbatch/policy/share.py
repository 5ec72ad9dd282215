"""Division of the cluster between queues by weight, and what that allows (Volcano: proportion plugin).

Water-filling: what is left is handed out by weight, each queue takes no more than it asks for and may have, never less
than its guarantee, and what it did not take goes round again. Whole units only; the last indivisible ones go to queues
in order, so that nothing is left over that somebody could use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowbatch.model.ids import QueueName
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add
from flowbatch.model.view import ClusterView


def real_capability(queue: Queue, total: Sums) -> Sums:
    """All that `queue` may ever hold: what its parent may, without what its siblings are guaranteed, and its own
    capability.

    Guarantees may add up to more than there is; a queue may then still have its own, if it comes first.
    """
    real = total
    for each in reversed(queue.path):
        parent = each.parent
        pledged = parent.pledged if parent else {}
        if pledged or each.capability:
            real = {
                axis: max(0, min(_without_others(each, axis, whole, pledged), each.capability.get(axis, whole)))
                for axis, whole in real.items()
            }
    return real


def _without_others(queue: Queue, axis: int, whole: int, pledged: Mapping[int, int]) -> int:
    own = queue.assured.get(axis, 0)
    return max(whole - (pledged.get(axis, 0) - own), min(own, whole))


def asked(queue: Queue) -> Sums:
    """What a queue's own gangs hold and wait for."""
    sums = dict(queue.own)
    add(sums, queue.wanted.items())
    return sums


@dataclass(frozen=True)
class Proportion:
    """Shares by weight, capped by request and capability, raised to the guarantee.

    With `tree`, level by level: what a queue gets is divided between its children. Gangs that are in a queue which has
    children stand beside those, with a weight of one.
    """

    tree: bool = False

    def divide(self, queues: Sequence[Queue], total: Sums, view: ClusterView) -> list[Sums]:
        """Each queue's share, axis by axis, in exact whole units."""
        if self.tree:
            return _divide_tree(queues, total)
        shares: list[Sums] = [{} for _ in queues]
        asks = [asked(queue) for queue in queues]
        reals = [real_capability(queue, total) for queue in queues]
        for axis, whole in total.items():
            ceilings = [min(ask.get(axis, 0), real.get(axis, 0)) for ask, real in zip(asks, reals, strict=True)]
            floors = [min(queue.assured.get(axis, 0), whole) for queue in queues]
            parts = fill(whole, [queue.weight for queue in queues], ceilings, floors)
            for share, part in zip(shares, parts, strict=True):
                share[axis] = part
        return shares


def _divide_tree(queues: Sequence[Queue], total: Sums) -> list[Sums]:
    """`queues` are those with gangs and all above them, each after its parent; the root's share is everything."""
    below: dict[QueueName, list[Queue]] = {}
    wants: dict[QueueName, Sums] = {}
    for queue in reversed(queues):
        # What a queue is asked for is bounded once more at each level: a child's wish goes no higher than its limits.
        wish = asked(queue)
        for child in below.get(queue.name, ()):
            add(wish, wants[child.name].items())
        real = real_capability(queue, total)
        wants[queue.name] = {axis: min(amount, real.get(axis, 0)) for axis, amount in wish.items()}
        if queue.parent is not None:
            below.setdefault(queue.parent.name, []).insert(0, queue)
    shares: dict[QueueName, Sums] = {queue.name: dict(total) for queue in queues if queue.parent is None}
    for queue in queues:
        children = below.get(queue.name)
        if children:
            _divide_level(queue, children, shares, wants)
    return [shares[queue.name] for queue in queues]


def _divide_level(
    queue: Queue, children: list[Queue], shares: dict[QueueName, Sums], wants: Mapping[QueueName, Sums]
) -> None:
    own = asked(queue) if queue.gangs else {}
    for child in children:
        shares[child.name] = {}
    for axis, whole in shares[queue.name].items():
        ceilings = [wants[child.name].get(axis, 0) for child in children] + [own.get(axis, 0)]
        floors = [min(child.assured.get(axis, 0), whole) for child in children] + [0]
        parts = fill(whole, [child.weight for child in children] + [1], ceilings, floors)
        for child, part in zip(children, parts, strict=False):
            shares[child.name][axis] = part


def fill(whole: int, weights: Sequence[int], ceilings: Sequence[int], floors: Sequence[int]) -> list[int]:
    """Divide `whole` by weight, each part between its floor and its ceiling; a floor above the ceiling wins.

    Parts that the weights would push past a bound are fixed there and the rest is divided again, as CSS does with
    flexible boxes: too much given away fixes floors, too little fixes ceilings.
    """
    if sum(ceilings) <= whole and not any(floors):
        return list(ceilings)
    parts = [0] * len(weights)
    free = list(range(len(weights)))
    left = whole
    while free:
        weight = sum([weights[i] for i in free])
        off = dict[int, int]()  # by how much its bounds push each part away from what is fair
        for i in free:
            fair = max(0, left) * weights[i] // weight
            parts[i] = max(floors[i], min(fair, ceilings[i]))
            off[i] = parts[i] - fair
        error = sum(off.values())
        fixed = [i for i in free if (off[i] > 0 if error > 0 else off[i] < 0)]
        if not fixed or not error:
            break
        left -= sum([parts[i] for i in fixed])
        free = [i for i in free if (off[i] <= 0 if error > 0 else off[i] >= 0)]
    spare = whole - sum(parts)
    for i in [i for i in range(len(parts)) if parts[i] < ceilings[i]][: max(0, spare)]:
        parts[i] += 1  # the last indivisible units
    return parts


@dataclass(frozen=True)
class Capability:
    """A queue never holds more than its capability, nor what others are guaranteed."""

    kind: str = "capability"
    own: bool = False
    first_gang_may_exceed: bool = False

    def limit(self, queue: Queue, view: ClusterView) -> Mapping[int, int]:
        """Its real capability; the root has none."""
        if queue is view.queues.root or not view.queues.guaranteed:
            return queue.capability
        return {**queue.capability, **real_capability(queue, view.total)}


@dataclass(frozen=True)
class FairShare:
    """A queue's own gangs hold no more than its share while others want theirs.

    Deliberate difference from Volcano: a queue that holds nothing may start one gang above its share (never above its
    capability). Otherwise two queues, each waiting with a gang larger than half the cluster, wait for ever.
    """

    kind: str = "share"
    own: bool = True
    first_gang_may_exceed: bool = True

    def limit(self, queue: Queue, view: ClusterView) -> Mapping[int, int]:
        """Its share; no limit where nobody else asks for a part, because there the nodes' own capacity says more.

        Nor of what no node has: of devices that are claimed there is no total to divide.
        """
        if queue.share is None:
            return {}
        total, unplaced = view.total, view.axes.unplaced
        return {axis: part for axis, part in queue.share.items() if part < total.get(axis, 0) and axis not in unplaced}
