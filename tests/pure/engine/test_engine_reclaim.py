"""Do queues get back what is theirs, from those that hold more than theirs, and no further? (reclaim)"""

from dataclasses import replace

import pytest

from flowbatch.engine.decisions import Plan
from flowbatch.engine.engine import Engine
from flowbatch.model.ids import PodUid
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import blocker, cycle, evicted, gangs_bound, leave, more, phase, running, seen_again, why

#: Volcano's plain action alone.
PLAIN = replace(PREEMPTING, actions=(*DEFAULT.actions, "reclaim"))


def capacity(actions: str = "enqueue, allocate, reclaim, gangreclaim") -> Policy:
    """Queues that say themselves what they deserve."""
    plugins = [{"name": name} for name in ("priority", "gang", "conformance", "capacity", "predicates")]
    return read_volcano({"actions": actions, "tiers": [{"plugins": plugins}]})


def held(*lines: str, policy: Policy = PLAIN) -> Engine:
    return running("2 nodes: cpu=2", *lines, policy=policy)


def let_go(engine: Engine, plan: Plan, now: int = 3_000) -> Plan:
    leave(engine, evicted(plan))
    return cycle(engine, now)


def singles(count: int, queue: str = "rich") -> list[str]:
    """Gangs of one pod that need not run: what an elastic job's pods are."""
    return [f"gang {queue}{i}: 1x cpu=1, min 0, queue {queue}" for i in range(count)]


def test_nothing_is_reclaimed_while_there_is_room():
    engine = held("queue rich", "queue poor", *singles(3))
    plan = more(engine, "gang g: 1x cpu=1, queue poor")
    assert evicted(plan) == []
    assert gangs_bound(plan) == {"g": 1}


def test_without_the_action_a_queue_waits_for_its_share():
    engine = held("queue rich", "queue poor", *singles(4), policy=DEFAULT)
    assert evicted(more(engine, "gang g: 1x cpu=1, queue poor")) == []


def test_a_queue_gets_its_share_back():
    engine = held("queue rich", "queue poor", *singles(4))
    plan = more(engine, "gang g: 2x cpu=1, queue poor")
    assert len(evicted(plan)) == 2
    assert blocker(engine, "g") == "NeedsRoom"
    assert gangs_bound(let_go(engine, plan)) == {"g": 2}


def test_and_not_more_than_its_share():
    engine = held("queue rich", "queue poor", *singles(4))
    assert evicted(more(engine, "gang g: 3x cpu=1, queue poor")) == []
    assert "while its own would be above its share" in why(engine, "g")


def test_a_queue_that_holds_its_share_already_takes_nothing():
    engine = held("queue rich", "queue poor", *singles(4), "gang a: 2x cpu=1, min 2, queue poor")
    plan = more(engine, "gang b: 1x cpu=1, queue poor")
    confirmed = gangs_bound(let_go(engine, plan))
    assert confirmed == {"a": 2} or evicted(plan) == []
    again = more(engine, "gang c: 1x cpu=1, queue poor", now=9_000)
    assert evicted(again) == []


def test_a_gang_at_the_gate_reclaims_nothing():
    engine = held("queue rich", "queue poor", *singles(4))
    assert evicted(more(engine, "gang g: 2x cpu=1, queue poor, needs(cpu=100)")) == []
    assert phase(engine, "g") == "Pending"


def test_a_queue_that_does_not_exist_reclaims_nothing():
    engine = held("queue rich", *singles(4))
    assert evicted(more(engine, "gang g: 2x cpu=1, queue nowhere")) == []
    assert blocker(engine, "g") == "QueueMissing"


def test_priority_does_not_matter_between_queues():
    engine = held("queue rich", "queue poor", *[f"{line}, priority 100" for line in singles(4)])
    assert len(evicted(more(engine, "gang g: 2x cpu=1, queue poor"))) == 2


def test_the_lowest_priority_goes_first():
    engine = held("queue rich", "queue poor", *[f"{line}, priority {9 - i}" for i, line in enumerate(singles(4))])
    assert evicted(more(engine, "gang g: 1x cpu=1, queue poor")) == ["rich3-0"]


def test_nothing_is_reclaimed_on_nodes_that_do_not_admit():
    engine = held("queue rich", "queue poor", *singles(4))
    assert evicted(more(engine, "gang g: 1x cpu=1 @zone:nowhere, queue poor")) == []
    assert blocker(engine, "g") == "NeedsNode"


def test_nobody_goes_when_all_of_them_would_be_too_little():
    engine = running("2 nodes: cpu=2", "queue rich", "queue poor", *singles(4), policy=PLAIN)
    engine.observe([seen_again(engine, f"rich{i}-0", preemptable=False) for i in range(3)])
    assert evicted(more(engine, "gang g: 1x cpu=2, queue poor")) == []


def test_queues_that_are_not_reclaimable_keep_what_they_have():
    engine = held("queue rich: kept", "queue poor", *singles(4))
    assert evicted(more(engine, "gang g: 2x cpu=1, queue poor")) == []
    assert "4 of queues that nothing is reclaimed from" in why(engine, "g")


def test_several_queues_give_what_they_have_too_much():
    engine = running(
        "3 nodes: cpu=2", "queue a", "queue b", "queue poor", *singles(3, "a"), *singles(3, "b"), policy=PLAIN
    )
    plan = more(engine, "gang g: 2x cpu=1, queue poor")
    assert sorted(name[0] for name in evicted(plan)) == ["a", "b"]


def test_guarantees_are_kept():
    engine = held("queue rich: guarantee(cpu=3)", "queue poor: weight=9", *singles(4))
    plan = more(engine, "gang g: 1x cpu=1, queue poor", "gang h: 1x cpu=1, queue poor")
    assert len(evicted(plan)) == 1


def test_a_gang_of_another_queue_keeps_its_minimum_in_the_plain_action():
    engine = held("queue rich", "queue poor", "gang big: 4x cpu=1, min 3, queue rich")
    assert len(evicted(more(engine, "gang g: 1x cpu=1, queue poor"))) == 1
    engine = held("queue rich", "queue poor", "gang big: 4x cpu=1, queue rich")
    assert evicted(more(engine, "gang g: 1x cpu=1, queue poor")) == []


def test_the_victims_queue_does_not_take_it_back():
    engine = held("queue rich", "queue poor", *singles(4))
    plan = more(engine, "gang g: 2x cpu=1, queue poor")
    gone = evicted(plan)
    let_go(engine, plan)
    for round_ in range(5):
        plan = more(engine, f"gang again{round_}: 1x cpu=1, min 0, queue rich", now=4_000 + 70_000 * round_)
        assert evicted(plan) == []
    assert len(gone) == 2


def test_capacity_reclaims_what_is_deserved():
    lines = ("queue rich: deserved(cpu=2)", "queue poor: deserved(cpu=2)")
    engine = held(*lines, *singles(4), policy=capacity())
    plan = more(engine, "gang g: 2x cpu=1, queue poor")
    assert len(evicted(plan)) == 2
    assert gangs_bound(let_go(engine, plan)) == {"g": 2}


def test_capacity_does_not_reclaim_from_a_queue_within_what_it_deserves():
    lines = ("queue rich: deserved(cpu=4)", "queue poor: deserved(cpu=2)")
    engine = held(*lines, *singles(4), policy=capacity())
    assert evicted(more(engine, "gang g: 1x cpu=1, queue poor")) == []
    assert "4 of queues within their share" in why(engine, "g")


def test_capacity_lets_nobody_take_more_than_he_deserves():
    lines = ("queue rich: deserved(cpu=1)", "queue poor: deserved(cpu=2)")
    engine = held(*lines, *singles(4), policy=capacity())
    assert evicted(more(engine, "gang g: 3x cpu=1, queue poor")) == []
    assert len(evicted(more(engine, "gang h: 2x cpu=1, queue poor", now=9_000))) == 2


def test_capacity_in_several_queues_by_what_each_deserves():
    lines = ("queue a: deserved(cpu=1)", "queue b: deserved(cpu=2)", "queue poor: deserved(cpu=3)")
    engine = running("3 nodes: cpu=2", *lines, *singles(3, "a"), *singles(3, "b"), policy=capacity())
    plan = more(engine, "gang g: 3x cpu=1, queue poor")
    assert sorted(name[0] for name in evicted(plan)) == ["a", "a", "b"]


@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_a_resource_that_only_the_other_queue_deserves_makes_no_pingpong(wanted):
    lines = ("queue a: deserved(cpu=4)", "queue b: deserved(memory=4)")
    engine = running(
        "2 nodes: cpu=2 memory=2",
        *lines,
        "gang x: 4x cpu=1 memory=1, min 0, queue b",
        policy=capacity(),
    )
    assert evicted(more(engine, f"gang g: {wanted}x cpu=1 memory=1, queue a")) == []


def test_where_nothing_is_divided_nothing_is_reclaimed():
    policy = replace(PLAIN, shares=None, limits=PLAIN.limits[:1])
    engine = held("queue rich", "queue poor", *singles(4), policy=policy)
    assert evicted(more(engine, "gang g: 1x cpu=1, queue poor")) == []
    assert "4 of queues that have no share" in why(engine, "g")


def test_two_that_reclaim_in_one_cycle_do_not_count_the_same_excess_twice():
    engine = running("3 nodes: cpu=2", "queue rich", "queue a", "queue b", *singles(6), policy=PLAIN)
    plan = more(engine, "gang g: 2x cpu=1, queue a", "gang h: 2x cpu=1, queue b")
    assert len(evicted(plan)) == 4
    assert gangs_bound(let_go(engine, plan)) == {"g": 2, "h": 2}


def test_minimum_run_time_is_another_for_reclaim():
    engine = held("queue rich", "queue poor", *singles(4), policy=replace(PLAIN, reclaim_min_runtime_ms=60_000))
    engine.observe([seen_again(engine, f"rich{i}-0", started=1_000) for i in range(4)])
    plan = more(engine, "gang g: 1x cpu=1, queue poor")
    assert evicted(plan) == []
    assert plan.wake_at == 61_000
    node = engine.state.tasks[PodUid("rich0-0")].node
    assert node is not None
    assert len(evicted(cycle(engine, 61_000))) == 1


def test_the_gate_counts_on_what_others_hold_above_their_share():
    engine = held("queue rich", "queue poor", *singles(4))
    plan = more(engine, "gang g: 2x cpu=1, queue poor, needs(cpu=2)")
    assert len(evicted(plan)) == 2
    assert gangs_bound(let_go(engine, plan)) == {"g": 2}
    assert evicted(more(engine, "gang h: 1x cpu=1, queue poor, needs(cpu=1)", now=9_000)) == []
    assert phase(engine, "h") == "Pending"
