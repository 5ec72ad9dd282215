"""Labels, taints and cordons of nodes as columns, so that a filter asks each distinct value once instead of each node.

Columns of labels are made when somebody first tests the key. Every static change of a row goes into a log, so that a
cached mask is brought up to date by looking at the rows that changed, not by building it again.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.ids import Row
from flowbatch.model.shapes import Taint
from flowbatch.model.table import Bools

V = TypeVar("V", bound=Hashable)

#: When the log of changed rows is longer than this it starts anew, and older masks are built from scratch.
LOG_MAX = 4096
ABSENT = 0


class ValueColumn(Generic[V]):
    """One interned value per row; id 0 means "none"."""

    def __init__(self, rows: int) -> None:
        self.ids: NDArray[np.int32] = np.zeros(rows, np.int32)
        self.values: list[V | None] = [None]
        #: Grows with every change of a row's value.
        self.version = 0
        self._id_of: dict[V, int] = {}
        self._single, self._single_of = True, -1

    def set(self, row: Row, value: V | None) -> None:
        """Row's value; None for none."""
        if row >= self.ids.size:
            self.ids = np.pad(self.ids, (0, max(row + 1, 2 * self.ids.size) - self.ids.size))
        self.version += 1
        self.ids[row] = ABSENT if value is None else self._intern(value)

    def _intern(self, value: V) -> int:
        known = self._id_of.get(value)
        if known is None:
            if len(self.values) > 2 * self.ids.size + 64:
                self._compact()
            known = self._id_of[value] = len(self.values)
            self.values.append(value)
        return known

    def _compact(self) -> None:
        # Values of nodes long gone (host names, mostly) must not pile up.
        used = sorted({int(value) for value in self.ids} - {ABSENT})
        renumber = np.zeros(len(self.values), np.int32)
        renumber[used] = np.arange(1, len(used) + 1)
        self.values = [None, *(self.values[old] for old in used)]
        self.ids = renumber[self.ids]
        self._id_of = {value: new for new, value in enumerate(self.values) if value is not None}

    def where(self, value: V, size: int) -> Bools:
        """Rows that have exactly this value."""
        known = self._id_of.get(value)
        if known is None:
            return np.zeros(size, np.bool_)
        result: Bools = self.cut(size) == known
        return result

    def where_any(self, holds: Callable[[V], bool], size: int, *, absent: bool = False) -> Bools:
        """Rows whose value `holds`; each distinct value is asked once. `absent` is the answer for rows without one."""
        verdicts = np.array([absent, *(holds(value) for value in self.values[1:] if value is not None)], np.bool_)
        result: Bools = verdicts[self.cut(size)]
        return result

    def single(self) -> bool:
        """No two rows have the same value: each is a domain of its own."""
        if self._single_of != self.version:
            counts = np.bincount(self.ids)[ABSENT + 1 :]
            self._single, self._single_of = not counts.size or int(counts.max()) <= 1, self.version
        return self._single

    def cut(self, size: int) -> NDArray[np.int32]:
        """Ids of the first `size` rows."""
        if self.ids.size < size:
            self.ids = np.pad(self.ids, (0, size - self.ids.size))
        return self.ids[:size]


class NodeColumns:
    """Static facts of all nodes, column by column, with the log of what changed."""

    def __init__(self) -> None:
        self._labels: dict[str, ValueColumn[str]] = {}
        self._of_row: dict[Row, dict[str, str]] = {}
        self.taints: ValueColumn[tuple[Taint, ...]] = ValueColumn(0)
        self.cordoned: ValueColumn[bool] = ValueColumn(0)
        #: Container images that a node has, of those that pods ask for, with their sizes in bytes.
        self.images: ValueColumn[tuple[tuple[str, int], ...]] = ValueColumn(0)
        #: What a node's kubelet does about cpus, where that is known.
        self.cpus: ValueColumn[str] = ValueColumn(0)
        self._log: list[Row] = []
        self._log_start = 0
        self.size = 0

    @property
    def version(self) -> int:
        """Grows with every static change of any node."""
        return self._log_start + len(self._log)

    def changed_since(self, version: int) -> Sequence[Row] | None:
        """Rows that changed after `version`, repeats included; None where the log no longer reaches back so far."""
        start = version - self._log_start
        return None if start < 0 else self._log[start:]

    def set(self, row: Row, labels: dict[str, str], taints: tuple[Taint, ...], *, cordoned: bool) -> None:
        """A node's static facts as they now are."""
        self.size = max(self.size, row + 1)
        before = self._of_row.get(row, {})
        self._of_row[row] = labels
        for key, column in self._labels.items():
            if before.get(key) != labels.get(key):
                column.set(row, labels.get(key))
        self.taints.set(row, taints or None)
        self.cordoned.set(row, cordoned or None)
        self._note(row)

    def cpus_of(self, row: Row) -> str | None:
        """What a node's kubelet does about cpus, as `cpus.cpu_policy` says it; None where that is not known."""
        return self.cpus.values[self.cpus.ids[row]] if row < self.cpus.ids.size else None

    def set_cpus(self, row: Row, policy: str | None) -> None:
        """The same, as it now is."""
        self.cpus.set(row, policy)
        self._note(row)

    def _note(self, row: Row) -> None:
        if len(self._log) >= LOG_MAX:
            self._log_start += len(self._log)
            self._log.clear()
        self._log.append(row)

    def label(self, key: str) -> ValueColumn[str]:
        """The column of one label, made on first use."""
        column = self._labels.get(key)
        if column is None:
            column = self._labels[key] = ValueColumn(self.size)
            for row, labels in self._of_row.items():
                if key in labels:
                    column.set(row, labels[key])
        return column
