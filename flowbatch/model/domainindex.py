"""Vectors over all network domains, so that one pass answers for each of them.

The rows of all domains stand one after the other in one array; any number per node is summed up per domain by one
`take` and one `reduceat`. Domains come in order of (tier, name). Empty ones are not in it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.facts import Reach
from flowbatch.model.table import Bools, Ints

if TYPE_CHECKING:
    from flowbatch.model.topology import Domain

N = TypeVar("N", np.int64, np.float64)
#: Stands for "in no domain", and sorts after every domain.
NOBODY = 1 << 40


class DomainIndex:
    """All domains with nodes, as they are in one version of the topology."""

    def __init__(self, domains: "Iterable[Domain]") -> None:
        self.domains = sorted((each for each in domains if each.rows.size), key=lambda each: (each.tier, each.name))
        self.at = {domain.name: place for place, domain in enumerate(self.domains)}
        self.tiers: Ints = np.array([domain.tier for domain in self.domains], np.int64)
        self.sizes: Ints = np.array([domain.rows.size for domain in self.domains], np.int64)
        self.flat: Ints = np.concatenate([domain.rows for domain in self.domains] or [np.zeros(0, np.int64)])
        self.starts: Ints = np.cumsum(self.sizes) - self.sizes
        self._reached: dict[Reach, Bools] = {}
        self._levels: list[tuple[int, Ints]] | None = None

    def __len__(self) -> int:
        return len(self.domains)

    def sums(self, by_row: NDArray[N]) -> NDArray[N]:
        """Per domain, the sum of a number per row of the table."""
        if not self.domains:
            return by_row[:0]
        result: NDArray[N] = np.add.reduceat(by_row.take(self.flat), self.starts)
        return result

    def mask(self, place: int, size: int) -> Bools:
        """Rows of one domain, over a table of `size` rows."""
        rows = np.zeros(size, np.bool_)
        rows[self.domains[place].rows] = True
        return rows

    def within(self, reach: Reach) -> Bools:
        """Domains that keep members as close as `reach` says; a soft one takes all."""
        known = self._reached.get(reach)
        if known is None:
            known = self._reached[reach] = self._within(reach)
        return known

    def _within(self, reach: Reach) -> Bools:
        if reach.soft or (reach.highest is None and not reach.name):
            return np.ones(len(self), np.bool_)
        if not reach.name:
            assert reach.highest is not None
            return self.tiers <= reach.highest
        named = np.zeros(len(self), np.bool_)
        # From the top down, so that a parent is known before its children.
        for place in range(len(self) - 1, -1, -1):
            domain = self.domains[place]
            above = any(named[self.at[parent.name]] for parent in domain.parents)
            named[place] = above or domain.fact.tier_name == reach.name
        return named

    def holding(self, rows: Ints, size: int) -> Bools:
        """Domains that contain every one of `rows`."""
        here = np.zeros(size, np.int64)
        here[rows] = 1
        result: Bools = self.sums(here) == int(here.sum())
        return result

    def inside(self, place: int, size: int) -> Bools:
        """Domains that lie wholly inside one, itself included."""
        result: Bools = self.sums(self.mask(place, size).astype(np.int64)) == self.sizes
        return result

    @property
    def levels(self) -> list[tuple[int, Ints]]:
        """(tier, which domain of that tier each row is in) from the highest tier down; `NOBODY` where it is in none."""
        if self._levels is None:
            self._levels = [
                (tier, self._level(tier)) for tier in sorted({int(tier) for tier in self.tiers}, reverse=True)
            ]
        return self._levels

    def _level(self, tier: int) -> Ints:
        level: Ints = np.full(int(self.flat.max()) + 1, NOBODY, np.int64)
        # The first of domains that overlap has the row, so they are written last to first.
        for place in np.flatnonzero(self.tiers == tier)[::-1].tolist():
            level[self.domains[place].rows] = place
        return level

    def order(self, rows: Ints) -> Ints:
        """Places in `rows` in the order of a walk over the tree, in which neighbours are close to each other."""
        keys = [rows, *(level_of(level, rows) for _, level in reversed(self.levels))]
        result: Ints = np.lexsort(keys)
        return result


def level_of(level: Ints, rows: Ints) -> Ints:
    """Which domain each of `rows` is in; rows that came after the last look at the topology are in none."""
    result: Ints = np.full(rows.size, NOBODY, np.int64)
    known = rows < level.size
    result[known] = level[rows[known]]
    return result
