"""Many vectors of amounts that must be there, compared with one offer at once: one column each, [axis, slot]."""

from collections.abc import Iterable

import numpy as np

from flowbatch.model.table import Bools, Ints

#: More than anything there is: a vacant slot is never met.
ENDLESS = 1 << 60
FIRST_SLOTS = 16


class Thresholds:
    """Slots are given out and taken back; `rest` is what a vector asks for on axes that it does not name."""

    def __init__(self, axes: int, rest: int = 0) -> None:
        self._rest = rest
        self._asked: Ints = np.full((axes, FIRST_SLOTS), ENDLESS, np.int64)
        self._vacant = list(range(FIRST_SLOTS - 1, -1, -1))
        #: By axis: nobody asks for less. Slots taken back may leave it too low, never too high.
        self._least: Ints = np.full(axes, ENDLESS, np.int64)
        self._left = 0

    @property
    def axes(self) -> int:
        """On how many axes something may be asked for."""
        return int(self._asked.shape[0])

    @property
    def slots(self) -> int:
        """How many slots there are, vacant ones too."""
        return int(self._asked.shape[1])

    def of(self, slots: Ints) -> Ints:
        """What these ask for, [axis, slot]."""
        return self._asked[:, slots]

    def put(self, amounts: Iterable[tuple[int, int]], axes: int) -> int:
        """Give one vector a slot; `axes` is how many axes there are by now."""
        if not self._vacant:
            slots = self.slots
            self._vacant.extend(range(2 * slots - 1, slots - 1, -1))
            self._asked = np.pad(self._asked, ((0, 0), (0, slots)), constant_values=ENDLESS)
        if axes > self.axes:
            # Vectors that are here do not name the new axes, or those would have been there before.
            more = axes - self.axes
            self._asked = np.pad(self._asked, ((0, more), (0, 0)), constant_values=self._rest)
            self._least = np.pad(self._least, (0, more), constant_values=self._rest)
        slot = self._vacant.pop()
        self._asked[:, slot] = self._rest
        for axis, amount in amounts:
            self._asked[axis, slot] = amount
        self._least = np.minimum(self._least, self._asked[:, slot])
        return slot

    def take_back(self, slot: int) -> None:
        """Nobody needs the slot any more."""
        self._asked[:, slot] = ENDLESS
        self._vacant.append(slot)
        self._left += 1
        if 2 * self._left > self.slots:
            self._left, self._least = 0, self._asked.min(axis=1)

    def met(self, offer: Ints) -> Bools:
        """By slot: what is asked for on each axis is in `offer`, which has all axes and perhaps more."""
        if (self._least > offer[: self.axes]).any():
            return np.zeros(self.slots, np.bool_)
        met: Bools = self._asked[0] <= offer[0]
        for axis in range(1, self.axes):
            met &= self._asked[axis] <= offer[axis]
        return met
