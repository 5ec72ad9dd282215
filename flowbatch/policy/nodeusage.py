"""Nodes by their measured use rather than by what was asked for (Volcano: usage plugin)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.ids import Amounts, Instant
from flowbatch.model.measured import STALE_MS
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Floats
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend

#: In Volcano's words.
REASONS = {
    "cpu": "the CPU load of the node exceeds the upper limit.",
    "memory": "the memory load of the node exceeds the upper limit.",
}


@dataclass(frozen=True)
class UsageLimit:
    """No node of which more than so many percent of a resource is measured in use; stale measurements say nothing."""

    cpu: float = 80.0
    memory: float = 80.0
    by_moment = True

    @property
    def _limits(self) -> tuple[tuple[str, float], ...]:
        return ("cpu", self.cpu), ("memory", self.memory)

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or which load is too high."""
        at, permille = view.measured.by_node.get(node.name, (Instant(0), ()))
        found = dict(permille) if view.now - at <= STALE_MS else {}
        for resource, percent in self._limits:
            if found.get(resource, 0) > percent * 10:
                return REASONS[resource]
        return None

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows over a limit."""
        size = view.table.size
        current = view.measured.current(view.now, size)
        for resource, percent in self._limits:
            yield current & (view.measured.column(resource, size) > percent * 10), REASONS[resource]

    def overused(self, permille: Amounts) -> bool:
        """One of the limits is passed."""
        found = dict(permille)
        return any(found.get(resource, 0) > percent * 10 for resource, percent in self._limits)

    def turns(self, view: ClusterView) -> Instant | None:
        """When the oldest measurement that keeps a node closed becomes stale."""
        if not view.measured.by_node:
            return None
        closed: Bools = np.zeros(view.table.size, np.bool_)
        for resource, percent in self._limits:
            closed |= view.measured.column(resource, closed.size) > percent * 10
        return view.measured.stale_at(closed & view.measured.current(view.now, closed.size))


@dataclass(frozen=True)
class LowUsage:
    """Nodes of which less is measured in use; a node without a current measurement gets nothing."""

    weight: float = 5.0
    cpu: float = 1.0
    memory: float = 1.0
    #: It does not move as more land on a node.
    trend: Trend = field(default="rising", init=False)
    by_moment = True

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Weighted mean of the unused parts."""
        size, whole = view.table.size, self.cpu + self.memory
        points: Floats = np.zeros(size)
        for resource, weight in (("cpu", self.cpu), ("memory", self.memory)):
            points += (1000 - view.measured.column(resource, size)) * (weight / whole / 1000) if whole else 0.0
        points *= view.measured.current(view.now, size)
        result: Floats = points[rows]
        return result
