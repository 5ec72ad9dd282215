"""How much does the engine look at? Counters of work, which a slow machine does not change."""

from benchmarks.engine import GIB, amounts, cluster, job
from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Synced
from flowbatch.model.ids import Instant


def settled() -> Engine:
    """An engine that knows the benchmark's 5,000 nodes and has nothing to do."""
    engine = Engine()
    engine.observe([*cluster(), Synced()])
    engine.cycle(Tick(Instant(0)))
    return engine


def test_a_gang_of_equal_pods_is_one_search():
    engine = settled()
    engine.observe(job(1, 100, amounts(cpu=1000, memory=GIB)))
    before = engine.counters.as_dict()
    plan = engine.cycle(Tick(Instant(1)))
    after = engine.counters.as_dict()
    assert sum(isinstance(each, Bind) for each in plan.decisions) == 100
    assert after["shapes_evaluated"] - before["shapes_evaluated"] == 1
    assert after["nodes_examined"] - before["nodes_examined"] <= 5_000


def test_an_engine_with_nothing_new_tries_nothing():
    engine = settled()
    engine.observe(job(1, 4, amounts(cpu=1_000_000)))
    engine.cycle(Tick(Instant(1)))
    before = engine.counters.attempts
    for moment in range(2, 50):
        engine.cycle(Tick(Instant(moment)))
    assert engine.counters.attempts == before
