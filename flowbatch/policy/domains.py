"""Which network domain is better: of those of one tier that hold a whole gang, or for pods that may go anywhere."""

from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.resources import PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Floats, Ints
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import DomainAsk, Extra, Rows, Trend


@dataclass(frozen=True)
class LeastLeft:
    """The one in which fewest more of the same would fit afterwards: large holes stay for large gangs."""

    def rank(self, ask: DomainAsk, view: ClusterView) -> Floats | Ints:
        """How many more would fit."""
        return ask.slack


@dataclass(frozen=True)
class Fullest:
    """The one that is used most, with the gang in it (Volcano: network-topology-aware, hypernode binpack)."""

    #: Weight by resource name; resources not named do not count.
    resources: tuple[tuple[str, float], ...] = (("cpu", 1.0), ("memory", 1.0))

    def rank(self, ask: DomainAsk, view: ClusterView) -> Floats | Ints:
        """Zero for one that is full; one where nothing asked for has a weight."""
        return 1.0 - packed(tuple(ask.needs.items()), self.resources, view)


def packed(needs: tuple[tuple[int, int], ...], resources: tuple[tuple[str, float], ...], view: ClusterView) -> Floats:
    """Weighted mean of the parts of each domain in use once it has taken `needs`; zero where that is more than it has.

    Only resources that are asked for and have a weight count.
    """
    index, table = view.topology.index, view.table
    points: Floats = np.zeros(len(index))
    weights = {view.axes.find(name): weight for name, weight in resources}
    whole = 0.0
    over = np.zeros(len(index), np.bool_)
    for axis, amount in needs:
        weight = weights.get(axis, 0.0)
        if axis == PODS or not weight:
            continue
        capacity = index.sums(table.capacity[axis, : table.size])
        used = capacity - index.sums(table.free[axis, : table.size]) + amount
        over |= used > capacity
        points += weight * np.divide(used, capacity, out=np.zeros(len(index)), where=capacity > 0)
        whole += weight
    if whole:
        points /= whole
    points[over] = 0.0
    return points


@dataclass(frozen=True)
class HyperNodePacking:
    """Nodes in full domains first, low tiers weighing most (Volcano: network-topology-aware, normal pods).

    A node that is in no domain of a tier counts as if that domain were full: it is nobody's neighbour anyway.
    """

    weight: float = 1.0
    resources: tuple[tuple[str, float], ...] = (("cpu", 1.0), ("memory", 1.0))
    #: How much less each tier weighs than the one below it.
    fading: float = 0.8
    trend: Trend = field(default="rising", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Weighted mean over the tiers of how full a node's domain is with one more; one where there are none."""
        index, size = view.topology.index, view.table.size
        points: Floats = np.zeros(size)
        whole = 0.0
        full = packed(shape.request, self.resources, view)
        for depth, (_, level) in enumerate(reversed(index.levels)):
            share = self.fading**depth
            whole += share
            known = np.flatnonzero(level < len(index))
            part: Floats = np.ones(size)
            part[known] = full[level[known]]
            points += share * part
        result: Floats = (points / whole if whole else np.ones(size))[rows]
        return result
