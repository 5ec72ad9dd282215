"""Another place for everybody who moves, found before he is sent away.

It is room that is free now and that nobody else leaves, on another node: so whoever comes back waits for nobody.
Nodes that nobody could leave come first, and of those the tightest fit, because room in one piece is what is sought.
"""

import numpy as np

from flowbatch.engine.candidates import Unit
from flowbatch.engine.domains import EVERYWHERE
from flowbatch.engine.fits import Fits
from flowbatch.engine.outlook import Outlook
from flowbatch.model.gangs import Reservation, Task
from flowbatch.model.ids import Row
from flowbatch.model.resources import PODS
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Floats, Ints
from flowbatch.model.trial import Trial

ONE: Ints = np.ones(1, np.int64)


class Rehousing:
    """Who goes where, inside one search; what it finds is taken in the search's trial and outlook."""

    def __init__(
        self, state: ClusterState, fits: Fits, outlook: Outlook, trial: Trial, by_row: dict[int, list[Unit]], most: int
    ) -> None:
        self._state = state
        self._fits = fits
        self._outlook = outlook
        self._trial = trial
        self._most = most
        #: Rows that somebody could leave.
        self._busy = np.zeros(state.table.size, np.bool_)
        self._busy[list(by_row)] = True
        #: Those who move, with their new rows, in the order in which they were found.
        self.berths: dict[Task, Row] = {}

    def find(self, unit: Unit) -> str | None:
        """Take another place for all of `unit`; else why not, and nothing is taken."""
        mark = self._trial.mark()
        for task in unit.tasks:
            full = len(self.berths) >= self._most
            row = None if full else self._row(task)
            if row is None:
                self.back(unit)
                self._trial.undo(mark)
                return f"beyond the {self._most} that may move" if full else "that would find no other place"
            self._take(task, row)
        return None

    def back(self, unit: Unit) -> None:
        """They stay after all: what was found for them is free again. The trial is the caller's to undo."""
        for task in unit.tasks:
            row = self.berths.pop(task, None)
            if row is not None:
                self._outlook.take(task.shape, row, -1)

    def _row(self, task: Task) -> Row | None:
        assert task.gang is not None
        area, self._outlook.area = self._outlook.area, EVERYWHERE
        with self._fits.seen_by(task.gang):
            copies = self._outlook.copies(task.shape) * self._outlook.mask(task.shape)
        self._outlook.area = area
        table = self._state.table
        # Nor where somebody leaves, as he does who is to move.
        copies[~table.open_rows() | table.releasing[:, : table.size].any(axis=0)] = 0
        rows = np.flatnonzero(copies)
        if not rows.size:
            return None
        left: Floats = np.zeros(rows.size)
        for axis, _ in task.shape.request:
            if axis != PODS:
                left += self._outlook.future[axis][rows] * table.inverse[axis, rows]
        return Row(int(rows[np.lexsort([rows, left, self._busy[rows]])[0]]))

    def _take(self, task: Task, row: Row) -> None:
        gang, role = task.gang, task.role
        assert gang is not None
        assert role is not None
        self.berths[task] = row
        self._outlook.take(task.shape, row, 1)
        self._trial.reserve(gang, Reservation(role.name, task.shape, np.array([row]), ONE))
