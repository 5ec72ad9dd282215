"""Who keeps a pod away by being there, anywhere in a topology domain: all of them must go, or it cannot come.

Anti-affinity speaks of a domain, which may be a zone of many nodes: its own terms, and those of pods that are there.
Candidates are sorted by domain once for each tally of such pods, when the first row asks.
"""

from collections.abc import Iterator

import numpy as np

from flowbatch.engine.candidates import Unit
from flowbatch.model.columns import ABSENT
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools
from flowbatch.model.tallies import Tally


class InTheWay:
    """Finds those who must go from a domain, for one search."""

    def __init__(self, state: ClusterState, by_row: dict[int, list[Unit]]) -> None:
        self._state = state
        self._by_row = by_row
        #: Tally -> domain -> candidates that move it there, and how many pods of theirs do.
        self._known: dict[Tally, dict[int, dict[Unit, int]]] = {}

    def of(self, row: int, shape: Shape) -> list[Unit] | None:
        """Who must go so that nobody's anti-affinity keeps `shape` from `row`; None where somebody stays."""
        found: dict[Unit, None] = {}
        size = self._state.table.size
        for tally in _against(shape):
            here = int(tally.here(size)[row])
            if here <= 0:
                continue
            units = self._in_domain(tally, int(tally.column.cut(size)[row]))
            if sum(count for unit, count in units.items() if unit.there) < here:
                return None
            found |= dict.fromkeys(unit for unit in units if unit.there)
        return list(found)

    def rows(self, shape: Shape, roomy: Bools) -> Iterator[int]:
        """Of the rows with room, one of each domain that somebody keeps it from."""
        size = self._state.table.size
        tallies = [tally for tally in _against(shape) if (tally.here(size) > 0).any()]
        if not tallies:
            return
        rows = np.flatnonzero(roomy)
        domains = np.stack([tally.column.cut(size)[rows] for tally in tallies])
        _, first = np.unique(domains, axis=1, return_index=True)
        yield from rows[np.sort(first)].tolist()

    def _in_domain(self, tally: Tally, domain: int) -> dict[Unit, int]:
        known = self._known.get(tally)
        if known is None:
            known = self._known[tally] = {}
            ids = tally.column.cut(self._state.table.size)
            for unit in dict.fromkeys(unit for units in self._by_row.values() for unit in units):
                for task in unit.tasks:
                    stake, node = task.shape.stake, task.node
                    if stake is None or node is None or ids[node.row] == ABSENT:
                        continue
                    amount = sum(each is tally for each in stake.moved())
                    if amount:
                        counts = known.setdefault(int(ids[node.row]), {})
                        counts[unit] = counts.get(unit, 0) + amount
        return known.get(domain, {})


def _against(shape: Shape) -> Iterator[Tally]:
    if shape.stake is not None:
        yield from shape.stake.apart
        yield from (tally for tally in shape.stake.guards() if tally.total)
