"""How many copies of each watched shape fit on each row, one slot a shape: what its last search found, and gains since.

Rows that lose room later are not counted down, so no row and no total is ever too low: where there are too few by these
counts, there are too few.
"""

import numpy as np
from numpy.typing import NDArray

from flowbatch.engine.thresholds import FIRST_SLOTS
from flowbatch.model.table import Bools, Ints

Counts = NDArray[np.int32]

#: Above every count: room there is no gain, because pods forbid it. They may leave, so that what would fit then is in
#: the total.
FORBIDDEN = (1 << 31) - 1
#: The same because the node does not admit the shape.
CLOSED = FORBIDDEN - 1
#: As many as are told apart.
MOST = CLOSED - 1
#: One row in so many is kept for nodes to come: few, because each is there for every shape.
SPARE = 8


class Copies:
    """Counts [slot, row], with their totals [slot]."""

    def __init__(self) -> None:
        self._counts: Counts = np.full((FIRST_SLOTS, 0), CLOSED, np.int32)
        self.totals: Ints = np.zeros(FIRST_SLOTS, np.int64)

    def grow(self, slots: int, rows: int) -> None:
        """Make room for so many, and some rows beyond; new rows are closed until somebody says otherwise."""
        known_slots, known_rows = self._counts.shape
        more = max(0, slots - known_slots), rows + rows // SPARE - known_rows if rows > known_rows else 0
        if any(more):
            self._counts = np.pad(self._counts, [(0, each) for each in more], constant_values=CLOSED)
            self.totals = np.pad(self.totals, (0, more[0]))

    def set(self, slot: int, copies: Ints, admits: Bools, forbidden: Bools | None) -> None:
        """What a search has just found: exact again."""
        size = copies.size
        self.totals[slot] = int(copies.sum())
        self._counts[slot, size:] = CLOSED
        self._counts[slot, :size] = np.where(admits[:size], np.minimum(copies, MOST), CLOSED)
        if forbidden is not None:
            self._counts[slot, :size][forbidden] = FORBIDDEN

    def admit(self, slot: int, rows: Ints, admits: Bools) -> None:
        """Nodes have changed: where the shape may go now, none of it is there yet."""
        counts = self._counts[slot, rows]
        counts[admits & (counts == CLOSED)] = 0
        counts[~admits] = CLOSED
        self._counts[slot, rows] = counts

    def closed(self, slots: Ints, rows: Ints) -> Bools:
        """Where shapes may not go whatever is free, [slot, row]."""
        result: Bools = self._counts[np.ix_(slots, rows)] == CLOSED
        return result

    def gain(self, slots: Ints, rows: Ints, now: Ints) -> Bools:
        """Where more fits now than before, [slot, row], count it; which shapes have won."""
        cells = np.ix_(slots, rows)
        more = now - self._counts[cells]
        np.maximum(more, 0, out=more)
        self._counts[cells] += more.astype(np.int32)
        won: Ints = more.sum(axis=1)
        self.totals[slots] += won
        return won > 0

    def drop(self, slots: Ints, rows: Ints) -> None:
        """Not even one of any of these shapes fits on any of these rows now."""
        cells = np.ix_(slots, rows)
        counts = self._counts[cells]
        lost = np.where(counts < CLOSED, counts, 0)
        self._counts[cells] = counts - lost
        self.totals[slots] -= lost.sum(axis=1)

    def of(self, slot: int, size: int) -> Ints:
        """Of one shape by row; where pods forbid it, more than anybody needs."""
        counts = self._counts[slot, :size].astype(np.int64)
        counts[counts == CLOSED] = 0
        return counts
