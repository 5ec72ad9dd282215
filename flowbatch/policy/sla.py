"""How long a gang may wait: a wish of the gang itself, or the scheduler's for all (Volcano: sla plugin).

The gang whose time runs out first comes first. Once it has run out, gates that only say "later" let the gang in, and
room is kept for it (engine.timeline): waiting any longer for a better moment is what it asked not to do.
"""

from dataclasses import dataclass

from flowbatch.model.gangs import Gang
from flowbatch.model.ids import Instant
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Key


@dataclass(frozen=True)
class WaitingTime:
    """Creation plus the wish; `wait_ms` for gangs that have none of their own, 0 for no such time."""

    wait_ms: int = 0

    def due(self, gang: Gang, view: ClusterView) -> Instant | None:
        """When its time runs out; None for a gang that has no such time."""
        own = gang.fact.wait_ms if gang.fact else None
        wait_ms = self.wait_ms if own is None else own
        return Instant(gang.created + wait_ms) if wait_ms > 0 else None

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """The earliest end of waiting first; gangs without one last."""
        due = self.due(gang, view)
        return (1, 0) if due is None else (0, due)
