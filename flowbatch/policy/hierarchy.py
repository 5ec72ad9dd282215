"""The drf plugin's own tree of queues (Volcano: drf with enableHierarchy; Bhattacharya et al., HDRF, 2013).

The tree is written in annotations, "root/a/b" with a weight for each part, apart from `spec.parent`. Queues are
compared from the top, level by level: one whose branch can take nothing more comes last, then the smaller share by
weight first. The share of a branch counts what its branches hold, each scaled down to the smallest of those that want
more, so that one of them that cannot use what it is offered does not hold its sisters back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Key
from flowbatch.policy.ordering import dominant_share

Path = tuple[str, ...]
WORKED_OUT = "hierarchical shares"


@dataclass(slots=True, eq=False)
class Branch:
    """A node of the tree. `parts` are what hangs below it: (held, its dominant share, saturated)."""

    weight: float
    parts: list[tuple[Mapping[int, float], float, bool]] = field(default_factory=list)
    share: float = 0.0
    saturated: bool = True

    def settle(self, total: Sums) -> Mapping[int, float]:
        """Work out its share and whether it is saturated; returns what it counts as holding."""
        least = min((share for _, share, saturated in self.parts if share and not saturated), default=1.0)
        counted: dict[int, float] = {}
        for held, share, saturated in self.parts:
            scale = 1.0 if saturated or not share else least / share
            for axis, amount in held.items():
                counted[axis] = counted.get(axis, 0.0) + amount * scale
        self.share = max((_part(amount, total.get(axis, 0)) for axis, amount in counted.items()), default=0.0)
        self.saturated = all(saturated for _, _, saturated in self.parts)
        return counted


def _part(amount: float, whole: int) -> float:
    return amount / whole if whole else 1.0


@dataclass(frozen=True)
class HierarchicalShare:
    """Saturated branches last, then the smaller share by weight, from the top of the tree to the queue.

    Costs a look at all queues that have gangs whenever any of them takes or gives something back.
    """

    by_tree = True

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """(saturated, share by weight) of every branch from below the root to the queue's."""
        memory = view.queues.worked_out
        shares = memory.get(WORKED_OUT)
        if shares is None:
            shares = memory[WORKED_OUT] = shares_of(view.queues.leaves(), view)
        return (shares.get(queue.name, ()),)


def path_of(queue: Queue) -> tuple[tuple[str, float], ...]:
    """Its path with weights; a queue without one hangs under the root with its own weight."""
    if queue.fact is not None and queue.fact.hierarchy:
        return queue.fact.hierarchy
    return (("root", 1.0), (queue.name, float(queue.weight)))


def shares_of(queues: Iterable[Queue], view: ClusterView) -> dict[str, tuple[float, ...]]:
    """For every queue the numbers of the branches on its path, from the top."""
    queues = list(queues)
    branches: dict[Path, Branch] = {}
    for queue in queues:
        names: Path = ()
        for name, weight in path_of(queue):
            names = (*names, name)
            branches.setdefault(names, Branch(weight))
        branches[names].parts.append((queue.own, dominant_share(queue.own, view.total), _saturated(queue, view)))
    for names in sorted(branches, key=lambda names: (-len(names), names)):
        branch = branches[names]
        counted = branch.settle(view.total)
        if len(names) > 1:
            branches[names[:-1]].parts.append((counted, branch.share, branch.saturated))
    return {queue.name: _numbers(queue, branches) for queue in queues}


def _numbers(queue: Queue, branches: Mapping[Path, Branch]) -> tuple[float, ...]:
    numbers: list[float] = []
    names: Path = ()
    for name, _ in path_of(queue):
        names = (*names, name)
        if len(names) > 1:
            branch = branches[names]
            numbers += (float(branch.saturated), branch.share / branch.weight)
    return tuple(numbers)


def _saturated(queue: Queue, view: ClusterView) -> bool:
    """It wants nothing more, or something of which nothing is left."""
    return not queue.wanted or any(view.used.get(axis, 0) >= view.total.get(axis, 0) for axis in queue.wanted)
