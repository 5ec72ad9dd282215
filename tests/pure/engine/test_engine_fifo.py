"""dequeueStrategy fifo: does a gang that cannot go on hold up those behind it, and nobody else?"""

from flowbatch.engine.events import GangGone
from flowbatch.model.blockers import Behind, NeedsCapacity
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    facts,
    finish,
    gang,
    gangs_bound,
    node,
    queue,
    reports,
    why,
)

FULL = ("1 nodes: cpu=2", "queue q: fifo", "gang big: 4x cpu=1, queue q", "gang small: 1x cpu=1, queue q")


def test_a_blocked_head_blocks_those_behind_it():
    engine = engine_with(*FULL)
    assert bound(cycle(engine)) == {}
    assert isinstance(engine.blocker_of("ns/big"), NeedsCapacity)
    assert engine.blocker_of("ns/small") == Behind("q")


def test_traverse_lets_those_behind_go_on():
    for line in ("queue q:", "queue q: traverse"):
        assert gangs_bound(cycle(engine_with(FULL[0], line, *FULL[2:]))) == {"small": 1}


def test_other_queues_are_not_held_up():
    engine = engine_with(*FULL, "gang other: 1x cpu=1")
    assert gangs_bound(cycle(engine)) == {"other": 1}


def test_it_is_said_who_holds_up():
    engine = engine_with(*FULL)
    told = reports(cycle(engine))["small"]
    assert told.blocker == "Behind"
    assert 'it waits behind others: queue "q" is fifo' in told.message
    assert why(engine, "small").endswith("(the first is ns/big)")
    explanation = engine.explain("ns/small")
    assert (explanation.behind, explanation.cure) == (("ns/big",), "the gangs before it to start or to leave")


def test_when_the_head_goes_on_the_next_is_tried_and_no_other():
    engine = engine_with(*FULL, "gang third: 9x cpu=1, queue q", "gang last: 1x cpu=1, queue q")
    cycle(engine)
    before = engine.counters.attempts
    engine.observe([node("n2", "cpu=3")])
    assert gangs_bound(cycle(engine)) == {"big": 4, "small": 1}
    assert engine.counters.attempts - before == 3, "big and small are placed, third is refused, last is not tried"
    assert (blocker(engine, "third"), blocker(engine, "last")) == ("NeedsCapacity", "Behind")


def test_when_the_head_leaves_the_next_is_tried():
    engine = engine_with(*FULL)
    cycle(engine)
    engine.observe([GangGone("ns/big")])
    assert gangs_bound(cycle(engine)) == {"small": 1}


def test_when_somebody_behind_leaves_nobody_is_tried():
    engine = engine_with(*FULL, "gang third: 1x cpu=1, queue q")
    cycle(engine)
    before = engine.counters.attempts
    engine.observe([GangGone("ns/small")])
    assert bound(cycle(engine)) == {}
    assert engine.counters.attempts == before


def test_a_thousand_behind_cost_nothing_when_something_ends():
    engine = engine_with(
        "1 nodes: cpu=2",
        "queue q: fifo",
        "gang run: 1x cpu=1",
        "gang big: 4x cpu=1, queue q",
        *[f"gang s{i}: 1x cpu=1, queue q" for i in range(1000)],
    )
    first = cycle(engine)
    confirm(engine, first)
    cycle(engine)
    attempts, sorted_before = engine.counters.attempts, engine.counters.gangs_sorted
    finish(engine, list(bound(first)))
    assert bound(cycle(engine)) == {}
    assert engine.counters.attempts - attempts <= 1
    assert engine.counters.gangs_sorted - sorted_before <= 1


def test_one_of_higher_priority_goes_before_the_blocked_head():
    engine = engine_with(*FULL)
    cycle(engine)
    engine.observe(gang("urgent", "1x cpu=1, queue q, priority 9", created=50))
    assert gangs_bound(cycle(engine)) == {"urgent": 1}
    assert (blocker(engine, "big"), blocker(engine, "small")) == ("NeedsCapacity", "Behind")


def test_a_blocked_one_of_higher_priority_becomes_the_head():
    engine = engine_with(*FULL)
    cycle(engine)
    engine.observe(gang("urgent", "9x cpu=1, queue q, priority 9", created=50))
    assert bound(cycle(engine)) == {}
    assert [blocker(engine, name) for name in ("urgent", "big", "small")] == ["NeedsCapacity", "Behind", "Behind"]
    engine.observe([GangGone("ns/urgent"), node("n2", "cpu=9")])
    assert gangs_bound(cycle(engine)) == {"big": 4, "small": 1}


def test_the_gate_holds_up_those_behind_too():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue q: fifo capability(cpu=2)",
        "gang big: 4x cpu=1, queue q, needs(cpu=4)",
        "gang small: 1x cpu=1, queue q, needs(cpu=1)",
    )
    assert bound(cycle(engine)) == {}
    assert (blocker(engine, "big"), blocker(engine, "small")) == ("NeedsQuota", "Behind")
    engine.observe([queue("q", "fifo capability(cpu=4)")])
    assert gangs_bound(cycle(engine)) == {"big": 4}
    assert blocker(engine, "small") == "NeedsQuota"


def test_a_gang_that_wants_more_than_its_minimum_holds_nobody_up():
    engine = engine_with(
        "1 nodes: cpu=2", "queue q: fifo", "gang wide: 9x cpu=1, min 1, queue q", "gang next: 1x cpu=1, queue q"
    )
    assert gangs_bound(cycle(engine)) == {"wide": 1, "next": 1}


def test_a_gang_without_its_pods_holds_nobody_up():
    engine = engine_with("1 nodes: cpu=2", "queue q: fifo", "gang a: min 2, queue q", "gang b: 1x cpu=1, queue q")
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_a_queue_may_change_its_mind():
    engine = engine_with(*FULL)
    cycle(engine)
    engine.observe([queue("q", "traverse")])
    assert gangs_bound(cycle(engine)) == {"small": 1}
    engine.observe([queue("q", "fifo"), *facts("gang more: 1x cpu=1, queue q")[2:]])
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "more") == "Behind"


def test_order_is_by_age_within_a_priority():
    engine = engine_with("1 nodes: cpu=3", "queue q: fifo", *[f"gang g{i}: 1x cpu=1, queue q" for i in range(5)])
    assert sorted(gangs_bound(cycle(engine))) == ["g0", "g1", "g2"]
    assert [blocker(engine, f"g{i}") for i in (3, 4)] == ["NeedsCapacity", "Behind"]
