"""Lanes that wait for other pods to come or go, by the tallies that their shapes look at.

A tally that rises cures affinity, one that falls cures anti-affinity; either may cure spreading.
"""

from collections.abc import Iterator, Mapping, Sequence

from flowbatch.engine.lanes import Lane
from flowbatch.model.changes import FELL, ROSE
from flowbatch.model.shapes import Shape
from flowbatch.model.stakes import Stake
from flowbatch.model.tallies import Tally


class CompanyWatches:
    """Tally -> lanes, each with the ways of moving that may be its cure."""

    def __init__(self) -> None:
        self._by_tally: dict[Tally, dict[Lane, int]] = {}
        self._of: dict[Lane, dict[Tally, None]] = {}

    def add(self, lane: Lane, shapes: Sequence[Shape]) -> None:
        """Watch for `lane` what `shapes` look at."""
        watched = self._of.setdefault(lane, {})
        for stake in (shape.stake for shape in shapes if shape.stake is not None):
            for tally, ways in cures(stake):
                lanes = self._by_tally.setdefault(tally, {})
                lanes[lane] = lanes.get(lane, 0) | ways
                watched[tally] = None
                tally.watchers = len(lanes)

    def remove(self, lane: Lane) -> None:
        """The lane waits no more."""
        for tally in self._of.pop(lane, ()):
            lanes = self._by_tally[tally]
            del lanes[lane]
            tally.watchers = len(lanes)
            if not lanes:
                del self._by_tally[tally]

    def woken(self, tallies: Mapping[Tally, int]) -> dict[Lane, None]:
        """Lanes for which one of these moved the right way."""
        return {
            lane: None
            for tally, moved in tallies.items()
            for lane, ways in self._by_tally.get(tally, {}).items()
            if ways & moved
        }


def cures(stake: Stake) -> Iterator[tuple[Tally, int]]:
    """What a shape looks at, and which way of moving may admit more of it."""
    # A series that is affine to itself may begin anew where its last pod has gone.
    ways = ROSE | FELL if stake.is_of(stake.company) else ROSE
    for tally in stake.near:
        yield tally, ways
    for tally in (*stake.apart, *stake.guards()):
        yield tally, FELL
    for spread, fellows, _ in stake.spreads:
        if spread.hard and fellows is not None:
            yield fellows, ROSE | FELL
