"""Tasks of one gang near each other or apart (Volcano: task-topology plugin), by buckets.

A bucket is what should share a node: a server and its workers, say. Pods are dealt to buckets one by one, each to the
one with most friends and fewest foes in it, among equals to the lightest; who has only foes opens a new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.buckets import Bucket, Buckets
from flowbatch.model.facts import TaskTopology
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.lifecycle import FINISHED
from flowbatch.model.resources import PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Floats, Ints
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend
from flowbatch.policy.scores import CPU, MEMORY

#: Whose pods are dealt first where `taskOrder` says nothing.
RANKS = {"self apart": 4, "together": 3, "self together": 2, "apart": 1}


@dataclass(frozen=True)
class Kinships:
    """What a gang says about its tasks, by pairs."""

    friends: frozenset[tuple[str, str]]
    foes: frozenset[tuple[str, str]]
    order: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, said: TaskTopology) -> "Kinships":
        """A group of one task is about its own pods; of several, about each pair of different ones."""
        ranks: dict[str, int] = {}
        for groups, alone, several in (
            (said.together, "self together", "together"),
            (said.apart, "self apart", "apart"),
        ):
            for group in groups:
                for name in group:
                    ranks[name] = max(ranks.get(name, 0), RANKS[alone if len(group) == 1 else several])
        places = {name: len(said.order) - place for place, name in enumerate(said.order)}
        return cls(
            frozenset(_pairs(said.together)),
            frozenset(_pairs(said.apart)),
            {name: (places.get(name, 0), rank) for name, rank in ranks.items()},
        )

    def liking(self, name: str, roles: Mapping[str, int]) -> int:
        """Friends less foes among `roles`."""
        return sum(
            count * (((name, other) in self.friends) - ((name, other) in self.foes)) for other, count in roles.items()
        )

    def aversion(self, name: str, roles: Mapping[str, int]) -> int:
        """Foes among `roles`."""
        return sum(count for other, count in roles.items() if (name, other) in self.foes)


def _pairs(groups: tuple[tuple[str, ...], ...]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for group in groups:
        names = list(dict.fromkeys(group))
        pairs += [(names[0], names[0])] if len(names) == 1 else [(a, b) for a in names for b in names if a != b]
    return pairs


@dataclass(frozen=True)
class SideBySide:
    """Deals the pods of a gang to buckets."""

    def build(self, gang: Gang) -> Buckets | None:
        """The gang's buckets as things stand; None for a gang that says nothing about its tasks."""
        said = gang.fact.topology if gang.fact is not None else None
        if said is None:
            return None
        kinships = Kinships.of(said)
        buckets = Buckets()
        placed = [task for task in gang.tasks.values() if task.node is not None and task.state not in FINISHED]
        for task in sorted(placed, key=lambda task: (task.node.row if task.node else 0, task.uid)):
            self._stand(task, kinships, buckets)
        for task in sorted(gang.pending.values(), key=lambda task: _first(task, kinships)):
            if task.fact.task in kinships.order:
                self._deal(task, kinships, buckets)
        return buckets

    @staticmethod
    def _stand(task: Task, kinships: Kinships, buckets: Buckets) -> None:
        """Those on one node are a bucket, whatever they say of each other."""
        assert task.node is not None
        row, name = int(task.node.row), task.fact.task
        buckets.stand(name, row)
        if name in kinships.order:
            bucket = next((each for each in buckets.all if row in each.mates), None) or _open(buckets)
            bucket.mates[row] = bucket.mates.get(row, 0) + 1
            bucket.roles[name] = bucket.roles.get(name, 0) + 1

    @staticmethod
    def _deal(task: Task, kinships: Kinships, buckets: Buckets) -> None:
        name = task.fact.task
        best: Bucket | None = None
        most = 0
        for bucket in buckets.all:
            liking = kinships.liking(name, bucket.roles)
            if liking < 0:
                continue
            if best is None or liking > most or (liking == most and bucket.load < best.load):
                best, most = bucket, liking
        bucket = best if best is not None else _open(buckets)
        bucket.waiting[task.uid] = task
        bucket.roles[name] = bucket.roles.get(name, 0) + 1
        bucket.load += _load(task.shape)
        buckets.of[task.uid] = bucket


def _open(buckets: Buckets) -> Bucket:
    bucket = Bucket(len(buckets.all))
    buckets.all.append(bucket)
    return bucket


def _first(task: Task, kinships: Kinships) -> tuple[int, int, int, int, str]:
    place, rank = kinships.order.get(task.fact.task, (0, 0))
    return -place, -rank, -task.fact.priority, task.fact.index, task.uid


def _load(shape: Shape) -> float:
    """A core, a gibibyte and one piece of anything else weigh about the same."""
    weights = {CPU: 1.0, MEMORY: 1.0 / (1 << 20), PODS: 0.0}
    return sum(amount * weights.get(axis, 1000.0) for axis, amount in shape.request)


@dataclass(frozen=True)
class BucketScore:
    """Nodes with more of the pod's bucket, and with room for more of it, without foes of its task."""

    weight: float = 1.0
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Mates there, less foes, and those who wait that would fit there too; as part of the largest bucket."""
        buckets, size = view.buckets, view.table.size
        points: Floats = np.zeros(size)
        if buckets is None or buckets.bucket is None or not view.gang or view.gang.fact is None:
            return points[rows]
        for row, count in buckets.bucket.mates.items():
            points[row] += count
        said = view.gang.fact.topology
        kinships = Kinships.of(said) if said is not None else None
        for row, roles in buckets.roles_on.items() if kinships else ():
            points[row] -= kinships.aversion(buckets.role, roles) if kinships else 0
        points += _fitting(buckets.bucket, view)
        # From -1 to 1 as the shares of the largest bucket, moved into the range of scores; its weight is twice as much.
        result: Floats = np.clip(0.5 + points / (2 * max(1, buckets.largest)), 0.0, 1.0)[rows]
        return result


def _fitting(bucket: Bucket, view: ClusterView) -> Ints:
    """How many of those who wait fit on each row together."""
    table = view.table
    total: Ints = np.zeros(table.size, np.int64)
    free = table.free[:, : table.size].copy()
    for shape, count in bucket.rest():
        least: Ints = np.full(table.size, count, np.int64)
        for axis, amount in shape.request:
            least = np.minimum(least, np.maximum(free[axis], 0) // amount)
        total += least
        for axis, amount in shape.request:
            free[axis] -= least * amount
    return total
