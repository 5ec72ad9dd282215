"""Policies that change their mind by the clock alone: when, and that those who wait for a node hear of it."""

from flowbatch.engine.guard import Guard
from flowbatch.model.changes import StateChanges
from flowbatch.model.ids import Instant, Row
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import Measuring, Timed
from flowbatch.policy.policy import Policy


class Turns:
    """The next turn of any of a policy's parts. Without timed parts it costs nothing."""

    def __init__(self, state: ClusterState, view: View, policy: Policy, guard: Guard) -> None:
        self._state = state
        self._view = view
        self._guard = guard
        parts = (*policy.filters, *policy.caps, *policy.scores)
        self._timed: list[Timed] = [each for each in parts if isinstance(each, Timed)]
        #: Filters that look at measurements.
        self.measuring: list[Measuring] = [each for each in policy.filters if isinstance(each, Measuring)]
        self._next: Instant | None = None

    def take(self, changes: StateChanges) -> bool:
        """If a turn has come, every node may do now for those that wait for one. Whether it has."""
        if self._next is None or self._next > self._view.now:
            return False
        rows: dict[Row, None] = dict.fromkeys(self._state.node_at)
        changes.nodes.update(rows)
        changes.freed.update(rows)
        return True

    def next(self) -> Instant | None:
        """When the next turn comes, as of now."""
        found = [self._guard.call(each, each.turns, None, self._view) for each in self._timed]
        self._next = min((at for at in found if at is not None), default=None)
        return self._next
