"""Division of the cluster between queues by weight, and what that allows (Volcano: proportion plugin).

Water-filling: what is left is handed out by weight, each queue takes no more than it asks for and may have, never less
than its guarantee, and what it did not take goes round again. Whole units only; the last indivisible ones go to queues
in order, so that nothing is left over that somebody could use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums, add
from flowbatch.model.view import ClusterView


def real_capability(queue: Queue, total: Sums, guaranteed: Sums) -> Sums:
    """All that `queue` may ever hold: the cluster without what others are guaranteed, and its own capability.

    Guarantees may add up to more than there is; a queue may then still have its own, if it comes first.
    """
    if not guaranteed and not queue.capability:
        return total
    real: Sums = {}
    for axis, whole in total.items():
        own = queue.guarantee.get(axis, 0)
        others = guaranteed.get(axis, 0) - own
        real[axis] = max(0, min(max(whole - others, min(own, whole)), queue.capability.get(axis, whole)))
    return real


def asked(queue: Queue) -> Sums:
    """What a queue's own gangs hold and wait for."""
    sums = dict(queue.own)
    add(sums, queue.wanted.items())
    return sums


@dataclass(frozen=True)
class Proportion:
    """Shares by weight, capped by request and capability, raised to the guarantee."""

    def divide(self, queues: Sequence[Queue], total: Sums, view: ClusterView) -> list[Sums]:
        """Each queue's share, axis by axis, in exact whole units."""
        guaranteed = view.queues.guaranteed
        weights = [queue.weight for queue in queues]
        asks = [asked(queue) for queue in queues]
        reals = [real_capability(queue, total, guaranteed) for queue in queues]
        floors = [0] * len(queues)
        parts: list[list[int]] = []
        for axis, whole in total.items():
            ceilings = [min(ask.get(axis, 0), real.get(axis, 0)) for ask, real in zip(asks, reals, strict=True)]
            if guaranteed:
                floors = [min(queue.guarantee.get(axis, 0), whole) for queue in queues]
            parts.append(fill(whole, weights, ceilings, floors))
        return [dict(zip(total, share, strict=True)) for share in zip(*parts, strict=True)] or [{} for _ in queues]


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
        if queue is view.queues.root:
            return queue.capability
        guaranteed = view.queues.guaranteed
        if not guaranteed:
            return queue.capability
        real = real_capability(queue, view.total, guaranteed)
        return {**queue.capability, **real}


@dataclass(frozen=True)
class FairShare:
    """A queue's own gangs hold no more than its share while others want theirs. Shares are flat: no parent has a part.

    Deliberate difference from Volcano: a queue that holds nothing may start one gang above its share (never above its
    capability). Otherwise two queues, each waiting with a gang larger than half the cluster, wait for ever.
    """

    kind: str = "share"
    own: bool = True
    first_gang_may_exceed: bool = True

    def limit(self, queue: Queue, view: ClusterView) -> Mapping[int, int]:
        """Its share; no limit where nobody else asks for a part, because there the nodes' own capacity says more."""
        if queue.share is None:
            return {}
        return {axis: part for axis, part in queue.share.items() if part < view.total.get(axis, 0)}
