"""Inter-pod affinity: which pods a node's domain must, must not, or should better hold already.

Rules and words are Kubernetes' (InterPodAffinity plugin): an existing pod counts for required affinity only if all
terms select it; the first pod of a series that is affine to itself may go wherever the labels are; an existing pod's
required anti-affinity keeps others away too. Counts by domain are the model's; here they become masks and scores.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.stakes import Stake
from flowbatch.model.table import Bools, Floats
from flowbatch.model.tallies import Tally
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Pace, Rows, Trend
from flowbatch.policy.refusing import first_refusal

AFFINITY = "node(s) didn't match pod affinity rules"
ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
EXISTING = "node(s) didn't satisfy existing pods anti-affinity rules"


@dataclass(frozen=True)
class PodAffinity:
    """Required affinity and anti-affinity, and the anti-affinity of pods that are there (Volcano: predicates)."""

    by_placement = by_stake = True

    def concerns(self, shape: Shape, view: ClusterView) -> bool:
        """It has terms, or somebody's anti-affinity selects its pods."""
        stake = shape.stake
        return stake is not None and bool(stake.near or stake.apart or any(each.total for each in stake.guards()))

    def pace(self, shape: Shape, view: ClusterView) -> Pace:
        """One at a time only where a shape's own pods matter to it, other than as "not on the same node"."""
        stake = shape.stake
        if stake is None:
            return "many"
        moved = dict.fromkeys(stake.moved())
        if any(tally in moved for tally in stake.near):
            return "one"
        touched = [tally for tally in (*stake.apart, *stake.guards()) if tally in moved]
        return "many" if all(tally.column.single() for tally in touched) else "one"

    def opens(self, shape: Shape, company: Sequence[Shape], view: ClusterView) -> bool:
        """Pods placed together with it may be the very ones it must be near."""
        near = shape.stake.near if shape.stake is not None else ()
        return any(tally in each.stake.moved() for each in company if each.stake is not None for tally in near)

    def lonely(self, shape: Shape, view: ClusterView) -> Bools:
        """Rows that take one of it at most: those with the labels of its anti-affinity to itself."""
        alone = np.zeros(view.table.size, np.bool_)
        stake = shape.stake
        if stake is not None:
            moved = dict.fromkeys(stake.moved())
            for tally in (*stake.apart, *stake.guards()):
                if tally in moved:
                    alone |= tally.column.cut(view.table.size) != 0
        return alone

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None, or the first rule that the node's domains break."""
        return first_refusal(self.refusals(shape, view), node)

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows whose domains lack what must be there, or hold what must not."""
        stake, size = shape.stake, view.table.size
        if stake is None:
            return
        if stake.near:
            yield _without_company(stake, size), AFFINITY
        yield from _occupied(stake.apart, size, ANTI_AFFINITY)
        yield from _occupied((each for each in stake.guards() if each.total), size, EXISTING)


def _without_company(stake: Stake, size: int) -> Bools:
    """Rows where some affinity term has nobody; the first of a series only needs the labels."""
    first = stake.is_of(stake.company) and not any(tally.total for tally in stake.near)
    refused = np.zeros(size, np.bool_)
    for tally in stake.near:
        refused |= (tally.column.cut(size) == 0) if first else (tally.here(size) <= 0)
    return refused


def _occupied(tallies: Iterable[Tally], size: int, reason: str) -> Iterable[tuple[Bools, str]]:
    hit: Bools | None = None
    for tally in tallies:
        here = tally.here(size) > 0
        hit = here if hit is None else hit | here
    if hit is not None:
        yield hit, reason


@dataclass(frozen=True)
class PodAffinityScore:
    """Preferred affinity and anti-affinity, of the pod and towards it (Volcano: nodeorder podaffinity).

    `required_weight` is what a required affinity of an existing pod adds for pods that it selects: Kubernetes'
    hardPodAffinityWeight.
    """

    weight: float = 2.0
    required_weight: float = 1.0
    trend: Trend = field(default="any", init=False)
    by_placement = by_stake = True

    def concerns(self, shape: Shape, view: ClusterView) -> bool:
        """It prefers something, or somebody prefers it."""
        stake = shape.stake
        if stake is None:
            return False
        return bool(
            stake.likes
            or any(each.used for each in stake.pulls())
            or (self.required_weight and any(each.used for each in stake.bonds()))
        )

    def pace(self, shape: Shape, view: ClusterView) -> Pace:
        """Points are parts of the range that occurs, so every placement may move all of them."""
        return "one"

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """The sum of weights in each row's domains, stretched over [0, 1] from the least to the most."""
        points: Floats = np.zeros(view.table.size)
        stake, size = shape.stake, view.table.size
        if stake is not None:
            for tally, weight in stake.likes:
                points += tally.here(size) * float(weight)
            for tally in stake.pulls():
                points += tally.here(size)
            for tally in stake.bonds() if self.required_weight else ():
                points += tally.here(size) * self.required_weight
        result: Floats = points[rows]
        if not result.size:
            return result
        least = result.min()
        span = result.max() - least
        return (result - least) / span if span > 0 else np.zeros(result.size)
