"""Volcano's rows about enqueue, guarantee and scheduling gates (volcano.md 14.5, 14.12, 15): text clusters."""

from dataclasses import replace

from flowbatch.policy.presets import DEFAULT
from tests.textcluster import blocker, confirm, cycle, engine_with, finish, gangs_bound, phase, seen_again


def test_allocation_works_without_the_enqueue_action():
    policy = replace(DEFAULT, enqueue=(), actions=("allocate", "backfill"))
    engine = engine_with("1 node: cpu=4", "gang one: 2x cpu=1, min 2, needs(cpu=99)", policy=policy)
    assert gangs_bound(cycle(engine)) == {"one": 2}


def test_a_minimum_that_is_not_stated_always_passes():
    engine = engine_with("1 node: cpu=1", "gang one: 9x cpu=1, min 9")
    cycle(engine)
    assert phase(engine, "one") == "Inqueue"


def test_promises_beyond_the_factor_keep_later_gangs_pending():
    engine = engine_with(
        "1 node: cpu=10",
        "gang one: ?1x cpu=6, min 1, needs(cpu=6)",
        "gang two: ?1x cpu=6, min 1, needs(cpu=6)",
        "gang three: ?1x cpu=1, min 1, needs(cpu=1)",
    )
    cycle(engine)
    assert [phase(engine, name) for name in ("one", "two", "three")] == ["Inqueue", "Inqueue", "Pending"]
    assert blocker(engine, "three") == "NeedsHeadroom"


def test_a_rejected_head_does_not_block_those_behind_it():
    engine = engine_with(
        "1 node: cpu=10", "gang huge: ?1x cpu=1, min 1, needs(cpu=13)", "gang small: ?1x cpu=1, min 1, needs(cpu=1)"
    )
    cycle(engine)
    assert (phase(engine, "huge"), phase(engine, "small")) == ("Pending", "Inqueue")


def test_gated_pods_use_up_nothing_of_what_is_promised():
    engine = engine_with(
        "1 node: cpu=4",
        "gang gated: 4x cpu=1 gated, min 4, needs(cpu=4)",
        "gang other: ?4x cpu=1, min 4, needs(cpu=4)",
    )
    cycle(engine)
    cycle(engine)
    assert (phase(engine, "gated"), phase(engine, "other")) == ("Inqueue", "Inqueue")


def test_no_promise_is_left_behind_by_a_gang_that_has_completed():
    engine = engine_with(
        "1 node: cpu=4", "gang one: 2x cpu=2, min 2, needs(cpu=4)", "gang two: ?1x cpu=4, min 1, needs(cpu=4)"
    )
    confirm(engine, cycle(engine))
    cycle(engine)
    assert phase(engine, "two") == "Pending"
    finish(engine, ["one-0", "one-1"])
    cycle(engine)
    assert phase(engine, "two") == "Inqueue"
    assert engine.state.inqueue == {1: 4_000}


def test_what_is_allocated_is_not_counted_as_promised_as_well():
    engine = engine_with(
        "1 node: cpu=10", "gang one: 2x cpu=3, min 2, needs(cpu=6)", "gang two: ?1x cpu=6, min 1, needs(cpu=6)"
    )
    cycle(engine)
    assert (engine.state.used[1], engine.state.inqueue) == (6_000, {1: 6_000})
    assert phase(engine, "two") == "Inqueue"


def test_only_dimensions_that_are_asked_for_are_compared():
    engine = engine_with(
        "1 node: cpu=4 gpu=1",
        "queue q: capability(gpu=1)",
        "gang gpu: 1x cpu=1 gpu=1, min 1, queue q",
        "gang plain: 1x cpu=1, min 1, queue q, needs(cpu=1)",
    )
    assert gangs_bound(cycle(engine)) == {"gpu": 1, "plain": 1}


def test_a_queue_that_is_guaranteed_the_whole_cluster_leaves_the_others_pending():
    engine = engine_with(
        "2 nodes: cpu=4",
        "queue mine: guarantee(cpu=8)",
        "queue other:",
        "gang one: 1x cpu=1, min 1, queue other, needs(cpu=1)",
        "gang two: 2x cpu=4, min 2, queue mine, needs(cpu=8)",
    )
    assert gangs_bound(cycle(engine)) == {"two": 2}
    assert phase(engine, "one") == "Pending"
    assert blocker(engine, "one") == "NeedsQuota"


def test_a_job_too_large_for_what_guarantees_leave_waits():
    engine = engine_with(
        "2 nodes: cpu=4",
        "queue mine: guarantee(cpu=4)",
        "queue other:",
        "gang large: 5x cpu=1, min 5, queue other, needs(cpu=5)",
        "gang fine: 4x cpu=1, min 4, queue other, needs(cpu=4)",
    )
    assert gangs_bound(cycle(engine)) == {"fine": 4}
    assert blocker(engine, "large") == "NeedsQuota"


def test_guarantees_above_the_cluster_and_its_queues_are_no_crash():
    engine = engine_with(
        "1 node: cpu=4",
        "queue a: guarantee(cpu=4)",
        "queue b: guarantee(cpu=4)",
        "gang one: 4x cpu=1, min 4, queue a",
        "gang two: 4x cpu=1, min 4, queue b, phase Inqueue",
    )
    assert gangs_bound(cycle(engine)) == {"one": 4}


def test_a_queue_of_best_effort_pods_only_has_a_share_like_any_other():
    engine = engine_with(
        "1 node: cpu=4", "queue be:", "gang one: 2x pods=0, min 2, queue be", "gang two: 4x cpu=1, min 4"
    )
    assert gangs_bound(cycle(engine)) == {"one": 2, "two": 4}


def test_a_pod_whose_gate_is_gone_and_that_fits_nowhere_blocks_others_only_by_its_turn():
    # Volcano lets it reserve queue capacity meanwhile. Here what waits holds nothing: the smaller one runs.
    engine = engine_with(
        "1 node: cpu=2",
        "queue q: capability(cpu=4)",
        "gang big: 1x cpu=4 gated, min 1, queue q, phase Inqueue",
        "gang small: 1x cpu=2, min 1, queue q, phase Inqueue",
    )
    engine.observe([seen_again(engine, "big-0", gated=False)])
    assert gangs_bound(cycle(engine)) == {"small": 1}
    assert blocker(engine, "big") == "NeedsCapacity"


def test_a_gang_waits_until_the_last_of_its_pods_has_no_gate():
    engine = engine_with("1 node: cpu=4", "gang one: 1x a cpu=1 gated, 1x b cpu=1 gated, min 2, phase Inqueue")
    cycle(engine)
    engine.observe([seen_again(engine, "one-a-0", gated=False)])
    assert gangs_bound(cycle(engine)) == {}
    engine.observe([seen_again(engine, "one-b-0", gated=False)])
    assert gangs_bound(cycle(engine)) == {"one": 2}
