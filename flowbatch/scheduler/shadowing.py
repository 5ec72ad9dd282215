"""Runs a shadow beside the real engine: feeds it, counts what it would do otherwise and what it costs.

It can do no harm: its plans go nowhere, and a shadow that raises is switched off until the next change of policy.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from flowbatch.api.meta import JsonObject
from flowbatch.engine.decisions import Plan, Tick
from flowbatch.engine.events import Event, Synced
from flowbatch.engine.shadow import Shadow
from flowbatch.metrics import SHADOW_DIFFERENCES, SHADOW_FAILURES, SHADOW_SECONDS, SHADOW_WISHES
from flowbatch.policy.policy import Policy

#: Differences, and wishes, that one answer tells.
SHOWN: Final = 100

log = structlog.get_logger()


class Shadowing:
    """At most one shadow. Costs nothing without one."""

    def __init__(self, facts: Callable[[], Iterable[Event]], stopwatch: Callable[[], float]) -> None:
        self._facts = facts
        self._stopwatch = stopwatch
        self._shadow: Shadow | None = None
        #: Spent since the shadow began.
        self.seconds = 0.0

    def cast(self, policy: Policy | None, *, synced: bool) -> None:
        """Let `policy` decide in the shadow from now on; None ends it. It is told all that is known."""
        self._shadow, self.seconds = None if policy is None else Shadow(policy), 0.0
        SHADOW_WISHES.set(0)
        if self._shadow is not None:
            self.observe([*self._facts(), *([Synced()] if synced else [])])

    def anew(self, *, synced: bool) -> None:
        """The real engine was made anew: so is the shadow."""
        if self._shadow is not None:
            self.cast(self._shadow.policy, synced=synced)

    def observe(self, facts: Sequence[Event]) -> None:
        """What the real engine hears."""
        if self._shadow is not None:
            self._run(self._shadow.observe, facts)

    def cycled(self, tick: Tick, plan: Plan) -> None:
        """The real engine has decided; the shadow does now."""
        if self._shadow is not None:
            self._run(self._compare, self._shadow, tick, plan)

    def _compare(self, shadow: Shadow, tick: Tick, plan: Plan) -> None:
        for difference in shadow.cycle(tick, plan):
            SHADOW_DIFFERENCES.labels(difference.kind).inc()
        SHADOW_WISHES.set(len(shadow.wishes))

    def _run(self, work: Callable[..., object], *args: object) -> None:
        started = self._stopwatch()
        try:
            work(*args)
        except Exception:
            # The one place that survives a broken shadow: the real engine knows nothing of it.
            SHADOW_FAILURES.inc()
            log.exception("the shadow raised and is switched off")
            self._shadow = None
        finally:
            took = self._stopwatch() - started
            self.seconds += took
            SHADOW_SECONDS.inc(took)

    def tell(self) -> JsonObject | None:
        """What it would do otherwise, newest first; None where there is no shadow."""
        shadow = self._shadow
        if shadow is None:
            return None
        newest = list(shadow.differences)[-SHOWN:][::-1]
        wishes = list(shadow.wishes.items())[-SHOWN:][::-1]
        return {
            "policy": shadow.policy.name,
            "cycles": shadow.cycles,
            "seconds": round(self.seconds, 3),
            "alike": shadow.alike,
            "counts": dict(shadow.counts),
            "policyErrors": dict(shadow.engine.guard.failures),
            "wouldRunNow": [{"gang": gang, **msgspec.to_builtins(wish)} for gang, wish in wishes],
            "differences": [msgspec.to_builtins(each) for each in newest],
        }
