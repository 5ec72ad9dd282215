"""Volcano's rows about allocate, gangs and its statement (volcano.md 14.4, 14.5, 15), as behaviour of text clusters."""

from flowbatch.engine.events import BindFailed, GangGone, PodGone
from flowbatch.model.ids import GangId, NodeName, PodUid
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    facts,
    finish,
    gangs_bound,
    node,
    phase,
    seen_again,
    why,
)


def test_work_is_allocated_where_there_is_enough():
    engine = engine_with("2 nodes: cpu=4", "gang one: 4x cpu=2, min 4")
    assert gangs_bound(cycle(engine)) == {"one": 4}


def test_nothing_is_allocated_where_there_is_not_enough():
    engine = engine_with("2 nodes: cpu=4", "gang one: 5x cpu=2, min 5, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {}
    assert blocker(engine, "one") == "NeedsCapacity"


def test_nothing_is_allocated_where_predicates_fail():
    engine = engine_with("2 nodes: cpu=4", "gang one: 1x cpu=1 @zone:nowhere, min 1, phase Inqueue")
    assert gangs_bound(cycle(engine)) == {}
    assert "didn't match Pod's node affinity/selector" in why(engine, "one")


def test_nothing_is_allocated_in_a_queue_that_is_overused():
    engine = engine_with(
        "2 nodes: cpu=4",
        "queue q: capability(cpu=2)",
        "gang one: 2x cpu=1, min 2, queue q",
        "gang two: 1x cpu=1, min 1, queue q, phase Inqueue",
    )
    assert gangs_bound(cycle(engine)) == {"one": 2}
    assert blocker(engine, "two") == "NeedsQuota"


def test_gates_block_a_gang_until_they_are_removed():
    engine = engine_with("1 node: cpu=4", "gang one: 2x cpu=1 gated, min 2, phase Inqueue")
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "one") == "Gated"
    engine.observe(facts("gang one: 2x cpu=1, min 2, phase Inqueue")[2:])
    assert gangs_bound(cycle(engine)) == {"one": 2}


def test_a_member_that_fits_nowhere_does_not_end_the_job_if_the_minimum_can_do_without():
    engine = engine_with("1 node: cpu=4", "gang one: 1x lost cpu=1 @zone:nowhere, 3x work cpu=1, min 3")
    assert sorted(bound(cycle(engine))) == ["one-work-0", "one-work-1", "one-work-2"]


def test_a_master_whose_minimum_cannot_be_met_stops_the_job():
    engine = engine_with(
        "1 node: cpu=4", "gang one: 1x master cpu=1 @zone:nowhere, 3x work cpu=1, min 3, min-master 1, phase Inqueue"
    )
    assert bound(cycle(engine)) == {}


def test_parts_that_compete_are_placed_wherever_there_is_any_way():
    # Neither order of placing part after part does it: each part must give way on one of the nodes.
    engine = engine_with(
        "node a: cpu=3 gpu=1", "node b: cpu=2 gpu=1", "gang one: 2x big cpu=2, 1x small cpu=1 gpu=1, min 3"
    )
    assert gangs_bound(cycle(engine)) == {"one": 3}


def test_room_for_one_part_wakes_a_gang_of_several_parts():
    engine = engine_with(
        "node a: cpu=3 gpu=1",
        "node b: cpu=1 gpu=1",
        "pod old: cpu=1 on a",
        "gang one: 1x big cpu=2, 2x small cpu=1 gpu=1, min 3, phase Inqueue",
    )
    assert bound(cycle(engine)) == {}
    # The node takes one of each part as before, but now both of them together.
    finish(engine, ["old"])
    assert gangs_bound(cycle(engine)) == {"one": 3}


def test_a_blocked_queue_of_high_priority_does_not_block_others():
    engine = engine_with(
        "1 node: cpu=4",
        "queue high: priority=9 capability(cpu=1)",
        "gang big: 2x cpu=1, min 2, queue high, phase Inqueue",
        "gang small: 2x cpu=1, min 2",
    )
    assert gangs_bound(cycle(engine)) == {"small": 2}


def test_two_gangs_of_the_clusters_size_go_one_after_the_other_and_evict_nothing():
    engine = engine_with("2 nodes: cpu=4", "gang one: 8x cpu=1, min 8", "gang two: 8x cpu=1, min 8, phase Inqueue")
    plan = cycle(engine)
    assert gangs_bound(plan) == {"one": 8}
    confirm(engine, plan)
    assert phase(engine, "two") == "Inqueue"
    finish(engine, [f"one-{i}" for i in range(8)])
    assert gangs_bound(cycle(engine)) == {"two": 8}


def test_a_gang_waits_while_somebody_elses_pods_hold_the_nodes_and_runs_after():
    engine = engine_with("1 node: cpu=4", "pod rc: cpu=3 on n1", "gang one: 3x cpu=1, min 3, phase Inqueue")
    assert bound(cycle(engine)) == {}
    finish(engine, ["rc"])
    assert gangs_bound(cycle(engine)) == {"one": 3}


def test_best_effort_and_normal_pods_of_one_gang_start_together():
    engine = engine_with("1 node: cpu=2", "gang one: 2x light pods=0, 2x heavy cpu=1, min 4")
    assert gangs_bound(cycle(engine)) == {"one": 4}


def test_a_best_effort_job_runs_on_a_full_node():
    engine = engine_with("1 node: cpu=1", "pod old: cpu=1 on n1", "gang one: 3x pods=0, min 3")
    assert gangs_bound(cycle(engine)) == {"one": 3}


def test_binpack_fills_one_node_before_the_next():
    engine = engine_with("2 nodes: cpu=4", "pod old: cpu=1 on n2", "gang one: 3x cpu=1, min 3")
    assert set(bound(cycle(engine)).values()) == {"n2"}


def test_a_terminating_gang_stays_running_while_its_members_leave_gracefully():
    engine = engine_with("1 node: cpu=4", "gang one: 3x cpu=1, min 3")
    confirm(engine, cycle(engine))
    cycle(engine)
    assert phase(engine, "one") == "Running"
    engine.observe([seen_again(engine, f"one-{i}", deleting=True) for i in range(2)])
    cycle(engine)
    assert phase(engine, "one") == "Running"


def test_a_gang_all_of_whose_members_terminate_is_running_until_they_are_gone():
    from flowbatch.model.ids import PodUid

    engine = engine_with("1 node: cpu=4", "gang one: 2x cpu=1, min 2")
    confirm(engine, cycle(engine))
    engine.observe([seen_again(engine, f"one-{i}", deleting=True) for i in range(2)])
    cycle(engine)
    assert phase(engine, "one") == "Running"
    engine.observe([PodGone(PodUid(f"one-{i}")) for i in range(2)])
    cycle(engine)
    assert phase(engine, "one") == "Inqueue"  # it is new, and has passed the gate again


def test_a_gang_without_pods_of_an_orphaned_group_harms_nobody():
    engine = engine_with("1 node: cpu=4", "gang lost: 2x cpu=1, min 2", "gang fine: 2x cpu=1, min 2")
    engine.observe([GangGone(GangId("ns/lost"))])
    assert gangs_bound(cycle(engine)) == {"fine": 2}
    assert blocker(engine, "lost") == "NeedsGang"


def test_a_node_that_became_too_small_before_the_binding_arrived_is_not_used_again():
    engine = engine_with("node a: cpu=4", "gang one: 2x cpu=2, min 2")
    plan = cycle(engine)
    assert gangs_bound(plan) == {"one": 2}
    engine.observe([node("a", "cpu=2"), BindFailed(PodUid("one-1"), NodeName("a"), "OutOfcpu")])
    assert bound(cycle(engine)) == {}
    engine.observe([node("b", "cpu=2")])
    assert bound(cycle(engine)) == {"one-1": "b"}
