"""What a node hands out piece by piece, so that no sum tells whether a pod fits.

Shared devices and exclusive cpus are *counted* on each node; devices that are claimed belong to claims, which several
pods may use.
"""

import numpy as np

from flowbatch.model.deviceclaims import DeviceClaims
from flowbatch.model.devices import DeviceTable
from flowbatch.model.gangs import Task
from flowbatch.model.numa import NumaTable
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints


class Pieces:
    """All kinds at once, for whoever looks for room."""

    def __init__(self, devices: DeviceTable, numa: NumaTable, claims: DeviceClaims) -> None:
        self._devices = devices
        self._numa = numa
        self._claims = claims

    def matter(self, shape: Shape) -> bool:
        """Pods of `shape` need some."""
        return bool(shape.spec.device_claims) or self.count(shape)

    def count(self, shape: Shape) -> bool:
        """Pods of `shape` need some that are counted on their node."""
        return bool(shape.spec.devices) or (shape.spec.numa is not None and self._numa.concerns(shape))

    def limit(self, shape: Shape, copies: Ints, *, empty: bool = False) -> Ints:
        """`copies` by row, where pieces do not allow for fewer; `empty`: if nobody had any."""
        if shape.spec.devices:
            copies = self._devices.limit(shape, copies, empty=empty)
        if shape.spec.numa is not None and self._numa.concerns(shape):
            copies = self._numa.limit(shape, copies, empty=empty)
        if shape.spec.device_claims:
            copies = self._claims.limit(shape, copies, empty=empty)
        return copies

    def limit_at(self, shape: Shape, rows: Ints, copies: Ints) -> Ints:
        """The same of `copies` on `rows` only."""
        copies = self.count_at(shape, rows, copies)
        return self._claims.limit_at(shape, rows, copies) if shape.spec.device_claims else copies

    def count_at(self, shape: Shape, rows: Ints, copies: Ints) -> Ints:
        """`copies` on `rows`, where what is counted there does not allow for fewer."""
        if shape.spec.devices:
            copies = np.minimum(copies, self._devices.copies(shape, rows))
        if shape.spec.numa is not None and self._numa.concerns(shape):
            copies = np.minimum(copies, self._numa.copies(shape, rows))
        return copies

    # -- suppositions

    @staticmethod
    def counted(task: Task) -> bool:
        """It is on a node and holds some there that are counted."""
        return task.node is not None and (bool(task.devices) or task.own_cpus)

    def suppose_gone(self, task: Task, sign: int = 1) -> None:
        """As if the task had given back all of its own; sign -1 ends that."""
        if task.fact.device_claims:
            self._claims.suppose(task.fact.device_claims, -sign)
        if task.node is None:
            return
        if task.devices:
            self._devices.hold(task.node.row, task.devices, -sign)
        if task.cpus is not None and task.shape.spec.numa is not None:
            self._numa.suppose_gone(task.node.row, task.cpus, task.shape.spec.numa.total, sign)

    def bear(self, task: Task) -> bool:
        """A task that was supposed gone, and is no more, shares nothing with those who came meanwhile."""
        fine = not task.fact.device_claims or self._claims.bears(task.fact.device_claims)
        if task.node is None:
            return fine
        fine = fine and (not task.devices or self._devices.bears(task.node.row, task.devices))
        return fine and (not task.own_cpus or self._numa.bears(task.node.row, task.cpus or 0))
