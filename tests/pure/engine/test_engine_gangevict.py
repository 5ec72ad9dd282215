"""Whole gangs as victims: surplus first, and as few gangs broken as can be? (gangpreempt, gangreclaim: GP and GR)"""

from dataclasses import replace

from flowbatch.engine.decisions import Bind, Plan
from flowbatch.engine.engine import Engine
from flowbatch.policy.actions import GangEvictArguments
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from tests.textcluster import cycle, evicted, gangs_bound, leave, more, running, why

PREEMPT = replace(PREEMPTING, actions=(*DEFAULT.actions, "gangpreempt"))
RECLAIM = replace(PREEMPTING, actions=(*DEFAULT.actions, "gangreclaim"))
HIGH = "priority 10"


def full(*lines: str, policy: Policy = PREEMPT, nodes: str = "4 nodes: cpu=2") -> Engine:
    return running(nodes, *lines, policy=policy)


def victims(plan: Plan) -> dict[str, int]:
    """Gang -> members told to go."""
    found: dict[str, int] = {}
    for name in evicted(plan):
        gang = name.split("-")[0]
        found[gang] = found.get(gang, 0) + 1
    return found


def starts(engine: Engine, plan: Plan, gang: str, members: int) -> bool:
    leave(engine, evicted(plan))
    return gangs_bound(cycle(engine, 3_000)).get(gang) == members


# -- gangpreempt


def test_gp1_surplus_goes_and_the_gang_survives():
    engine = full("gang low: 8x cpu=1, min 4")
    plan = more(engine, f"gang high: 4x cpu=1, {HIGH}")
    assert victims(plan) == {"low": 4}
    assert starts(engine, plan, "high", 4)


def test_gp2_surplus_is_harvested_from_several_gangs_and_none_is_broken():
    engine = full("gang a: 4x cpu=1, min 2", "gang b: 4x cpu=1, min 2")
    plan = more(engine, f"gang high: 4x cpu=1, {HIGH}")
    assert victims(plan) == {"a": 2, "b": 2}
    assert starts(engine, plan, "high", 4)


def test_gp3_exactly_one_gang_is_broken_where_nobody_has_surplus():
    engine = full("gang a: 4x cpu=1", "gang b: 4x cpu=1")
    plan = more(engine, f"gang high: 4x cpu=1, {HIGH}")
    assert list(victims(plan).values()) == [4]
    assert starts(engine, plan, "high", 4)


def test_gp3_one_gang_is_broken_for_less_than_all_of_it():
    engine = full("gang a: 4x cpu=1", "gang b: 4x cpu=1")
    plan = more(engine, f"gang high: 3x cpu=1, {HIGH}")
    assert list(victims(plan).values()) == [4], "half a gang is worth nothing"


def test_gp4_both_are_broken_for_a_large_one():
    engine = full("gang a: 4x cpu=1", "gang b: 4x cpu=1")
    plan = more(engine, f"gang high: 8x cpu=1, {HIGH}")
    assert victims(plan) == {"a": 4, "b": 4}
    assert starts(engine, plan, "high", 8)


def test_gp5_a_gang_gives_way_to_one_of_higher_priority():
    engine = full("gang low: 8x cpu=1")
    plan = more(engine, f"gang high: 8x cpu=1, {HIGH}")
    assert victims(plan) == {"low": 8}
    assert starts(engine, plan, "high", 8)


def test_gp6_not_across_queues():
    engine = full("queue other", "gang low: 8x cpu=1, queue other")
    assert evicted(more(engine, f"gang high: 2x cpu=1, {HIGH}")) == []


def test_gp7_not_at_equal_priority():
    engine = full(f"gang low: 8x cpu=1, {HIGH}")
    assert evicted(more(engine, f"gang high: 2x cpu=1, {HIGH}")) == []


def test_gp8_medium_never_evicts_high():
    engine = full("gang high: 8x cpu=1, priority 100")
    assert evicted(more(engine, "gang medium: 2x cpu=1, priority 50")) == []
    assert "8 of the same or higher priority" in why(engine, "medium")


def test_gpr1_a_role_at_its_own_minimum_is_spared_while_another_has_surplus():
    engine = full("gang low: 2x ps cpu=1, 6x worker cpu=1, min 4, min-ps 2, min-worker 2")
    plan = more(engine, f"gang high: 4x cpu=1, {HIGH}")
    assert len(evicted(plan)) == 4
    assert all("worker" in name for name in evicted(plan))


def test_whole_gangs_only_where_that_is_allowed():
    policy = replace(PREEMPT, gangpreempt=GangEvictArguments(whole_gangs=False))
    engine = full("gang low: 8x cpu=1, min 7", policy=policy)
    assert evicted(more(engine, f"gang high: 2x cpu=1, {HIGH}")) == []
    assert "7 needed by their gang" in why(engine, "high") or "8 needed by their gang" in why(engine, "high")


def test_surplus_and_then_a_whole_gang_where_surplus_is_not_enough():
    engine = full("gang strict: 4x cpu=1", "gang loose: 4x cpu=1, min 2")
    plan = more(engine, f"gang high: 6x cpu=1, {HIGH}")
    assert victims(plan) == {"strict": 4, "loose": 2}
    assert starts(engine, plan, "high", 6)


def test_surplus_is_given_back_where_a_whole_gang_makes_it_needless():
    engine = full("gang strict: 4x cpu=2", "gang loose: 4x cpu=1, min 2", nodes="6 nodes: cpu=2")
    plan = more(engine, f"gang high: 4x cpu=2, {HIGH}")
    assert starts(engine, plan, "high", 4)
    assert sum(victims(plan).values()) <= 6


def test_a_gang_with_one_protected_member_cannot_go_whole():
    engine = full("gang low: 7x cpu=1, 1x cpu=1 kept")
    assert evicted(more(engine, f"gang high: 2x cpu=1, {HIGH}")) == []


# -- gangreclaim


QUEUES = ("queue rich", "queue poor")


def test_gr1_surplus_goes_and_the_gang_survives():
    engine = full(*QUEUES, "gang big: 8x cpu=1, min 4, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 4x cpu=1, queue poor")
    assert victims(plan) == {"big": 4}
    assert starts(engine, plan, "g", 4)


def test_gr2_exactly_one_gang_is_broken():
    engine = full(*QUEUES, "gang a: 4x cpu=1, queue rich", "gang b: 4x cpu=1, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 4x cpu=1, queue poor")
    assert list(victims(plan).values()) == [4]
    assert starts(engine, plan, "g", 4)


def test_gr3_a_queue_that_overuses_gives_a_gang():
    engine = full(*QUEUES, "gang big: 8x cpu=1, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 2x cpu=1, queue poor")
    assert victims(plan) == {"big": 8}
    assert starts(engine, plan, "g", 2)


def test_gr4_not_from_queues_within_their_share():
    engine = full("queue rich: weight=3", "queue poor", "gang a: 6x cpu=1, queue rich", policy=RECLAIM)
    more(engine, "gang b: 2x cpu=1, queue poor")
    assert evicted(more(engine, "gang c: 1x cpu=1, queue poor", now=9_000)) == []


def test_gr5_not_from_queues_that_are_not_reclaimable():
    engine = full("queue rich: kept", "queue poor", "gang big: 8x cpu=1, queue rich", policy=RECLAIM)
    assert evicted(more(engine, "gang g: 2x cpu=1, queue poor")) == []


def test_gr6_not_below_the_guarantee():
    lines = ("queue rich: guarantee(cpu=4)", "queue poor")
    engine = full(*lines, "gang a: 4x cpu=1, queue rich", "gang b: 4x cpu=1, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 2x cpu=1, queue poor", "gang h: 2x cpu=1, queue poor")
    assert list(victims(plan).values()) == [4]
    engine = full(*lines, "gang big: 8x cpu=1, queue rich", policy=RECLAIM)
    assert evicted(more(engine, "gang g: 2x cpu=1, queue poor")) == []


def test_gr7_a_queue_above_its_share_takes_nothing():
    engine = full(*QUEUES, "gang big: 6x cpu=1, queue rich", "gang own: 2x cpu=1, queue poor", policy=RECLAIM)
    plan = more(engine, "gang g: 3x cpu=1, queue poor")
    assert evicted(plan) == []
    assert "while its own would be above its share" in why(engine, "g")


def test_grr1_a_role_at_its_own_minimum_is_spared_while_another_has_surplus():
    big = "gang big: 2x ps cpu=1, 6x worker cpu=1, min 4, min-ps 2, min-worker 2, queue rich"
    engine = full(*QUEUES, big, policy=RECLAIM)
    plan = more(engine, "gang g: 4x cpu=1, queue poor")
    assert len(evicted(plan)) == 4
    assert all("worker" in name for name in evicted(plan))


SPLIT = "gang low: 8x worker cpu=1, min 4, split worker 2 min 2"


def test_gps1_a_sub_gang_goes_whole_where_the_gang_can_do_without():
    engine = full(SPLIT)
    plan = more(engine, f"gang high: 3x cpu=1, {HIGH}")
    split = [int(name.rsplit("-", 1)[1]) // 2 for name in evicted(plan)]
    assert len(split) == 4
    assert len(dict.fromkeys(split)) == 2, "two sub-gangs, not halves of four"
    assert starts(engine, plan, "high", 3)


def test_gps1_no_more_sub_gangs_go_than_there_are_beyond_the_minimum():
    engine = full("gang low: 8x worker cpu=1, min 4, split worker 2 min 3")
    plan = more(engine, f"gang high: 2x cpu=1, {HIGH}")
    assert len(evicted(plan)) == 2
    engine = full("gang low: 8x worker cpu=1, min 4, split worker 2 min 3")
    assert victims(more(engine, f"gang high: 3x cpu=1, {HIGH}")) == {"low": 8}


def test_grs1_the_same_between_queues():
    engine = full(*QUEUES, f"{SPLIT}, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 3x cpu=1, queue poor")
    assert len(evicted(plan)) == 4
    assert starts(engine, plan, "g", 3)


# -- topology

TREE = ("hypernode s1: tier 1, n1 n2", "hypernode s2: tier 1, n3 n4", "hypernode s0: tier 2, hypernodes s1 s2")


def domain(engine: Engine, plan: Plan) -> set[str]:
    return {"s1" if engine.state.tasks[name].node.name in ("n1", "n2") else "s2" for name in evicted(plan)}


def test_gpt1_and_grt1_victims_of_one_domain_for_a_gang_that_must_stay_in_one():
    engine = full(*TREE, "gang low: 8x cpu=1, min 0")
    plan = more(engine, f"gang high: 4x cpu=1, {HIGH}, hard 1")
    assert len(evicted(plan)) == 4
    assert len(domain(engine, plan)) == 1
    assert starts(engine, plan, "high", 4)
    engine = full(*TREE, *QUEUES, "gang low: 8x cpu=1, min 0, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 4x cpu=1, queue poor, hard 1")
    assert len(domain(engine, plan)) == 1
    assert starts(engine, plan, "g", 4)


def test_gpt2_and_grt2_nobody_goes_where_no_domain_is_large_enough():
    engine = full(*TREE, "gang low: 8x cpu=1, min 0")
    assert evicted(more(engine, f"gang high: 5x cpu=1, {HIGH}, hard 1")) == []
    engine = full(*TREE, "queue rich", "queue poor: weight=9", "gang low: 8x cpu=1, min 0, queue rich", policy=RECLAIM)
    assert evicted(more(engine, "gang g: 5x cpu=1, queue poor, hard 1")) == []


def test_gpt3_and_grt3_a_wider_domain_will_do_where_it_is_allowed():
    engine = full(*TREE, "gang low: 8x cpu=1, min 0")
    plan = more(engine, f"gang high: 5x cpu=1, {HIGH}, hard 2")
    assert len(evicted(plan)) == 5
    assert starts(engine, plan, "high", 5)
    engine = full(*TREE, "queue rich", "queue poor: weight=9", "gang low: 8x cpu=1, min 0, queue rich", policy=RECLAIM)
    plan = more(engine, "gang g: 5x cpu=1, queue poor, hard 2")
    assert len(evicted(plan)) == 5
    assert starts(engine, plan, "g", 5)


def test_gpt4_and_grt4_the_tighter_domain_is_taken_where_it_does():
    engine = full(*TREE, "gang low: 8x cpu=1, min 0")
    assert len(domain(engine, more(engine, f"gang high: 4x cpu=1, {HIGH}, hard 2"))) == 1
    engine = full(*TREE, *QUEUES, "gang low: 8x cpu=1, min 0, queue rich", policy=RECLAIM)
    assert len(domain(engine, more(engine, "gang g: 4x cpu=1, queue poor, hard 2"))) == 1


def test_sub_gangs_with_domains_of_their_own_get_one_each():
    engine = full(*TREE, "gang low: 8x cpu=1, min 0")
    plan = more(engine, f"gang high: 4x worker cpu=2, {HIGH}, split worker 2 min 2 hard 1")
    assert len(evicted(plan)) == 8
    leave(engine, evicted(plan))
    places = {each.name: each.node for each in cycle(engine, 3_000).decisions if isinstance(each, Bind)}
    teams = [{places[f"high-worker-{i}"] for i in team} for team in ((0, 1), (2, 3))]
    assert sorted(map(sorted, teams)) == [["n1", "n2"], ["n3", "n4"]]


def test_sub_gangs_that_fit_in_no_domain_have_nobody_evicted():
    engine = full(*TREE, "gang low: 8x cpu=1, min 0")
    assert evicted(more(engine, f"gang high: 3x worker cpu=2, {HIGH}, split worker 3 min 1 hard 1")) == []
