"""What room there will be on every row once all that leaves has left, as one search supposes it."""

import numpy as np

from flowbatch.engine.candidates import Unit
from flowbatch.engine.costs import collide
from flowbatch.engine.domains import Area
from flowbatch.engine.fits import Fits
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Row
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools, Ints


class Outlook:
    """Room by axis and row, which the search takes and gives back as it goes."""

    def __init__(self, state: ClusterState, fits: Fits, gang: Gang, area: Area, overdue: list[Task]) -> None:
        self._state = state
        self._fits = fits
        self._gang = gang
        self.area = area
        self._overdue = overdue
        self.future: dict[int, Ints] = {}
        #: Rows where a shape with host ports has been put.
        self.ported: dict[int, None] = {}

    def look_ahead(self) -> None:
        """By axis and row: what there will be. What should have left long ago is not counted on."""
        self._state.table.fit_axes()
        axes = range(len(self._state.axes))
        future = {axis: self._state.table.future(axis).copy() for axis in axes}
        for task in self._overdue:
            for axis, amount in task.shape.request if task.node else ():
                assert task.node is not None
                future[axis][task.node.row] -= amount
        self.future = future

    def leaving(self) -> list[Task]:
        """Tasks that will have left their devices and cpus; what should have left long ago is not counted on."""
        late = {task.uid: None for task in self._overdue}
        return [task for task in self._state.leaving.values() if task.uid not in late]

    def mask(self, shape: Shape, *, social: bool = True) -> Bools:
        """Rows that others may leave for the shape; not `social`: if those who keep it away by being there went too."""
        result = self._admitting(shape, social=social)
        for window in self._state.windows.others(self._gang):
            # What is kept for somebody else is not to be taken by having others leave.
            result[window.rows] = False
        return result

    def _admitting(self, shape: Shape, *, social: bool = True) -> Bools:
        table = self._state.table
        result: Bools = self._fits.of(shape).mask & table.ready[: table.size]
        if self.area.mask is not None:
            result = result & self.area.mask
        if self._fits.momentary:
            self._fits.close(shape, result)
        refusals = [rows for rows, _ in self._fits.refusals(shape, by_placement=True)] if social else []
        for refused in refusals or self._fits.lasting(shape):
            result = result & ~refused
        return result

    def copies(self, shape: Shape) -> Ints:
        """How many fit on each row without anybody else's going; of what is kept for others, what is to spare."""
        least: Ints | None = None
        for axis, amount in shape.request:
            copies = self.future[axis] // amount
            least = copies if least is None else np.minimum(least, copies)
        assert least is not None
        result: Ints = np.maximum(least, 0) * self._admitting(shape)
        if shape.spec.ports:
            result[[row for row in self._state.ports.taken(shape.spec.ports) if self.holders(row, shape)]] = 0
            result[list(self.ported)] = 0
            np.minimum(result, 1, out=result)
        result = self._state.pieces.limit(shape, result)
        if self._fits.momentary:
            result = self._cap(shape, result)
        return self._state.windows.limit(self._gang, shape, result) if self._state.windows else result

    def roomy(self, shape: Shape, mask: Bools) -> Bools:
        """Rows of the mask with room for one more, whoever else is there."""
        result = mask.copy()
        for axis, amount in shape.request:
            result &= self.future[axis] >= amount
        return result

    def bears(self, row: int, shape: Shape) -> bool:
        """Limits of the moment leave a place for one more on `row`, where there is room by now."""
        if not self._fits.momentary:
            return True
        one: Ints = np.zeros(self._state.table.size, np.int64)
        one[row] = 1
        return bool(self._cap(shape, one)[row])

    def _cap(self, shape: Shape, copies: Ints) -> Ints:
        """What limits of the moment leave, which look at the table: they see it as it will be."""
        table = self._state.table
        before, table.free = table.free, np.stack([self.future[axis] for axis in range(len(self.future))])
        try:
            return self._fits.cap(shape, copies)
        finally:
            table.free = before

    def holders(self, row: int, shape: Shape) -> list[Task]:
        """Who stays on `row` with a host port that the shape needs."""
        return [
            task
            for task in self._state.node_at[Row(row)].tasks.values()
            if task.state is not TaskState.RELEASING and collide(task.shape, shape)
        ]

    def take(self, shape: Shape, row: int, count: int) -> None:
        """So many of `shape` are put on `row`."""
        for axis, amount in shape.request:
            self.future[axis][row] -= amount * count
        if shape.spec.ports:
            self.ported[row] = None

    def give(self, unit: Unit, sign: int = 1) -> None:
        """A unit goes; sign -1: it stays after all."""
        for row, given in unit.gives.items():
            for axis, amount in given.items():
                self.future[axis][row] += amount * sign
