"""Derived state of policies, kept in step with every placement. One object per policy and engine; no globals."""

from collections.abc import Sequence

from flowbatch.engine.guard import Guard
from flowbatch.model.gangs import Gang
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import Ledger
from flowbatch.policy.policy import Policy, ledgers_of


class Ledgers:
    """Passes placements on; a ledger that joins late is told of all there are."""

    def __init__(self, state: ClusterState, ledgers: Sequence[Ledger], guard: Guard) -> None:
        self._ledgers = ledgers
        self._guard = guard
        state.listener = self.moved if ledgers else None
        for task in state.tasks.values() if ledgers else ():
            if task.gang is not None and task.node is not None:
                self.moved(task.gang, task.shape, 1)

    @classmethod
    def of(cls, policy: Policy, state: ClusterState, view: View, guard: Guard) -> "Ledgers":
        """Those that `policy` and its members want, made anew; the view shows them by what made them."""
        made = {make: guard.call(make, make, None) for make in ledgers_of(policy)}
        view.ledgers = {make: ledger for make, ledger in made.items() if ledger is not None}
        return cls(state, list(view.ledgers.values()), guard)

    def moved(self, gang: Gang, shape: Shape, count: int) -> None:
        """`count` more places, or fewer where it is negative."""
        for ledger in self._ledgers:
            if count > 0:
                self._guard.call(ledger, ledger.placed, None, gang, shape, count)
            else:
                self._guard.call(ledger, ledger.removed, None, gang, shape, -count)
