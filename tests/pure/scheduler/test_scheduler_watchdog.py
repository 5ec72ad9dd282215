"""Is a policy that is too slow dropped, by an event, and only that one?"""

from dataclasses import dataclass, replace

import pytest

from flowbatch.engine.decisions import PolicyReport
from flowbatch.engine.events import PolicyDropped
from flowbatch.policy.presets import DEFAULT
from flowbatch.scheduler.mailbox import Mailbox
from flowbatch.scheduler.watchdog import OFTEN, Watchdog
from tests.textcluster import cycle, engine_with, gang


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Slow:
    clock: Clock
    takes: float

    def key(self, gang, view):
        self.clock.now += self.takes
        return (1,)


def run(takes: float, cycles: int):
    clock, mailbox = Clock(), Mailbox()
    watchdog = Watchdog(mailbox, clock)
    engine = engine_with("1 nodes: cpu=1", policy=replace(DEFAULT, gang_order=(Slow(clock, takes),)))
    watchdog.mind(engine)
    for number in range(cycles):
        engine.observe(gang(f"g{number}", "1x cpu=9, phase Inqueue"))
        cycle(engine)
        watchdog.look(engine)
    return engine, mailbox.drain(99)


@pytest.mark.parametrize(
    ("takes", "cycles", "told"),
    [
        (2.0, 1, "took 2.0 s of one cycle"),
        (0.2, OFTEN - 1, ""),
        (0.2, OFTEN, f"took more than 0.1 s of each of {OFTEN} cycles"),
        (0.001, 3 * OFTEN, ""),
    ],
)
def test_a_policy_is_dropped_for_one_long_cycle_or_many_that_are_not_short(takes, cycles, told):
    _, facts = run(takes, cycles)
    assert facts == ([PolicyDropped("Slow", told)] if told else [])


def test_what_was_dropped_is_told_and_takes_no_more_time():
    engine, facts = run(2.0, 1)
    engine.observe([*facts, *gang("late", "1x cpu=9, phase Inqueue")])
    plan = cycle(engine)
    assert [each.policy for each in plan.decisions if isinstance(each, PolicyReport)] == ["Slow"]
    assert not engine.guard.meter.seconds
