"""Is room made with little work? Counts, not times."""

from flowbatch.policy.presets import PREEMPTING
from tests.textcluster import cycle, evicted, leave, more, running


def work(engine):
    return engine.counters.victim_searches


def test_one_search_for_each_gang_that_finds_its_victims_at_once():
    engine = running("50 nodes: cpu=4", "gang low: 200x cpu=1, min 0", policy=PREEMPTING)
    plan = more(engine, *[f"gang high{i}: 2x cpu=3, priority 10" for i in range(10)])
    assert len(evicted(plan)) == 60
    assert work(engine) == 10
    before = engine.counters.attempts
    leave(engine, evicted(plan))
    cycle(engine, 3_000)
    assert engine.counters.attempts - before == 10
    assert work(engine) == 10


def test_a_hundred_equal_gangs_that_find_nobody_cost_what_one_costs():
    engine = running("2 nodes: cpu=4", "gang firm: 8x cpu=1, priority 50", policy=PREEMPTING)
    more(engine, "gang one: 1x cpu=1, priority 10")
    alone = work(engine)
    more(engine, *[f"gang other{i}: 1x cpu=1, priority 10" for i in range(100)])
    assert work(engine) == alone
    cycle(engine, 4_000)
    assert work(engine) <= 2 * alone, "what queues ask for has changed: one more look, after its pause"
    before = work(engine)
    for now in range(10_000, 200_000, 10_000):
        cycle(engine, now)
    assert work(engine) == before, "and nothing while nothing happens"


def test_victims_that_leave_one_by_one_cost_no_attempts():
    engine = running("20 nodes: cpu=1", "gang low: 20x cpu=1, min 0", policy=PREEMPTING)
    plan = more(engine, "gang high: 20x cpu=1, priority 10")
    before = engine.counters.attempts
    for name in evicted(plan)[:-1]:
        leave(engine, [name])
        cycle(engine, 3_000)
    assert engine.counters.attempts - before == 0
