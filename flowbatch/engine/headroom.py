"""Lanes that may go on once little enough is taken of something: of the cluster, or of what a queue may hold.

Each of these *allowances* keeps what its lanes can bear, and compares all of them at once with what is taken now.
"""

from collections.abc import Callable, Sequence

import numpy as np

from flowbatch.engine.hopes import FEW
from flowbatch.engine.lanes import Lane, Lanes
from flowbatch.engine.limits import held_against
from flowbatch.engine.thresholds import ENDLESS, Thresholds
from flowbatch.model.ids import Amounts, QueueName
from flowbatch.model.queues import Queue
from flowbatch.model.resources import Axes, Sums, add
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools
from flowbatch.policy.gates import promised

#: Of which queue, and what of it is counted; of the whole cluster what is used and promised.
Whose = tuple[QueueName, str]
CLUSTER: Whose = (QueueName(""), "")
#: What a queue is charged for, by the names that blockers use (NeedsQuota.counts).
COUNTED: dict[str, Callable[[Queue], Sums]] = {
    "own": lambda queue: held_against(queue, own=True)[0],
    "held": lambda queue: held_against(queue, own=False)[0],
    "promised": promised,
}


class Allowance:
    """Lanes that wait for less to be taken of one thing."""

    def __init__(self, axes: Axes, taken: Callable[[], Sums]) -> None:
        self._axes = axes
        self._taken = taken
        #: What must be left, as amounts below zero: at most so much may be taken.
        self._left = Thresholds(len(axes), -ENDLESS)
        self.lanes: dict[int, Lane] = {}
        self._passing: Bools = np.zeros(0, np.bool_)
        #: How many may pass.
        self.many = 0
        #: When less was taken last.
        self.opened = 0

    def add(self, lane: Lane, passes_at: Amounts) -> int:
        """Let `lane` wait until at most so much is taken on each axis. Returns its slot."""
        most = [(self._axes.axis(name), max(-amount, -ENDLESS)) for name, amount in passes_at]
        slot = self._left.put(most, len(self._axes))
        self.lanes[slot] = lane
        return slot

    def remove(self, slot: int) -> None:
        """That one waits no more."""
        del self.lanes[slot]
        self._left.take_back(slot)

    def judge(self, *, among_those: bool = False) -> bool:
        """Whether anybody may pass now; `among_those` who might pass before."""
        taken = self._taken()
        offer = [-min(taken.get(axis, 0), ENDLESS) for axis in range(len(self._axes))]
        passing = self._left.met(np.array(offer, np.int64))
        if among_those:
            passing[: self._passing.size] &= self._passing
            passing[self._passing.size :] = False
        self._passing = passing
        self.many = int(np.count_nonzero(passing))
        return self.many > 0

    def passes(self, slot: int) -> bool:
        """As of the last judgement, little enough was taken for that one."""
        return slot < self._passing.size and bool(self._passing[slot])

    def passing(self) -> list[Lane]:
        """All who may pass, in the order of their slots."""
        return [self.lanes[slot] for slot in np.flatnonzero(self._passing).tolist() if slot in self.lanes]


class Headroom:
    """All allowances that somebody waits for."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._allowances: dict[Whose, Allowance] = {}
        #: Where each lane waits; and the last opening that it has seen.
        self._waits: dict[Lane, list[tuple[Whose, int]]] = {}
        self._seen: dict[Lane, int] = {}
        self._opening = 0
        #: Allowances that somebody may have.
        self._open: dict[Whose, Allowance] = {}
        self._few: Sequence[Lane] | None = ()

    @property
    def open(self) -> bool:
        """Somebody may pass."""
        return bool(self._open)

    def add(self, lane: Lane, whose: Whose, passes_at: Amounts) -> None:
        """Let `lane` wait until at most so much is taken of that."""
        allowance = self._allowances.get(whose)
        if allowance is None:
            allowance = self._allowances[whose] = Allowance(self._state.axes, lambda: self._taken(whose))
        self._waits.setdefault(lane, []).append((whose, allowance.add(lane, passes_at)))
        self._seen[lane] = self._opening

    def _taken(self, whose: Whose) -> Sums:
        name, counts = whose
        if whose == CLUSTER:
            taken = dict(self._state.used)
            add(taken, self._state.inqueue.items())
            return taken
        queue = self._state.queues.by_name.get(name)
        return COUNTED[counts](queue) if queue is not None else {}

    def remove(self, lane: Lane) -> None:
        """The lane waits no more."""
        for whose, slot in self._waits.pop(lane, ()):
            allowance = self._allowances[whose]
            allowance.remove(slot)
            if not allowance.lanes:
                del self._allowances[whose]
                self._open.pop(whose, None)
        self._seen.pop(lane, None)

    def everybody(self) -> Lanes:
        """All lanes that wait here."""
        return dict.fromkeys(self._waits)

    def of(self, queue: QueueName) -> Lanes:
        """All that wait for one queue."""
        found = (self._allowances.get((queue, counts)) for counts in COUNTED)
        return {lane: None for allowance in found if allowance for lane in allowance.lanes.values()}

    def eased(self, whose: Whose) -> None:
        """Less is taken of that than before."""
        allowance = self._allowances.get(whose)
        if allowance is not None:
            self._opening += 1
            allowance.opened = self._opening
            self._note(whose, allowance, passing=allowance.judge())

    def eased_queue(self, queue: QueueName) -> None:
        """Less is held or promised there than before."""
        for counts in COUNTED:
            self.eased((queue, counts))

    def recheck(self) -> None:
        """Somebody has taken some."""
        for whose, allowance in list(self._open.items()):
            self._note(whose, allowance, passing=allowance.judge(among_those=True))

    def _note(self, whose: Whose, allowance: Allowance, *, passing: bool) -> None:
        if passing:
            self._open[whose] = allowance
        else:
            self._open.pop(whose, None)
        many = sum(each.many for each in self._open.values()) > FEW
        self._few = None if many else [lane for each in self._open.values() for lane in each.passing()]

    def hopes(self, lane: Lane) -> bool:
        """Little enough may be taken for the lane, which has not been refused since."""
        seen = self._seen.get(lane, self._opening)
        for whose, slot in self._waits.get(lane, ()):
            allowance = self._open.get(whose)
            if allowance is not None and allowance.opened > seen and allowance.passes(slot):
                return True
        return False

    def few(self) -> Sequence[Lane] | None:
        """Lanes that may pass; None if they are many."""
        return self._few

    def close(self) -> None:
        """Nobody is left who may pass."""
        self._open.clear()
        self._few = ()
