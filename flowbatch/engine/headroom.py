"""Lanes before a gate that opens again once little enough is taken, each with how little that is."""

from collections.abc import Sequence

import numpy as np

from flowbatch.engine.hopes import FEW
from flowbatch.engine.lanes import Lane, Lanes
from flowbatch.engine.thresholds import ENDLESS, Thresholds
from flowbatch.model.ids import Amounts
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools


class Headroom:
    """Which of them the gate may be open for now, of what the whole cluster can promise."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        #: What must be left, as amounts below zero: at most so much may be taken.
        self._left = Thresholds(len(state.axes), -ENDLESS)
        #: Slot, and the last opening that a lane has seen.
        self._slots: dict[Lane, tuple[int, int]] = {}
        self._lanes: dict[int, Lane] = {}
        self._passing: Bools = np.zeros(0, np.bool_)
        self._few: Sequence[Lane] | None = ()
        self._opening = 0
        self.open = False

    @property
    def lanes(self) -> Lanes:
        """All that wait."""
        return dict.fromkeys(self._slots)

    def add(self, lane: Lane, passes_at: Amounts) -> None:
        """Let `lane` wait until at most so much is taken on each axis."""
        self.remove(lane)
        axes = self._state.axes
        most = [(axes.axis(name), max(-amount, -ENDLESS)) for name, amount in passes_at]
        slot = self._left.put(most, len(axes))
        self._slots[lane] = slot, self._opening
        self._lanes[slot] = lane

    def remove(self, lane: Lane) -> None:
        """The lane waits no more."""
        slot, _ = self._slots.pop(lane, (None, 0))
        if slot is not None:
            del self._lanes[slot]
            self._left.take_back(slot)

    def eased(self) -> None:
        """Less is taken than before."""
        if self._slots:
            self._opening += 1
            self._judge(self._met())

    def recheck(self) -> None:
        """Somebody has taken some."""
        if self.open:
            met = self._met()
            met[: self._passing.size] &= self._passing
            met[self._passing.size :] = False
            self._judge(met)

    def _met(self) -> Bools:
        used, promised = self._state.used, self._state.inqueue
        taken = [used.get(axis, 0) + promised.get(axis, 0) for axis in range(len(self._state.axes))]
        return self._left.met(np.array([-min(amount, ENDLESS) for amount in taken], np.int64))

    def _judge(self, passing: Bools) -> None:
        slots = np.flatnonzero(passing).tolist()
        self._passing = passing
        self.open = bool(slots)
        self._few = [self._lanes[slot] for slot in slots] if len(slots) <= FEW else None

    def hopes(self, lane: Lane) -> bool:
        """The gate may be open for the lane, which has not been refused since."""
        slot, seen = self._slots.get(lane, (0, self._opening))
        return seen < self._opening and slot < self._passing.size and bool(self._passing[slot])

    def few(self) -> Sequence[Lane] | None:
        """Lanes for which it is open; None if they are many."""
        return self._few

    def close(self) -> None:
        """Nobody is left who may pass."""
        self.open = False
