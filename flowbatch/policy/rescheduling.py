"""Pods of busy nodes go, so that they are placed anew on idle ones (Volcano: rescheduling plugin, lowNodeUtilization).

Busy and idle are by measured use. A node is low if it is under every threshold, high if it is over any target. Pods of
the highest nodes go first, of lowest priority first, as long as their node is over its target and the low nodes have
measured room under theirs for what the pods ask for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from flowbatch.model.gangs import Task
from flowbatch.model.ids import Instant
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.measured import STALE_MS
from flowbatch.model.nodes import Node
from flowbatch.model.table import Bools
from flowbatch.model.view import ClusterView

#: What is measured, and by what it is weighed.
RESOURCES: Final = ("cpu", "memory")
CRITICAL: Final = 2_000_000_000


@dataclass(frozen=True)
class Percents:
    """One percentage for each measured resource."""

    cpu: float = 100.0
    memory: float = 100.0

    def of(self, resource: str) -> float:
        """The one for a resource."""
        return self.cpu if resource == "cpu" else self.memory


@dataclass(slots=True)
class _Busy:
    """A node over its target: who may go, and how much is used there, in percent."""

    node: Node
    used: dict[str, float]


@dataclass(frozen=True)
class LowNodeUtilization:
    """Evens out measured use from the highest nodes to the low ones."""

    thresholds: Percents = Percents()
    targets: Percents = Percents()
    #: Pods of this priority and above stay.
    below_priority: int = CRITICAL
    #: A pod goes only if a low node has room for it.
    node_fit: bool = True
    every_ms: int = 300_000

    def victims(self, view: ClusterView) -> Sequence[Task]:
        """Who goes now; nobody where all nodes are low, or none is, or none is over its target."""
        low, high = self._divide(view)
        if not low or not high or len(low) == sum(node.fact is not None for node in view.nodes.values()):
            return []
        room = self._room(low, view)
        mask = np.zeros(view.table.size, np.bool_)
        mask[[each.node.row for each in low]] = True
        chosen: list[Task] = []
        for busy in sorted(high, key=lambda each: (-sum(each.used.values()), each.node.name)):
            chosen += self._relieve(busy, room, mask, view)
        return chosen

    def _divide(self, view: ClusterView) -> tuple[list[_Busy], list[_Busy]]:
        low: list[_Busy] = []
        high: list[_Busy] = []
        for name in sorted(view.nodes):
            node = view.nodes[name]
            at, permille = view.measured.by_node.get(name, (Instant(0), ()))
            if node.fact is None or not node.fact.ready or view.now - at > STALE_MS:
                continue
            found = dict(permille)
            busy = _Busy(node, {resource: found.get(resource, 0) / 10 for resource in RESOURCES})
            idle = all(busy.used[resource] <= self.thresholds.of(resource) for resource in RESOURCES)
            if idle and not node.fact.unschedulable:
                low.append(busy)
            elif self._over(busy):
                high.append(busy)
        return low, high

    def _over(self, busy: _Busy) -> bool:
        return any(busy.used[resource] > self.targets.of(resource) for resource in RESOURCES)

    def _room(self, low: Sequence[_Busy], view: ClusterView) -> dict[str, float]:
        """What the low nodes may still take until they reach their targets, by resource."""
        return {
            resource: sum(
                _capacity(each.node, resource, view) * (self.targets.of(resource) - each.used[resource]) / 100
                for each in low
            )
            for resource in RESOURCES
        }

    def _relieve(self, busy: _Busy, room: dict[str, float], low: Bools, view: ClusterView) -> Iterator[Task]:
        for task in sorted(busy.node.tasks.values(), key=_least_first):
            if not self._over(busy) or min(room.values()) <= 0:
                return
            if not self._may_go(task, low, view):
                continue
            asked = dict(task.shape.request)
            for resource in RESOURCES:
                amount, whole = asked.get(view.axes.axis(resource), 0), _capacity(busy.node, resource, view)
                room[resource] -= amount
                busy.used[resource] -= 100 * amount / whole if whole else 0.0
            yield task

    def _may_go(self, task: Task, low: Bools, view: ClusterView) -> bool:
        if task.state is not TaskState.RUNNING or task.gang is None or not task.fact.preemptable:
            return False
        if task.fact.priority >= self.below_priority:
            return False
        return not self.node_fit or bool(view.table.copies(task.shape.request, low & view.table.open_rows()).any())


def _capacity(node: Node, resource: str, view: ClusterView) -> int:
    return view.table.capacity_at(view.axes.axis(resource), node.row)


def _least_first(task: Task) -> tuple[int, bool, int, str]:
    """Low priority first, then those that ask for nothing, then the youngest."""
    return task.fact.priority, not task.shape.best_effort, -task.fact.created, task.uid
