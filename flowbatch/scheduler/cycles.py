"""The one loop that owns the engine: drain, journal, observe, cycle, hand over; then let others run.

It sleeps while nothing happens: no fact, no cycle, no request. A cycle is budgeted in attempts, tuned so that it
stays near 10 ms and watches and the lease keep flowing; a gang that arrives pod by pod is looked at once.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import anyio
import anyio.lowlevel
import structlog

from flowbatch.engine.decisions import Plan, Tick
from flowbatch.engine.events import Event, Synced
from flowbatch.metrics import CYCLE_SECONDS
from flowbatch.model.ids import Instant
from flowbatch.policy.policy import Policy
from flowbatch.policy.reading import Asked
from flowbatch.scheduler.journal import Journal
from flowbatch.scheduler.lanes import Lanes
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.shadowing import Shadowing
from flowbatch.scheduler.watchdog import Watchdog

#: Wait for silence of QUIET_S after a fact, but never longer than GATHER_S.
QUIET_S, GATHER_S = 0.001, 0.005
#: Facts folded in before others may run.
FACTS_AT_ONCE: Final = 2_000
#: Attempts of a cycle: at first, at least, at most.
FIRST_BUDGET, LEAST_BUDGET, MOST_BUDGET = 256, 16, 4096
CYCLE_S: Final = 0.010
LEAST_SLEEP_MS: Final = 10
#: With more bindings than this on their way, deciding further ahead only makes decisions older.
MOST_BACKLOG: Final = 1024
#: Waits before the engine is made anew after it raised, doubling.
FIRST_REBUILD_S, LAST_REBUILD_S = 1.0, 60.0

log = structlog.get_logger()


class Decider(Protocol):
    """The engine, as the loop needs it."""

    def observe(self, events: list[Event]) -> None:
        """Fold facts in."""

    def cycle(self, tick: Tick) -> Plan:
        """Decide."""
        ...

    def adopt(self, policy: Policy) -> None:
        """Decide by another policy from now on."""
        ...


class Cycles:
    """Runs one engine; makes a new one from the stores if it ever raises."""

    def __init__(
        self,
        mailbox: Mailbox,
        lanes: Lanes,
        make: Callable[[], Decider],
        facts: Callable[[], Iterable[Event]],
        carry_out: Callable[[Plan], None],
        now: Callable[[], Instant],
        journal: Journal,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._mailbox = mailbox
        self._lanes = lanes
        self._make = make
        self._facts = facts
        self._carry_out = carry_out
        self._now = now
        self._journal = journal
        # Not the loop's clock: that stands still while a cycle runs.
        self._stopwatch = stopwatch
        self.engine = make()
        #: How the policy in force was asked for; the journal says it before the first fact.
        self._asked: Asked = ""
        self.shadowing = Shadowing(facts, stopwatch)
        self.watchdog = Watchdog(mailbox, stopwatch)
        self.watchdog.mind(self.engine)
        self.budget = FIRST_BUDGET
        self._synced = False
        self._more = False
        self._wake_at: Instant | None = None
        #: Counters, and the seconds of the last cycle.
        self.cycles = self.failures = 0
        self.observed = 0
        self.last_cycle_s = 0.0

    async def run(self) -> None:
        """Work until cancelled. Cancellation comes only between steps, so the engine is never left half way."""
        while True:
            await self._wait()
            try:
                self._step()
            except Exception:
                # The one place that survives a broken engine: its books are made anew from what the API says.
                self.failures += 1
                log.exception("engine raised; making it anew", failures=self.failures)
                await self._rebuild()
            if self._lanes.backlog > MOST_BACKLOG:
                await self._lanes.below(MOST_BACKLOG)

    def begin(self, asked: Asked) -> None:
        """Note how the engine's first policy was asked for."""
        self._asked = asked
        self._journal.adopted(asked)

    def adopt(self, policy: Policy, asked: Asked) -> None:
        """Decide by `policy` from the next cycle on: what is placed stays, what waits is decided again."""
        self._asked = asked
        self._journal.adopted(asked)
        self.engine.adopt(policy)
        self._mailbox.wake()

    def shadow(self, policy: Policy | None) -> None:
        """Let another policy decide beside the one in force, and bind nothing; None ends that."""
        self.shadowing.cast(policy, synced=self._synced)

    async def _wait(self) -> None:
        """Until there is something to do, and briefly until more of it has come."""
        if self._more or self._due():
            await anyio.lowlevel.checkpoint()
            return
        with anyio.move_on_after(self._sleep_s()):
            await self._mailbox.wait()
        deadline = anyio.current_time() + GATHER_S
        while anyio.current_time() < deadline:
            before = self._mailbox.posted
            await anyio.sleep(QUIET_S)
            if self._mailbox.posted == before:
                return

    def _due(self) -> bool:
        return self._wake_at is not None and self._now() >= self._wake_at

    def _sleep_s(self) -> float | None:
        return None if self._wake_at is None else max(0.0, (self._wake_at - self._now()) / 1000)

    def _step(self) -> None:
        facts = self._mailbox.drain(FACTS_AT_ONCE)
        if facts:
            self._journal.observed(facts)
            self.observed += len(facts)
            self.engine.observe(facts)
            self.shadowing.observe(facts)
            self._synced = self._synced or any(isinstance(fact, Synced) for fact in facts)
        if len(self._mailbox):
            # The rest first: a decision on half the news is half a decision.
            self._more = True
        elif self._synced:
            self._decide()
        else:
            self._more = False

    def _decide(self) -> None:
        tick = Tick(self._now(), self.budget)
        started = self._stopwatch()
        plan = self.engine.cycle(tick)
        self.last_cycle_s = self._stopwatch() - started
        self.cycles += 1
        self.watchdog.look(self.engine)
        CYCLE_SECONDS.observe(self.last_cycle_s)
        self._journal.cycled(tick, plan)
        self._more = plan.more
        # A moment that has passed already must not turn the loop into a spinning one.
        self._wake_at = None if plan.wake_at is None else Instant(max(plan.wake_at, tick.now + LEAST_SLEEP_MS))
        self._tune(plan)
        self._carry_out(plan)
        self.shadowing.cycled(tick, plan)

    def _tune(self, plan: Plan) -> None:
        if self.last_cycle_s > 1.5 * CYCLE_S:
            self.budget = max(LEAST_BUDGET, int(self.budget * CYCLE_S / self.last_cycle_s))
        elif plan.more and self.last_cycle_s < CYCLE_S / 2:
            self.budget = min(MOST_BUDGET, self.budget * 2)

    async def _rebuild(self) -> None:
        """After a pause, and once what the old engine ordered is done, so that no room is given away twice."""
        await anyio.sleep(min(LAST_REBUILD_S, FIRST_REBUILD_S * 2 ** min(self.failures - 1, 10)))
        await self._lanes.drain()
        self._mailbox.drain(len(self._mailbox))
        self.engine = self._make()
        self.watchdog.mind(self.engine)
        self.shadowing.anew(synced=False)
        self._journal.adopted(self._asked, anew=True)
        self._more, self._wake_at = False, None
        for number, fact in enumerate(self._facts()):
            self._mailbox.post(("anew", number), fact)
        if self._synced:
            self._mailbox.post("synced", Synced())
