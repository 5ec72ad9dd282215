"""Measures what other people's policies cost, and has the engine drop one that is too slow.

The engine knows no clock: it gets a stopwatch lent, and hears the verdict as an event, which is in the journal, so that
a replay drops the policy at the same point. A call that never returns cannot be ended from here: the loop stands still
with it, `/livez` fails, and whoever watches over the program starts it anew.
"""

from collections.abc import Callable
from typing import Final

import structlog

from flowbatch.engine.events import PolicyDropped
from flowbatch.engine.guard import Guard
from flowbatch.metrics import POLICY_SECONDS
from flowbatch.scheduler.mailbox import Mailbox

#: So much in one cycle, or less but in so many cycles one after another, is too slow.
MOST_S: Final = 1.0
OFTEN_S: Final = 0.1
OFTEN: Final = 20

log = structlog.get_logger()


class Watchdog:
    """Looks after every cycle. Costs nothing where all policies are flowbatch's own."""

    def __init__(self, mailbox: Mailbox, stopwatch: Callable[[], float]) -> None:
        self._mailbox = mailbox
        self._stopwatch = stopwatch
        self._slow: dict[str, int] = {}

    def mind(self, engine: object) -> None:
        """Lend a new engine the stopwatch."""
        guard = getattr(engine, "guard", None)
        if isinstance(guard, Guard):
            guard.meter.stopwatch = self._stopwatch

    def look(self, engine: object) -> None:
        """A cycle is over: count what each stranger took of it."""
        guard = getattr(engine, "guard", None)
        if not isinstance(guard, Guard) or not guard.meter.seconds:
            return
        for policy, seconds in guard.meter.seconds.items():
            POLICY_SECONDS.labels(policy).inc(seconds)
            self._slow[policy] = self._slow.get(policy, 0) + 1 if seconds > OFTEN_S else 0
            if seconds > MOST_S:
                self._drop(policy, f"took {seconds:.1f} s of one cycle")
            elif self._slow[policy] >= OFTEN:
                self._drop(policy, f"took more than {OFTEN_S} s of each of {OFTEN} cycles")
        guard.meter.seconds.clear()

    def _drop(self, policy: str, reason: str) -> None:
        log.error("policy dropped", policy=policy, reason=reason)
        self._slow.pop(policy, None)
        self._mailbox.post(("dropped", policy), PolicyDropped(policy, reason))
