"""Who gets how much, and who comes first?"""

from dataclasses import replace

import pytest

from flowbatch.model.blockers import NeedsQuota
from flowbatch.policy.ordering import dominant_share
from flowbatch.policy.presets import DEFAULT, FIFO
from flowbatch.policy.share import fill
from tests.textcluster import binds, bound, confirm, cycle, engine_with, finish, gangs_bound, queue


@pytest.mark.parametrize(
    ("whole", "weights", "ceilings", "floors", "parts"),
    [
        (10, [1, 1], [10, 10], [0, 0], [5, 5]),
        (9, [1, 2], [9, 9], [0, 0], [3, 6]),
        (10, [1, 1], [2, 10], [0, 0], [2, 8]),
        (10, [1, 1], [2, 3], [0, 0], [2, 3]),
        (8, [1, 1, 1], [8, 8, 8], [0, 0, 0], [3, 3, 2]),
        (10, [1, 1], [10, 0], [0, 4], [6, 4]),
        (10, [1, 9], [10, 10], [5, 0], [5, 5]),
        (4, [1, 1], [9, 9], [4, 4], [4, 4]),
        (0, [1, 1], [9, 9], [0, 0], [0, 0]),
        (7, [65535, 1], [7, 7], [0, 0], [7, 0]),
    ],
)
def test_water_filling(whole, weights, ceilings, floors, parts):
    assert parts == fill(whole, weights, ceilings, floors)


def test_queues_share_by_weight():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue a: weight=1",
        "queue b: weight=2",
        *[f"gang a{i}: 1x cpu=1, queue a" for i in range(9)],
        *[f"gang b{i}: 1x cpu=1, queue b" for i in range(9)],
    )
    placed = gangs_bound(cycle(engine))
    assert (sum(name[0] == "a" for name in placed), sum(name[0] == "b" for name in placed)) == (3, 6)
    assert "NeedsQuota" in engine.parked()


def test_room_that_a_queue_does_not_want_goes_to_the_others():
    engine = engine_with(
        "1 nodes: cpu=9", "queue a:", "queue b:", "gang a: 1x cpu=1, queue a", "gang b: 9x cpu=1, min 1, queue b"
    )
    assert gangs_bound(cycle(engine)) == {"a": 1, "b": 8}


def test_queue_gets_its_share_back_when_others_end():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue a:",
        "queue b:",
        "gang a: 4x cpu=1, min 1, queue a",
        "gang b: 4x cpu=1, min 1, queue b",
    )
    first = cycle(engine)
    assert gangs_bound(first) == {"a": 2, "b": 2}
    confirm(engine, first)
    finish(engine, [name for name in bound(first) if name[0] == "a"])
    second = cycle(engine)
    assert gangs_bound(second) == {"a": 2}


def test_two_gangs_larger_than_half_the_cluster_do_not_wait_for_ever():
    engine = engine_with(
        "1 nodes: cpu=10", "queue a:", "queue b:", "gang a: 4x cpu=2, queue a", "gang b: 4x cpu=2, queue b"
    )
    first = cycle(engine)
    assert gangs_bound(first) == {"a": 4}
    confirm(engine, first)
    finish(engine, list(bound(first)))
    assert gangs_bound(cycle(engine)) == {"b": 4}


def test_capability_is_never_exceeded():
    engine = engine_with("1 nodes: cpu=9", "queue q: capability(cpu=2)", "gang a: 5x cpu=1, min 1, queue q")
    assert gangs_bound(cycle(engine)) == {"a": 2}
    blocked = engine.blocker_of("ns/a")
    assert isinstance(blocked, NeedsQuota)
    assert (blocked.queue, blocked.limit) == ("q", "capability")


def test_raised_capability_wakes_the_queue():
    engine = engine_with("1 nodes: cpu=9", "queue q: capability(cpu=1)", "gang a: 2x cpu=1, queue q, phase Inqueue")
    assert bound(cycle(engine)) == {}
    engine.observe([queue("q", "capability(cpu=2)")])
    assert gangs_bound(cycle(engine)) == {"a": 2}


def test_limits_of_ancestors_hold():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: capability(cpu=3)",
        "queue x: parent=dept",
        "queue y: parent=dept",
        "gang a: 2x cpu=1, queue x, phase Inqueue",
        "gang b: 2x cpu=1, queue y, phase Inqueue",
    )
    assert len(binds(cycle(engine))) == 2
    assert next(engine.blocker_of(f"ns/{g}").queue for g in "ab" if engine.blocker_of(f"ns/{g}")) == "dept"


def test_guarantee_is_kept_free_for_its_queue():
    engine = engine_with(
        "1 nodes: cpu=4", "queue vip: guarantee(cpu=4)", "queue b:", "gang b: 1x cpu=1, queue b, needs(cpu=1)"
    )
    assert bound(cycle(engine)) == {}
    engine.observe([queue("vip", "guarantee(cpu=3)")])
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_guarantees_above_the_cluster_are_no_crash():
    engine = engine_with(
        "1 nodes: cpu=4", "queue v: guarantee(cpu=9)", "queue w: guarantee(cpu=9)", "gang b: 1x cpu=1, queue v"
    )
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_circle_of_parents_is_broken_and_the_rest_goes_on():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue x: parent=y",
        "queue y: parent=x",
        "gang a: 1x cpu=1, queue x",
        "gang b: 1x cpu=1",
    )
    assert gangs_bound(cycle(engine)) == {"a": 1, "b": 1}
    assert engine.state.queues.by_name["x"].orphaned


def test_blocked_queue_of_high_priority_does_not_block_others():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue hi: priority=9",
        "queue lo:",
        "gang a: 1x cpu=9, queue hi",
        "gang b: 1x cpu=1, queue lo",
    )
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_queue_of_higher_priority_comes_first():
    engine = engine_with(
        "1 nodes: cpu=1",
        "queue lo:",
        "queue hi: priority=9",
        "gang b: 1x cpu=1, queue lo",
        "gang a: 1x cpu=1, queue hi",
    )
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_gang_of_higher_priority_comes_first_then_the_older():
    engine = engine_with(
        "1 nodes: cpu=2", "gang old: 1x cpu=1", "gang older: 1x cpu=1", "gang vip: 1x cpu=1, priority 5"
    )
    assert gangs_bound(cycle(engine)) == {"vip": 1, "old": 1}


def test_gang_that_holds_less_comes_first():
    engine = engine_with("1 nodes: cpu=4", "gang a: 3x cpu=1, min 2", "gang b: 3x cpu=1, min 1", policy=FIFO)
    assert gangs_bound(cycle(engine)) != {"a": 2, "b": 1}, "first come first served gives all to a"
    engine = engine_with("1 nodes: cpu=4", "gang a: 3x cpu=1, min 2", "gang b: 3x cpu=1, min 1")
    assert gangs_bound(cycle(engine)) == {"a": 2, "b": 2}


def test_dominant_share_is_the_largest_part_of_anything():
    assert dominant_share({1: 1, 2: 5}, {1: 10, 2: 10}) == 0.5
    assert dominant_share({3: 1}, {}) == 1.0


def test_moving_a_gang_moves_what_it_holds():
    import msgspec

    engine = engine_with("1 nodes: cpu=4", "queue q:", "gang a: 1x cpu=1")
    confirm(engine, cycle(engine))
    engine.observe([msgspec.structs.replace(engine.state.gangs["ns/a"].fact, queue="q")])
    cycle(engine)
    names = engine.state.queues.by_name
    assert (names["default"].allocated, names["q"].allocated[1]) == ({}, 1000)


def test_of_two_equal_queues_with_one_place_each_has_every_other_turn():
    jobs = [f"gang {queue}{i}: 1x cpu=1, queue {queue}" for i in range(3) for queue in ("old", "new")]
    engine = engine_with("1 node: cpu=1", "queue old:", "queue new:", *jobs)
    turns = []
    for step in range(6):
        (name,) = bound(cycle(engine, 1_000 + step))
        turns.append(name[:3])
        finish(engine, [name])
    assert turns == ["new", "old", "new", "old", "new", "old"], "the first turn is by name"


def test_where_turns_are_strict_the_older_of_two_equal_queues_goes_first():
    jobs = [f"gang {queue}{i}: 1x cpu=1, queue {queue}" for i in range(3) for queue in ("old", "new")]
    policy = replace(DEFAULT, strict_turns=True)
    engine = engine_with("1 node: cpu=1", "queue old:", "queue new:", *jobs, policy=policy)
    turns = []
    for step in range(6):
        (name,) = bound(cycle(engine, 1_000 + step))
        turns.append(name[:3])
        finish(engine, [name])
    assert turns == ["new"] * 3 + ["old"] * 3
