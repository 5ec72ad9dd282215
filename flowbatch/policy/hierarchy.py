"""The drf plugin's own tree of queues (Volcano: drf with enableHierarchy; Bhattacharya et al., HDRF, 2013).

The tree is written in annotations, "root/a/b" with a weight for each part, apart from `spec.parent`. Queues are
compared from the top, level by level: one whose branch can take nothing more comes last, then the smaller share by
weight first. The share of a branch counts what its branches hold, each scaled down to the smallest of those that want
more, so that one of them that cannot use what it is offered does not hold its sisters back.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flowbatch.model.ids import QueueName
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Sums
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Key
from flowbatch.policy.ordering import dominant_share

Path = tuple[str, ...]
#: What something below a branch counts as: (held, its dominant share, saturated).
Part = tuple[Mapping[int, float], float, bool]
WORKED_OUT, TREE = "hierarchical shares", "hierarchical tree"


@dataclass(slots=True, eq=False)
class Branch:
    """A node of the tree."""

    weight: float
    above: "Branch | None"
    #: What hangs right below it: queues by "queue/name", branches by name.
    parts: dict[str, Part] = field(default_factory=dict)
    share: float = 0.0
    saturated: bool = True
    stale: bool = True

    def put(self, name: str, part: Part) -> None:
        """Something below it holds something else."""
        if self.parts.get(name) != part:
            self.parts[name] = part
            self.stale = True

    def settle(self, total: Sums) -> Part:
        """Work out its share and whether it is saturated, and what that makes it for the branch above."""
        parts = [self.parts[name] for name in sorted(self.parts)]
        least = min((share for _, share, saturated in parts if share and not saturated), default=1.0)
        counted: dict[int, float] = {}
        for held, share, saturated in parts:
            scale = 1.0 if saturated or not share else least / share
            for axis, amount in held.items():
                counted[axis] = counted.get(axis, 0.0) + amount * scale
        self.share = max((_part(amount, total.get(axis, 0)) for axis, amount in counted.items()), default=0.0)
        self.saturated = all(saturated for _, _, saturated in parts)
        self.stale = False
        return counted, self.share, self.saturated


def _part(amount: float, whole: int) -> float:
    return amount / whole if whole else 1.0


@dataclass(slots=True, eq=False)
class Leaf:
    """A queue in the tree, with what it was when it was last looked at."""

    queue: Queue
    branch: Branch
    #: Branches on its path, from below the root.
    path: tuple[Branch, ...]
    own: Sums = field(default_factory=dict)
    saturated: bool = True


class Shares:
    """The tree of one moment's queues; a later look works out only what has changed."""

    def __init__(self, queues: Iterable[Queue], version: int = 0) -> None:
        self.version = version
        self.leaves: dict[QueueName, Leaf] = {}
        self._branches: dict[Path, Branch] = {}
        self._total: Sums = {}
        for queue in queues:
            path = self._path(queue)
            self.leaves[queue.name] = Leaf(queue, path[-1], path[1:])
        #: Deepest first; of the topmost nothing is ever asked.
        self._upwards = sorted(
            ((names, branch, branch.above) for names, branch in self._branches.items() if branch.above is not None),
            key=lambda item: (-len(item[0]), item[0]),
        )

    def _path(self, queue: Queue) -> tuple[Branch, ...]:
        names: Path = ()
        path: list[Branch] = []
        for name, weight in path_of(queue):
            names = (*names, name)
            if names not in self._branches:
                self._branches[names] = Branch(weight, path[-1] if path else None)
            path.append(self._branches[names])
        return tuple(path)

    def refresh(self, view: ClusterView) -> None:
        """Take in what queues hold and want now."""
        spent = {axis: None for axis, whole in view.total.items() if view.used.get(axis, 0) >= whole}
        anew = self._total != view.total
        self._total = view.total
        for leaf in self.leaves.values():
            queue = leaf.queue
            # It wants nothing more, or something of which nothing is left.
            saturated = not queue.wanted or any(axis in spent or axis not in view.total for axis in queue.wanted)
            if anew or saturated is not leaf.saturated or queue.own != leaf.own:
                leaf.own, leaf.saturated = dict(queue.own), saturated
                part = (leaf.own, dominant_share(leaf.own, view.total), saturated)
                leaf.branch.put(f"queue/{queue.name}", part)
        for names, branch, above in self._upwards:
            if branch.stale or anew:
                above.put(names[-1], branch.settle(view.total))

    def numbers(self, name: QueueName) -> tuple[float, ...]:
        """(saturated, share by weight) of every branch from below the root to the queue's."""
        path = self.leaves[name].path
        return tuple(x for branch in path for x in (float(branch.saturated), branch.share / branch.weight))


@dataclass(frozen=True)
class HierarchicalShare:
    """Saturated branches last, then the smaller share by weight, from the top of the tree to the queue."""

    by_tree = True

    def key(self, queue: Queue, view: ClusterView) -> Key:
        """The numbers of the queue's path."""
        tree = view.queues
        shares: Shares | None = tree.worked_out.get(WORKED_OUT)
        if shares is None or not _knows(shares, queue):
            shares = tree.kept_work.get(TREE)
            if shares is None or shares.version != tree.version or not _knows(shares, queue):
                shares = tree.kept_work[TREE] = Shares(tree.by_name.values(), tree.version)
            shares.refresh(view)
            tree.worked_out[WORKED_OUT] = shares
        return (shares.numbers(queue.name),)


def _knows(shares: Shares, queue: Queue) -> bool:
    leaf = shares.leaves.get(queue.name)
    return leaf is not None and leaf.queue is queue


def path_of(queue: Queue) -> tuple[tuple[str, float], ...]:
    """Its path with weights; a queue without one hangs under the root with its own weight."""
    if queue.fact is not None and queue.fact.hierarchy:
        return queue.fact.hierarchy
    return (("root", 1.0), (queue.name, float(queue.weight)))


def shares_of(queues: Iterable[Queue], view: ClusterView) -> dict[str, tuple[float, ...]]:
    """For every queue the numbers of the branches on its path, from the top; from scratch."""
    shares = Shares(queues)
    shares.refresh(view)
    return {name: shares.numbers(name) for name in shares.leaves}
