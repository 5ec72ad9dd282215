"""Least or most allocated, resource by resource (Volcano: resource-strategy-fit plugin), and scarce resources kept.

Names of resources may end in `*`: the exact name comes first, then the longest pattern that fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from flowbatch.model.resources import PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend
from flowbatch.policy.scores import CPU, MEMORY, idle_after

LEAST, MOST = "LeastAllocated", "MostAllocated"
#: Annotations by which a pod has its own strategy and weights.
TYPE_MARK: Final = "volcano.sh/resource-strategy-scoring-type"
WEIGHTS_MARK: Final = "volcano.sh/resource-strategy-weight"

_weights = msgspec.json.Decoder(dict[str, float])


@dataclass(frozen=True)
class Strategy:
    """How one resource, or those that a pattern names, is to be used."""

    resource: str
    kind: str = LEAST
    weight: float = 1.0

    def rank(self, name: str) -> int:
        """How well it fits a resource's name: 0 not at all."""
        if self.resource == name:
            return 1 << 20
        return len(self.resource) if self.resource.endswith("*") and name.startswith(self.resource[:-1]) else 0


@dataclass(frozen=True)
class ResourceStrategies:
    """Weighted mean over the resources a shape asks for and that have a strategy; without any it is zero."""

    weight: float = 10.0
    strategies: tuple[Strategy, ...] = (Strategy("cpu"), Strategy("memory"))
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """The used or the unused parts after one more."""
        total: Floats = np.zeros(view.table.size)[rows]
        whole = 0.0
        for axis, amount in shape.request:
            found = self._strategy(view.axes.names[axis], shape) if axis != PODS else None
            if found is not None and found.weight > 0:
                idle = idle_after(axis, amount, rows, extra, view)
                total += (idle if found.kind == LEAST else 1.0 - idle) * found.weight
                whole += found.weight
        return total / whole if whole else total

    def _strategy(self, resource: str, shape: Shape) -> Strategy | None:
        own_kind, own_weights = shape.spec.mark(TYPE_MARK), shape.spec.mark(WEIGHTS_MARK)
        found = max(self.strategies, key=lambda each: each.rank(resource), default=None)
        if found is not None and not found.rank(resource):
            found = None
        if not own_kind and not own_weights:
            return found
        weights = read_weights(own_weights)
        if weights and resource not in weights:
            return None
        kind = own_kind if own_kind in (LEAST, MOST) else found.kind if found else LEAST
        return Strategy(resource, kind, weights.get(resource, found.weight if found else 1.0))


@lru_cache(maxsize=1024)
def read_weights(text: str) -> Mapping[str, float]:
    """Weights by resource from a pod's annotation; what cannot be read, or is negative, says nothing."""
    try:
        found = _weights.decode(text) if text else {}
    except msgspec.MsgspecError:
        return {}
    return {name: weight for name, weight in found.items() if 0 <= weight <= 1e9}


@dataclass(frozen=True)
class ScarceAvoidance:
    """Nodes without scarce resources first; those that lack something the shape asks for get nothing (sra)."""

    weight: float = 1.0
    scarce: tuple[tuple[str, float], ...] = ()
    trend: Trend = field(default="rising", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """One less the weights of the scarce resources that a node has, as part of all."""
        table, whole = view.table, sum(weight for _, weight in self.scarce)
        points: Floats = np.ones(table.size)
        for name, weight in self.scarce:
            axis = view.axes.find(name)
            if axis is not None and whole:
                points -= (table.capacity[axis, : table.size] > 0) * (weight / whole)
        for axis, _ in shape.request:
            points *= table.capacity[axis, : table.size] > 0
        result: Floats = points[rows]
        return result


@dataclass(frozen=True)
class Proportional:
    """Where scarce units are idle, so much cpu and memory per unit stays for them (proportional).

    `kept` are (scarce resource, thousandths of cpu, bytes) per unit. Pods that ask for a scarce one are not concerned.
    """

    kept: tuple[tuple[str, int, int], ...] = ()
    reason: str = "node(s) keep cpu and memory in proportion to idle scarce resources"

    def most(self, shape: Shape, copies: Ints, view: ClusterView) -> Ints:
        """As many as leave the proportion."""
        asked = dict(shape.request)
        axes = [(view.axes.find(name), cpu, memory) for name, cpu, memory in self.kept]
        if any(axis in asked for axis, _, _ in axes):
            return copies
        table = view.table
        for axis, cpu, memory in axes:
            for own, per_unit in ((CPU, cpu), (MEMORY, memory)):
                amount = asked.get(own, 0)
                if axis is None or not per_unit or not amount:
                    continue
                idle = table.free[axis, : table.size]
                has: Bools = table.capacity[axis, : table.size] > 0
                left = np.maximum(table.free[own, : table.size] - idle * per_unit, 0) // amount
                copies = np.where(has, np.minimum(copies, left), copies)
        return copies
