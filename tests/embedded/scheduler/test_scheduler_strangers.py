"""Is a policy that is too slow, or raises, dropped by a running scheduler, told in the metrics, and written down?"""

import time
from dataclasses import dataclass, replace
from functools import partial

from flowbatch.engine.engine import Engine
from flowbatch.engine.events import PolicyDropped
from flowbatch.engine.replay import Observed, replay
from flowbatch.metrics import POLICY_ERRORS, POLICY_SECONDS
from flowbatch.policy.presets import DEFAULT
from flowbatch.scheduler.journal import read_journal
from tests.embedded.scheduler.conftest import BRISK


@dataclass(frozen=True)
class Sleepy:
    """Takes more than a second, the first time."""

    def key(self, gang, view):
        time.sleep(1.1)
        return (1,)


@dataclass(frozen=True)
class Clumsy:
    weight: float = 1.0
    trend: str = "any"

    def score(self, shape, rows, extra, view):
        raise ZeroDivisionError("oops")


async def counted(policy):
    return POLICY_ERRORS.labels(policy)._value.get()


async def test_a_slow_policy_is_dropped_and_the_journal_replays(cluster, tmp_path):
    policy = replace(DEFAULT, gang_order=(Sleepy(), *DEFAULT.gang_order), scores=(Clumsy(), *DEFAULT.scores))
    habits = replace(BRISK, journal=tmp_path / "journal")
    await cluster.node("n0")
    async with cluster.scheduler(habits, make=partial(Engine, policy, validate=True)):
        await cluster.gang("a", 1)
        await cluster.until_bound("a", 1)
        await cluster.until(partial(counted, "Sleepy"))
        spent = POLICY_SECONDS.labels("Sleepy")._value.get()
        await cluster.gang("b", 2)
        await cluster.until_bound("b", 2)
        assert POLICY_SECONDS.labels("Sleepy")._value.get() == spent > 1
    entries = list(read_journal(tmp_path / "journal"))
    facts = [fact for each in entries if isinstance(each, Observed) for fact in each.events]
    dropped = [fact for fact in facts if isinstance(fact, PolicyDropped)]
    assert [each.policy for each in dropped] == ["Sleepy"]
    assert POLICY_ERRORS.labels("Clumsy")._value.get() >= 1
    assert POLICY_ERRORS.labels("Sleepy")._value.get() == 1
    assert replay(entries, policy) is None
