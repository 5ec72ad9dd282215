"""How much of each node is really used, as somebody outside has measured it, by node and as columns over rows.

A measurement that is older than STALE_MS says nothing any more.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.ids import Amounts, Instant, NodeName, Row
from flowbatch.model.table import Bools, Ints

#: Volcano: MetricsActiveTime.
STALE_MS: Final = 300_000


class Measured:
    """Last measurements. Amounts are parts per thousand of a node's allocatable, by resource name."""

    def __init__(self) -> None:
        self.by_node: dict[NodeName, tuple[Instant, Amounts]] = {}
        self._at: Ints = np.zeros(0, np.int64)
        self._columns: dict[str, NDArray[np.int64]] = {}

    def see(self, name: NodeName, row: Row | None, at: Instant, permille: Amounts) -> None:
        """A measurement; its row is None while nobody has shown us the node."""
        self.by_node[name] = at, permille
        if row is not None:
            self.settle(name, row)

    def settle(self, name: NodeName, row: Row) -> None:
        """The node is on `row`: what was measured of it before it was shown counts from now on."""
        known = self.by_node.get(name)
        if known is None:
            return
        at, permille = known
        self._grow(row + 1)
        self._at[row] = at
        for column in self._columns.values():
            column[row] = 0
        for resource, units in permille:
            if resource not in self._columns:
                self._columns[resource] = np.zeros(self._at.size, np.int64)
            self._columns[resource][row] = units

    def forget(self, name: NodeName, row: Row | None) -> None:
        """The node is gone, and its row may soon be another's."""
        if self.by_node.pop(name, None) is not None and row is not None and row < self._at.size:
            self._at[row] = 0

    def current(self, now: Instant, size: int) -> Bools:
        """Rows whose measurement still counts."""
        self._grow(size)
        at = self._at[:size]
        result: Bools = (at > 0) & (now - at <= STALE_MS)
        return result

    def column(self, resource: str, size: int) -> Ints:
        """Parts per thousand by row; zero where nothing was measured."""
        self._grow(size)
        column = self._columns.get(resource)
        return np.zeros(size, np.int64) if column is None else column[:size]

    def stale_at(self, rows: Bools) -> Instant | None:
        """When the first measurement of these rows stops to count."""
        at = self._at[: rows.size][rows]
        return Instant(int(at.min()) + STALE_MS + 1) if at.size else None

    def _grow(self, size: int) -> None:
        missing = max(0, size - self._at.size)
        if missing:
            missing = max(missing, self._at.size)
            self._at = np.pad(self._at, (0, missing))
            self._columns = {name: np.pad(column, (0, missing)) for name, column in self._columns.items()}
