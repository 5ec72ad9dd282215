"""Deadline first: each queue promises a start within so many minutes; the promise that ends first is kept first.

    policies: [deadline_first.py]
    scheduler:
      policy:
        gangOrder: [{name: deadlineFirst, minutes: {urgent: 5, default: 60}}]

Or in Volcano's words: `- {name: deadlineFirst, arguments: {minutes: {urgent: 5}, otherwise: 60}}`.
"""

from dataclasses import dataclass

MINUTE_MS = 60_000


@dataclass(frozen=True)
class DeadlineFirst:
    """A GangOrder. Age is in it already, so nobody starves: every promise ends some time."""

    parts = ("gang_order",)
    minutes: tuple = ()
    otherwise: float = 60.0

    def key(self, gang, view):
        """When its promise ends."""
        allowed = dict(self.minutes).get(gang.queue.name, self.otherwise)
        return (gang.created + allowed * MINUTE_MS,)
