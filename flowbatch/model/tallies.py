"""Amounts by topology domain: per row as they come and go, per domain as they are asked for.

A tally follows one topology key. A domain is an id of that label's column; a row without the label is in no domain.
"""

import numpy as np

from flowbatch.model.columns import ABSENT, ValueColumn
from flowbatch.model.ids import Row
from flowbatch.model.table import Bools, Ints


class Tally:
    """Pods, or weights of pods, by row and by domain of one label."""

    __slots__ = ("_by_domain", "_column", "_here", "_total", "_version", "by_row", "key", "watchers")

    def __init__(self, key: str, column: ValueColumn[str]) -> None:
        self.key = key
        self._column = column
        self.by_row: Ints = np.zeros(0, np.int64)
        self._by_domain: Ints = np.zeros(0, np.int64)
        self._total = 0
        self._here: Ints | None = None
        #: Of the column, when the sums by domain were made.
        self._version = -1
        #: Lanes that sleep until it moves.
        self.watchers = 0

    @property
    def column(self) -> ValueColumn[str]:
        """The label that makes its domains."""
        return self._column

    def add(self, row: Row, amount: int) -> None:
        """`amount` more on `row`."""
        if row >= self.by_row.size:
            self._grow(row + 1)
        self.by_row[row] += amount
        ids = self._column.ids
        if self._version == self._column.version and row < ids.size:
            domain = ids[row]
            if domain != ABSENT:
                self._by_domain[domain] += amount
                self._total += amount
                self._here = None

    def add_rows(self, rows: Ints, amounts: Ints) -> None:
        """`amounts` more on `rows`, which are all different."""
        for row, amount in zip(rows.tolist(), amounts.tolist(), strict=True):
            self.add(Row(row), amount)

    def _grow(self, size: int) -> None:
        self.by_row = np.pad(self.by_row, (0, max(size, 2 * self.by_row.size) - self.by_row.size))

    def _refresh(self) -> None:
        if self._version == self._column.version:
            return
        ids = self._column.cut(self.by_row.size)
        sums = np.bincount(ids, weights=self.by_row, minlength=len(self._column.values))
        self._by_domain = sums.astype(np.int64)
        self._by_domain[ABSENT] = 0
        self._total = int(self._by_domain.sum())
        self._version, self._here = self._column.version, None

    @property
    def used(self) -> bool:
        """Something is on some row, in a domain or not."""
        return bool(self.by_row.any())

    @property
    def total(self) -> int:
        """All that is in any domain."""
        self._refresh()
        return self._total

    def here(self, size: int) -> Ints:
        """By row, what is in its domain; zero where it is in none. Not to be changed."""
        self._refresh()
        if self._here is None or self._here.size != size:
            self._here = self._by_domain.take(self._column.cut(size))
        return self._here

    def domains(self) -> Ints:
        """By domain id. Not to be changed."""
        self._refresh()
        return self._by_domain

    def domains_among(self, rows: Bools) -> Ints:
        """By domain id, what is on those rows of it that are in the mask."""
        size = min(rows.size, self.by_row.size)
        ids = self._column.cut(rows.size)[:size]
        among = self.by_row[:size] * rows[:size]
        sums: Ints = np.bincount(ids, weights=among, minlength=len(self._column.values)).astype(np.int64)
        sums[ABSENT] = 0
        return sums
