"""Is room made inside a queue for a gang of higher priority, by as few as will do, and kept for it? (preempt)"""

from dataclasses import replace

from msgspec.structs import replace as changed

from flowbatch.engine.decisions import Evict, Plan
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import BudgetSeen, EvictFailed, LabelTest, PodSeen, Synced
from flowbatch.model.ids import BudgetId, PodUid
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from flowbatch.policy.victims import SmallerShare
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    evicted,
    facts,
    gangs_bound,
    leave,
    more,
    nominated,
    phase,
    running,
    seen_again,
    why,
)

#: Volcano's plain action alone: one pod at a time, never below the minimum of its gang.
PLAIN = replace(PREEMPTING, actions=(*DEFAULT.actions, "preempt"))
#: As Volcano's charts have it: the gang plugin does not protect minima.
LOOSE = replace(PLAIN, preemptable=PREEMPTING.preemptable[1:])


def full(*lines: str, policy=PREEMPTING) -> Engine:
    return running("2 nodes: cpu=2", *lines, policy=policy)


def let_go(engine: Engine, plan: Plan, now: int = 3_000) -> Plan:
    """Victims leave; what is decided then."""
    leave(engine, evicted(plan))
    return cycle(engine, now)


def test_without_the_action_nobody_is_evicted():
    engine = full("gang low: 4x cpu=1, min 1", policy=DEFAULT)
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    assert evicted(plan) == []
    assert blocker(engine, "high") == "NeedsCapacity"


def test_high_priority_is_placed_without_eviction_when_there_is_room():
    engine = full("gang low: 2x cpu=1, min 1")
    plan = more(engine, "gang high: 2x cpu=1, priority 10")
    assert evicted(plan) == []
    assert gangs_bound(plan) == {"high": 2}


def test_as_many_go_as_are_needed_and_the_gang_binds_when_they_have_left():
    engine = full("gang low: 4x cpu=1, min 1")
    plan = more(engine, "gang high: 2x cpu=1, priority 10")
    assert len(evicted(plan)) == 2
    assert bound(plan) == {}
    assert blocker(engine, "high") == "NeedsRoom"
    assert "waits for 2 pods to leave" in why(engine, "high")
    assert set(nominated(plan)) == {"high-0", "high-1"}
    first, second = evicted(plan)
    leave(engine, [first])
    assert bound(cycle(engine, 2_500)) == {}, "all or nothing"
    leave(engine, [second])
    assert bound(cycle(engine, 3_000)) == nominated(plan)


def test_an_evict_says_why_and_for_whom():
    engine = full("gang low: 4x cpu=1, min 4")
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    orders = [each for each in plan.decisions if isinstance(each, Evict)]
    assert [(each.reason, each.beneficiary) for each in orders] == [("gangpreempt", "ns/high")] * 4


def test_the_freed_room_is_kept_from_everybody_else():
    engine = full("gang low: 4x cpu=1, min 1")
    plan = more(engine, "gang high: 2x cpu=1, priority 10")
    leave(engine, evicted(plan)[:1])
    assert bound(more(engine, "gang thief: 1x cpu=1, priority 5", now=2_500)) == {}
    done = let_go(engine, plan)
    assert gangs_bound(done)["high"] == 2


def test_a_gang_at_the_gate_evicts_nobody():
    engine = full("gang low: 4x cpu=1, min 1")
    plan = more(engine, "gang high: 2x cpu=1, priority 10, needs(cpu=100)")
    assert phase(engine, "high") == "Pending"
    assert evicted(plan) == []


def test_preemption_stays_in_its_queue():
    engine = full("queue other", "gang low: 4x cpu=1, min 1, queue other", policy=PLAIN)
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    assert evicted(plan) == []


def test_nobody_goes_when_it_would_not_be_enough():
    engine = full("gang low: 2x cpu=1, min 1", "gang firm: 2x cpu=1, priority 20")
    plan = more(engine, "gang high: 3x cpu=1, priority 10")
    assert evicted(plan) == []
    assert blocker(engine, "high") == "NeedsCapacity"
    assert "2 of the same or higher priority" in why(engine, "high")


def test_gated_gangs_evict_nobody():
    engine = full("gang low: 4x cpu=1, min 1")
    plan = more(engine, "gang high: 2x cpu=1 gated, priority 10")
    assert evicted(plan) == []
    assert blocker(engine, "high") == "Gated"


def test_equal_priority_is_no_reason():
    engine = full("gang low: 4x cpu=1, min 1, priority 10")
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == []
    assert "4 of the same or higher priority" in why(engine, "high")


def test_several_preemptors_of_different_priority_take_in_order_and_never_from_each_other():
    engine = full("gang low: 4x cpu=1, min 1")
    plan = more(engine, "gang mid: 1x cpu=1, priority 5", "gang high: 1x cpu=1, priority 10")
    assert len(evicted(plan)) == 2
    assert gangs_bound(let_go(engine, plan)) == {"high": 1, "mid": 1}


def test_pods_that_say_so_are_spared():
    engine = full("gang low: 4x cpu=1 kept, min 1")
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == []
    assert "4 not preemptable" in why(engine, "high")


def test_groups_that_say_so_are_spared():
    engine = full("gang low: 4x cpu=1, min 1, preemptable no")
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == []
    assert "4 not preemptable" in why(engine, "high")


def test_preemption_policy_never_of_the_group_and_of_pods():
    engine = full("gang low: 4x cpu=1, min 1")
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10, preempts no")) == []
    assert evicted(more(engine, "gang meek: 1x cpu=1 meek, priority 10")) == []


def test_a_pod_that_never_preempts_uses_free_room_while_its_fellow_preempts():
    engine = running("2 nodes: cpu=2", "gang low: 3x cpu=1, min 1", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x a cpu=1 meek, 1x b cpu=1, priority 10")
    assert len(evicted(plan)) == 1
    assert gangs_bound(let_go(engine, plan)) == {"high": 2}
    engine = full("gang low: 4x cpu=1, min 1")
    assert evicted(more(engine, "gang high: 1x a cpu=1 meek, 1x b cpu=1, priority 10")) == []


def test_best_effort_pods_evict_nobody():
    engine = running("1 node: cpu=1 pods=1", "gang low: 1x cpu=1", policy=PREEMPTING)
    assert evicted(more(engine, "gang high: 1x, priority 10")) == []


def test_the_lowest_priority_goes_first_then_the_latest():
    engine = full(
        "gang lower: 1x cpu=1, min 0, priority 1", "gang low: 2x cpu=1, min 0, priority 2", "gang last: 1x cpu=1, min 0"
    )
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == ["last-0"]


def test_surplus_goes_before_whole_gangs_even_of_higher_priority():
    engine = full("gang strict: 2x cpu=1", "gang loose: 2x cpu=1, min 1, priority 5")
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) in (["loose-0"], ["loose-1"])


def test_plain_preempt_never_breaks_a_gang_while_the_gang_plugin_says_so():
    engine = full("gang low: 4x cpu=1", policy=PLAIN)
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == []
    assert "4 needed by their gang" in why(engine, "high")
    engine = full("gang low: 4x cpu=1", policy=LOOSE)
    assert len(evicted(more(engine, "gang high: 1x cpu=1, priority 10"))) == 1


def test_only_on_the_nodes_that_are_used():
    engine = running("2 nodes: cpu=4", "gang a: 4x cpu=1, min 0", "gang b: 4x cpu=1, min 0", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x cpu=4, priority 10")
    nodes = {engine.state.tasks[PodUid(name)].node.name for name in evicted(plan)}
    assert len(evicted(plan)) == 4
    assert len(nodes) == 1


def test_nothing_goes_on_nodes_that_do_not_admit_the_gang():
    engine = running("node a: cpu=2 zone:a", "node b: cpu=2 zone:b", "gang low: 4x cpu=1, min 0", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x cpu=1 @zone:b, priority 10")
    assert [engine.state.tasks[PodUid(name)].node.name for name in evicted(plan)] == ["b"]


def test_a_port_is_freed_by_its_holder():
    engine = running("1 node: cpu=4", "gang low: 1x cpu=1 %80, 1x other cpu=1, min 0", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x cpu=1 %80, priority 10")
    assert evicted(plan) == ["low-0"]
    assert gangs_bound(let_go(engine, plan)) == {"high": 1}


def test_an_eviction_that_fails_leads_to_another_look():
    engine = full("gang low: 2x cpu=1, min 0", "gang mid: 2x cpu=1, min 0, priority 5")
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    (first,) = evicted(plan)
    engine.observe([EvictFailed(PodUid(first), "Too Many Requests")])
    plan = cycle(engine, 3_000)
    (second,) = evicted(plan)
    assert second != first
    assert gangs_bound(let_go(engine, plan, 4_000)) == {"high": 1}


def test_who_was_spared_by_the_server_may_be_asked_again_later():
    engine = running("1 node: cpu=1", "gang low: 1x cpu=1", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    engine.observe([EvictFailed(PodUid("low-0"), "Too Many Requests")])
    plan = cycle(engine, 3_000)
    assert evicted(plan) == []
    assert "1 whose eviction was refused" in why(engine, "high")
    assert plan.wake_at is not None
    assert evicted(cycle(engine, plan.wake_at)) == ["low-0"]


def test_a_hold_ends_and_what_never_left_is_not_counted_on_again():
    engine = full("gang low: 4x cpu=1, min 0")
    first = more(engine, "gang high: 1x cpu=1, priority 10")
    assert first.wake_at is not None
    later = cycle(engine, first.wake_at)
    assert evicted(later) != evicted(first)
    assert len(evicted(later)) == 1


def test_a_restarted_engine_keeps_the_room_of_nominated_pods():
    lines = ("1 node: cpu=2", "gang low: 2x cpu=1, min 0")
    high = "gang high: 1x cpu=1, priority 10, phase Inqueue"
    engine = running(*lines, policy=PREEMPTING)
    plan = more(engine, high)
    known = [
        seen_again(engine, name, nominated=nominated(plan).get(name))
        for name in ("low-0", "low-1", "high-0")
        if name not in evicted(plan)
    ]
    thief = facts("gang thief: 1x cpu=1, priority 50, phase Inqueue")[2:]
    fresh = Engine(PREEMPTING, validate=True)
    others = [each for each in facts(*lines, high) if not isinstance(each, PodSeen)]
    fresh.observe([*others, *known, *thief, Synced()])
    assert bound(cycle(fresh)) == {"high-0": "n1"}


def test_a_budget_protects_its_pods():
    engine = full("gang low: 4x cpu=1, min 0")
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", (), 1)])
    assert evicted(more(engine, "gang high: 2x cpu=1, priority 10")) == []
    assert "protected by budget ns/b" in why(engine, "high")
    assert len(evicted(more(engine, "gang higher: 1x cpu=1, priority 11", now=60_000))) == 1


def test_a_budget_holds_for_whole_gangs_of_one_too():
    engine = full("gang a: 1x cpu=1", "gang b: 1x cpu=1", "gang c: 1x cpu=1", "gang d: 1x cpu=1")
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", (), 1)])
    assert evicted(more(engine, "gang high: 2x cpu=1, priority 10")) == []
    assert "protected by budget ns/b" in why(engine, "high")


def test_a_budget_that_comes_later_counts_who_was_told_to_go_before():
    engine = full("gang low: 4x cpu=1, min 0")
    assert len(evicted(more(engine, "gang high: 1x cpu=1, priority 10"))) == 1
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", (), 1)])
    assert evicted(more(engine, "gang higher: 1x cpu=1, priority 11", now=60_000)) == []
    assert "protected by budget ns/b" in why(engine, "higher")


def test_a_budget_that_selects_others_than_before_counts_those_who_go():
    engine = full("gang low: 4x cpu=1, min 0")
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", None, 1)])
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", (), 1)])
    assert evicted(more(engine, "gang higher: 1x cpu=1, priority 11", now=60_000)) == []
    # Once it is seen leaving, the status of the budget counts it.
    engine.observe([seen_again(engine, *evicted(plan), deleting=True)])
    assert len(evicted(cycle(engine, 600_000))) == 1


def test_a_budget_that_allows_more_lets_the_search_begin_anew():
    engine = full("gang low: 4x cpu=1, min 0")
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", (LabelTest("app", "Exists"),), 0)])
    engine.observe([seen_again(engine, f"low-{i}", labels=(("app", "x"),)) for i in range(4)])
    assert evicted(more(engine, "gang high: 2x cpu=1, priority 10")) == []
    engine.observe([BudgetSeen(BudgetId("ns/b"), "ns", (LabelTest("app", "Exists"),), 2)])
    plan = cycle(engine, 2_001)
    assert evicted(plan) == []
    assert plan.wake_at == 3_000
    assert len(evicted(cycle(engine, 3_000))) == 2


def test_what_keeps_the_cluster_alive_is_spared():
    engine = full("gang low: 4x cpu=1, min 0")
    engine.observe([seen_again(engine, f"low-{i}", priority_class="system-node-critical") for i in range(2)])
    engine.observe([seen_again(engine, f"low-{i}", namespace="kube-system") for i in range(2, 4)])
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == []
    assert "4 critical for the system" in why(engine, "high")


def test_a_cooldown_protects_until_it_is_over():
    engine = full("gang low: 4x cpu=1 cooldown 60, min 0")
    engine.observe([seen_again(engine, f"low-{i}", started=1_000) for i in range(4)])
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    assert evicted(plan) == []
    assert "4 in their cooldown" in why(engine, "high")
    assert plan.wake_at == 61_000
    assert len(evicted(cycle(engine, 61_000))) == 1


def test_a_minimum_run_time_protects_until_it_is_over():
    engine = full("gang low: 4x cpu=1, min 0", policy=replace(PREEMPTING, preempt_min_runtime_ms=5_000))
    engine.observe([seen_again(engine, f"low-{i}", started=1_000) for i in range(4)])
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    assert evicted(plan) == []
    assert "4 that have just started" in why(engine, "high")
    assert plan.wake_at == 6_000
    assert len(evicted(cycle(engine, 6_000))) == 1


def test_drf_lets_only_the_smaller_share_take():
    policy = replace(PREEMPTING, preemptable=(*PREEMPTING.preemptable, SmallerShare()))
    engine = full("gang low: 4x cpu=1, min 0", policy=policy)
    assert len(evicted(more(engine, "gang high: 1x cpu=1, priority 10"))) == 1
    engine = full("gang a: 2x cpu=1, min 0", "gang b: 2x cpu=1, min 0", policy=policy)
    assert evicted(more(engine, "gang high: 2x cpu=2, priority 10")) == []
    assert "of gangs with a smaller share" in why(engine, "high")


def test_a_queue_at_its_limit_makes_room_inside_itself():
    engine = running(
        "2 nodes: cpu=4", "queue q: capability(cpu=2)", "gang low: 2x cpu=1, min 0, queue q", policy=PREEMPTING
    )
    plan = more(engine, "gang high: 1x cpu=1, priority 10, queue q")
    assert len(evicted(plan)) == 1
    assert gangs_bound(let_go(engine, plan)) == {"high": 1}


def test_a_queue_above_its_limit_after_all_is_left_alone():
    engine = running(
        "2 nodes: cpu=4", "queue q: capability(cpu=2)", "gang low: 2x cpu=1, min 0, queue q", policy=PREEMPTING
    )
    plan = more(engine, "gang high: 3x cpu=1, priority 10, queue q")
    assert evicted(plan) == []


def test_members_without_pods_count_when_room_is_made():
    engine = full("gang low: 4x cpu=1, min 0")
    plan = more(engine, "gang high: 1x ps cpu=1, ?2x worker cpu=1 ~ps, min 3, priority 10")
    assert len(evicted(plan)) == 3
    assert gangs_bound(let_go(engine, plan)) == {"high": 1}
    assert engine.state.gangs["ns/high"].reservations[0].total == 2


def test_a_gang_in_repair_makes_room():
    engine = full("gang high: 2x cpu=1, priority 10", "gang low: 2x cpu=1, min 0")
    engine.observe([seen_again(engine, "high-0", deleting=True)])
    leave(engine, ["high-0"])
    thief = more(engine, "gang thief: 1x cpu=1, priority 20")
    assert gangs_bound(thief) == {"thief": 1}
    confirm(engine, thief)
    again = facts("gang high: 2x cpu=1, priority 10")[3]
    engine.observe([changed(again, uid="high-new", name="high-new")])
    plan = cycle(engine, 3_000)
    assert len(evicted(plan)) == 1
    assert bound(let_go(engine, plan, 4_000)) != {}


def test_other_gangs_in_the_same_line_get_victims_of_their_own():
    engine = full("gang low: 4x cpu=1, min 0")
    plan = more(engine, *[f"gang high{i}: 1x cpu=1, priority 10" for i in range(3)])
    assert len(evicted(plan)) == 3
    assert gangs_bound(let_go(engine, plan)) == {"high0": 1, "high1": 1, "high2": 1}


def test_deleting_the_beneficiary_gives_the_room_back():
    engine = full("gang low: 4x cpu=1, min 0")
    plan = more(engine, "gang high: 1x cpu=1, priority 10")
    leave(engine, [*evicted(plan), "high-0"])
    assert cycle(engine, 3_000).decisions is not None
    assert engine.state.table.claims == 0
    assert gangs_bound(more(engine, "gang thief: 1x cpu=1", now=4_000)) == {"thief": 1}


def test_the_gate_counts_on_those_who_would_have_to_leave():
    engine = full("gang low: 4x cpu=1, min 1")
    plan = more(engine, "gang high: 2x cpu=1, priority 10, needs(cpu=2)")
    assert len(evicted(plan)) == 2
    assert gangs_bound(let_go(engine, plan)) == {"high": 2}


def test_the_gate_stays_shut_where_too_few_would_have_to_leave():
    engine = full("gang low: 1x cpu=1, min 1", "gang firm: 3x cpu=1, priority 20")
    assert evicted(more(engine, "gang high: 2x cpu=1, priority 10, needs(cpu=2)")) == []
    assert phase(engine, "high") == "Pending"


def test_who_keeps_it_away_goes_and_nobody_else():
    engine = running(
        "1 node: cpu=9",
        "gang low: 3x cpu=1, 1x foe cpu=1 #app=web, min 0",
        "gang firm: 1x cpu=1, priority 20",
        policy=PREEMPTING,
    )
    plan = more(engine, "gang high: 1x cpu=1 apart[host app=web], priority 10")
    assert evicted(plan) == ["low-foe-0"]
    assert gangs_bound(let_go(engine, plan)) == {"high": 1}


def test_who_keeps_it_away_and_may_not_go_keeps_it_away():
    engine = running("1 node: cpu=9", "gang firm: 1x cpu=1 #app=web, priority 20", policy=PREEMPTING)
    assert evicted(more(engine, "gang high: 1x cpu=1 apart[host app=web], priority 10")) == []


def test_members_that_keep_each_other_away_get_a_node_each():
    engine = running("3 nodes: cpu=2", "gang low: 6x cpu=1, min 0", policy=PREEMPTING)
    plan = more(engine, "gang high: 3x cpu=1 #app=web apart[host app=web], priority 10")
    assert len(evicted(plan)) == 3
    assert gangs_bound(let_go(engine, plan)) == {"high": 3}


def test_inside_a_gang_a_member_of_higher_priority_takes_the_place_of_a_lower_one():
    engine = full("gang job: 4x worker cpu=1, 1x master cpu=1 gated rank 5, min 1")
    engine.observe([seen_again(engine, "job-master-0", gated=False)])
    plan = cycle(engine, 2_000)
    assert len(evicted(plan)) == 1
    assert blocker(engine, "job") == "NeedsRoom"
    assert bound(let_go(engine, plan)) == nominated(plan)


def test_inside_a_gang_equals_stay_and_so_does_its_minimum():
    engine = full("gang job: 4x worker cpu=1, 1x master cpu=1 gated, min 1")
    engine.observe([seen_again(engine, "job-master-0", gated=False)])
    assert evicted(cycle(engine, 2_000)) == []
    engine = full("gang job: 4x worker cpu=1, 1x master cpu=1 gated rank 5, min 4")
    engine.observe([seen_again(engine, "job-master-0", gated=False)])
    assert evicted(cycle(engine, 2_000)) == []


def test_the_head_of_a_fifo_queue_makes_room_and_holds_up_those_behind_it():
    engine = running("2 nodes: cpu=2", "queue q: fifo", "gang low: 4x cpu=1, min 0, queue q", policy=PREEMPTING)
    plan = more(engine, "gang high: 2x cpu=1, priority 10, queue q")
    assert len(evicted(plan)) == 2
    assert evicted(more(engine, "gang next: 1x cpu=1, priority 9, queue q", now=2_500)) == []
    done = let_go(engine, plan)
    assert gangs_bound(done) == {"high": 2}


def test_equals_stay_whatever_plugins_there_are():
    engine = full("gang low: 4x cpu=1, min 0, priority 10", policy=replace(PREEMPTING, preemptable=()))
    assert evicted(more(engine, "gang high: 1x cpu=1, priority 10")) == []
