"""How much of a node's free devices is of use to the pods that usually come.

Weng et al., "Beware of Fragmentation" (USENIX ATC 2023): free GPUs that a typical pod cannot use, because what is left
of each is too small, too few are whole, or the node's cpu or model does not suit it, are fragments for that pod; a
node's fragmentation is their mean over the shapes that come. Here its complement is kept, what is of use. For pods that
want a part of one device it is a sum over devices, free part times the weight of shapes that it would satisfy; for pods
that want several whole ones it depends only on how many are whole. So three small tables answer for any state of any
node: one look at them per device replaces one look at every shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.asks import WHOLE, DeviceAsk
from flowbatch.model.shapes import ShapeSpec
from flowbatch.model.table import Bools, Floats, Ints

CPU, MEMORY = "cpu", "memory"


@dataclass(frozen=True)
class Kind:
    """A shape as far as its use of devices goes: `count` devices, `part` thousandths of each."""

    cpu: int
    memory: int
    count: int
    part: int

    @classmethod
    def of(cls, spec: ShapeSpec, device_memory: int, *, memory: bool) -> "Kind":
        """From a spec; memory of devices counts as a part of the largest device there is."""
        asked = dict(spec.requests)
        count = max(sum(ask.count for ask in spec.devices), 1)
        part = max((part_of(ask, device_memory) for ask in spec.devices), default=0)
        if part < WHOLE:
            count = 1
        return cls(asked.get(CPU, 0), asked.get(MEMORY, 0) if memory else 0, count, part)


def part_of(ask: DeviceAsk, device_memory: int) -> int:
    """Thousandths of a device that an ask takes, memory as a part of the largest device's."""
    if ask.whole:
        return WHOLE
    of_memory = ask.percent * WHOLE // 100 or (ask.memory * WHOLE // device_memory if device_memory else 0)
    return max(1, min(WHOLE, max(ask.milli, of_memory)))


class Tables:
    """Weights of shapes by (pool of nodes, cpu, memory, part of a device) and by (.., whole devices).

    `pools` says of each row to which set of nodes it belongs: all of a pool admit the same shapes. `admits` is
    [pool, shape].
    """

    def __init__(self, kinds: Sequence[Kind], weights: Floats, admits: Bools, pools: Ints, width: int) -> None:
        self._pools = pools
        self._cpu = np.unique([kind.cpu for kind in kinds])
        self._memory = np.unique([kind.memory for kind in kinds])
        steps = np.unique([kind.part for kind in kinds])
        #: A free part as an index of the table.
        self._step: NDArray[np.int64] = np.searchsorted(steps, np.arange(WHOLE + 1), side="right")
        shape = (admits.shape[0], self._cpu.size + 1, self._memory.size + 1)
        some = np.zeros((*shape, steps.size + 1))
        many = np.zeros((*shape, width + 1))
        for column, (kind, weight) in enumerate(zip(kinds, weights.tolist(), strict=True)):
            at = (np.searchsorted(self._cpu, kind.cpu) + 1, np.searchsorted(self._memory, kind.memory) + 1)
            where = np.flatnonzero(admits[:, column])
            if kind.count == 1:
                some[where, at[0], at[1], np.searchsorted(steps, kind.part) + 1] += weight
            elif kind.count <= width:
                many[where, at[0], at[1], kind.count] += weight
        for axis in (1, 2, 3):
            some, many = some.cumsum(axis), many.cumsum(axis)
        self._shape = some.shape
        self._some: Floats = some.ravel()
        devices: Floats = np.arange(width + 1, dtype=np.float64) * WHOLE
        self._many: Floats = (many * devices).ravel()
        self._width = width + 1

    def at(self, rows: Ints, cpu: Ints, memory: Ints) -> "Place":
        """The part of the tables that counts for `rows` with so much free."""
        _, cpus, memories, steps = self._shape
        where = self._pools.take(rows) * cpus + np.searchsorted(self._cpu, cpu, side="right")
        where = where * memories + np.searchsorted(self._memory, memory, side="right")
        return Place(self._some, where * steps, self._many, where * self._width, self._step)


@dataclass(frozen=True)
class Place:
    """For some rows with a certain cpu and memory: where their weights stand in the tables."""

    some: Floats
    some_at: Ints
    many: Floats
    many_at: Ints
    step: NDArray[np.int64]

    def each(self, left: Ints) -> Floats:
        """Of use for pods that want a part of one device, device by device. [row, device]"""
        where = self.step.take(left)
        where += self.some_at[:, None]
        result: Floats = self.some.take(where)
        result *= left
        return result

    def whole(self, count: Ints) -> Floats:
        """Of use for pods that want several whole devices, for `count` of them. [row] or [row, device]"""
        result: Floats = self.many.take(count + (self.many_at if count.ndim == 1 else self.many_at[:, None]))
        return result

    def of(self, left: Ints) -> Floats:
        """Everything of use on each row."""
        result: Floats = self.each(left).sum(axis=1)
        result += self.whole((left == WHOLE).sum(axis=1))
        return result
