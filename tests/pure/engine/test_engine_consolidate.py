"""Consolidation: pods that their gangs can do without move, so that a gang starts that waits for room in one piece."""

from dataclasses import replace

import msgspec
import pytest

from flowbatch.engine.decisions import Evict, Plan
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import BudgetSeen, EvictFailed, GangGone, LabelTest, PodSeen
from flowbatch.model.ids import GangId, PodUid, QueueName
from flowbatch.policy.presets import CONSOLIDATING, DEFAULT, PREEMPTING
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    evicted,
    gang,
    leave,
    more,
    node,
    running,
    seen_again,
    why,
)


def on(engine: Engine, where: dict[str, str], *lines: str, now: int = 1_500) -> Engine:
    """The pods of these gangs run where it is said, whatever a scheduler would have chosen."""
    age = len(engine.state.gangs) + 1
    found = [each for number, line in enumerate(lines) for each in gang(*line[5:].split(": ", 1), age + number)]
    engine.observe([each for each in found if not isinstance(each, PodSeen)])
    pods = [each for each in found if isinstance(each, PodSeen)]
    engine.observe([msgspec.structs.replace(pod, node=where[pod.name], phase="Running") for pod in pods])
    cycle(engine, now)
    return engine


def three(line: str = "gang spread: 3x cpu=2, min 1, phase Running", policy=CONSOLIDATING) -> Engine:
    """Each of three nodes of 4 cpu has one pod of 2 cpu: 6 cpu are free, and nowhere more than 2 together."""
    engine = running("node a: cpu=4", "node b: cpu=4", "node c: cpu=4", policy=policy)
    return on(engine, {f"spread-{i}": each for i, each in enumerate("abc")}, line)


def again(engine: Engine, name: str, now: int = 3_000) -> Plan:
    """The pod is gone and another one is made in its place; what is decided then."""
    pod = remade(engine, name)
    leave(engine, [name])
    engine.observe([pod])
    return cycle(engine, now)


def remade(engine: Engine, name: str) -> PodSeen:
    """The pod that a controller makes in place of this one."""
    fact, new = engine.state.tasks[PodUid(name)].fact, f"{name}'"
    return msgspec.structs.replace(fact, uid=PodUid(new), name=new, node=None, phase="Pending")


def orders(plan: Plan) -> list[Evict]:
    return [each for each in plan.decisions if isinstance(each, Evict)]


def test_a_pod_moves_and_the_gang_starts_where_it_was():
    engine = three()
    plan = more(engine, "gang big: 1x cpu=4")
    (order,) = orders(plan)
    assert (order.reason, order.beneficiary) == ("consolidate", "ns/big")
    assert bound(plan) == {}
    assert blocker(engine, "big") == "NeedsRoom"
    was = str(engine.state.tasks[PodUid(order.name)].node.name)
    plan = again(engine, order.name)
    assert bound(plan)["big-0"] == was
    assert bound(plan)[f"{order.name}'"] in {"a", "b", "c"} - {was}
    assert all(not gang.berths and not gang.claims for gang in engine.state.gangs.values())


def test_without_the_action_nobody_moves():
    engine = three(policy=DEFAULT)
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert blocker(engine, "big") == "NeedsCapacity"


def test_nobody_moves_where_room_is_short_however_it_is_cut():
    engine = three("gang spread: 3x cpu=3, min 1, phase Running")
    before = engine.counters.victim_searches
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert engine.counters.victim_searches == before, "one comparison of sums says so"


def test_nobody_moves_who_would_find_no_other_place():
    engine = running("node a: cpu=4", "node b: cpu=4", policy=CONSOLIDATING)
    on(engine, {"wide-0": "a", "wide-1": "b"}, "gang wide: 2x cpu=3, min 0, phase Running")
    plan = more(engine, "gang big: 1x cpu=2")
    assert evicted(plan) == []
    assert "2 that would find no other place" in why(engine, "big")


def test_a_gang_keeps_its_minimum_while_its_pods_move():
    engine = three("gang spread: 3x cpu=2, min 3, phase Running")
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert "3 needed by their gang" in why(engine, "big")


def test_of_one_gang_only_as_many_move_as_it_can_do_without():
    engine = three("gang spread: 3x cpu=2, min 2, phase Running")
    assert len(evicted(more(engine, "gang big: 1x cpu=4"))) == 1
    assert len(evicted(more(engine, "gang huge: 2x cpu=4", now=2_500))) == 0


def test_the_place_of_who_moves_is_kept_from_others():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    plan = more(engine, "gang thief: 3x cpu=1, min 1", now=2_500)
    assert len(bound(plan)) == 2, "4 cpu are free, and 2 of them are kept"
    moved = next(gang for gang in engine.state.gangs.values() if gang.berths)
    assert moved.id == "ns/spread"
    assert "1 that move have theirs kept" in why(engine, "spread")
    plan = again(engine, order.name)
    assert set(bound(plan)) == {"big-0", f"{order.name}'"}


def test_a_kept_place_ends_with_time():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    leave(engine, [order.name])
    confirm(engine, cycle(engine, 3_000))
    plan = more(engine, "gang thief: 4x cpu=1, min 1", now=4_000)
    assert len(bound(plan)) == 2
    assert plan.wake_at is not None
    late = 2_000 + CONSOLIDATING.hold_ms
    assert plan.wake_at <= late
    assert len(bound(cycle(engine, late))) == 2
    assert not engine.state.gangs[GangId("ns/spread")].berths


def test_a_kept_place_ends_with_the_gang():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    leave(engine, [order.name])
    cycle(engine, 3_000)
    assert len(bound(more(engine, "gang one: 4x cpu=1, min 1", now=4_000))) == 2
    engine.observe([GangGone(GangId("ns/spread"))])
    assert len(bound(cycle(engine, 5_000))) == 2


def test_who_comes_back_may_be_any_pod_of_the_task_and_takes_one_place():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    engine.observe([remade(engine, order.name)])
    plan = cycle(engine, 2_500)
    assert len(bound(plan)) == 1, "it is there before the other has left"
    leave(engine, [order.name])
    assert set(bound(cycle(engine, 3_000))) == {"big-0"}


def test_a_pod_of_the_task_that_goes_elsewhere_frees_the_place():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    leave(engine, [order.name])
    confirm(engine, cycle(engine, 3_000))
    spread = engine.state.gangs[GangId("ns/spread")]
    (berth,) = spread.berths
    name = engine.state.node_at[berth.row].name
    engine.observe([node(str(name), "cpu=4 cordoned")])
    cycle(engine, 3_500)
    assert not spread.berths, "a node that is closed keeps no place"


def test_who_has_moved_is_let_be_for_a_while():
    policy = replace(CONSOLIDATING, move_cooldown_ms=60_000)
    engine = running("node a: cpu=4", "node b: cpu=4", policy=policy)
    line = "gang spread: 1x one cpu=2, 1x other cpu=1 kept, min 1, phase Running"
    on(engine, {"spread-one-0": "a", "spread-other-0": "b"}, line)
    confirm(engine, again(engine, *evicted(more(engine, "gang big: 1x cpu=4"))))
    leave(engine, ["big-0"])
    on(engine, {"late-0": "a"}, "gang late: 1x cpu=2 kept, min 0, phase Running", now=5_000)
    plan = more(engine, "gang next: 1x cpu=3", now=6_000)
    assert evicted(plan) == []
    assert "1 that have just been moved" in why(engine, "next")
    assert plan.wake_at == 63_000
    assert evicted(cycle(engine, 63_000)) == ["spread-one-0'"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("kept", "not preemptable"),
        ("%80", "that could not be sure of another place"),
        ("#app=x apart[host app=x]", "that could not be sure of another place"),
    ],
)
def test_some_stay(told, reason):
    engine = three(f"gang spread: 3x cpu=2 {told}, min 1, phase Running")
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert f"3 {reason}" in why(engine, "big")


def test_gangs_that_must_be_close_together_stay():
    engine = running(*[f"node {each}: cpu=4" for each in "abc"], "hypernode rack: tier 1, a b c", policy=CONSOLIDATING)
    where = {f"spread-{i}": each for i, each in enumerate("abc")}
    on(engine, where, "gang spread: 3x cpu=2, min 1, hard 1, phase Running")
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert "3 that must be close to the rest of their gang" in why(engine, "big")


def test_the_last_of_a_gang_stays():
    engine = three("gang spread: 3x cpu=2, min 0, phase Running")
    engine.observe([seen_again(engine, f"spread-{i}", gang=GangId(f"ns/g{i}")) for i in range(3)])
    engine.observe([each for i in range(3) for each in gang(f"g{i}", "min 0, phase Running", 9)])
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert "3 needed by their gang" in why(engine, "big")


def test_room_that_others_are_still_leaving_is_no_other_place():
    engine = running("node a: cpu=4", "node b: cpu=2", policy=CONSOLIDATING)
    on(engine, {"spread-0": "a", "spread-1": "b"}, "gang spread: 2x cpu=2, min 1, phase Running")
    engine.observe([seen_again(engine, "spread-1", deleting=True)])
    on(engine, {"more-0": "a"}, "gang more: 1x cpu=1 kept, min 0, phase Running")
    assert evicted(more(engine, "gang big: 1x cpu=3")) == []


def test_gangs_that_are_not_preemptable_stay():
    engine = three("gang spread: 3x cpu=2, min 1, preemptable no, phase Running")
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []


def test_whoever_may_not_preempt_has_nobody_moved():
    engine = three()
    assert evicted(more(engine, "gang big: 1x cpu=4, preempts no")) == []
    assert evicted(more(engine, "gang meek: 1x cpu=4 meek", now=9_000)) == []


def test_a_budget_protects():
    engine = three("gang spread: 3x cpu=2 #app=x, min 1, phase Running")
    engine.observe([BudgetSeen("ns/x", "ns", (LabelTest("app", "In", ("x",)),), 0)])
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert "3 protected by budget ns/x" in why(engine, "big")


def test_priorities_and_shares_have_no_say_but_a_minimum_of_run_time_has():
    engine = three("gang spread: 3x cpu=2, min 1, priority 9, phase Running")
    assert len(evicted(more(engine, "gang big: 1x cpu=4, priority 1"))) == 1
    engine = three(policy=replace(CONSOLIDATING, preempt_min_runtime_ms=60_000))
    engine.observe([seen_again(engine, f"spread-{i}", started=1_000) for i in range(3)])
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert "3 that have just started" in why(engine, "big")
    assert len(evicted(cycle(engine, 61_000))) == 1, "and is tried again when it is over"


def test_pods_of_other_queues_move_too():
    engine = running("queue ads: weight=1", *[f"node {each}: cpu=4" for each in "abc"], policy=CONSOLIDATING)
    where = {f"spread-{i}": each for i, each in enumerate("abc")}
    on(engine, where, "gang spread: 3x cpu=2, min 1, queue ads, phase Running")
    assert len(evicted(more(engine, "gang big: 1x cpu=4"))) == 1


def test_a_queue_at_its_limit_loses_nothing_by_a_move():
    lines = ["queue ads: capability(cpu=6)", *[f"node {each}: cpu=4" for each in "abc"]]
    engine = running(*lines, policy=CONSOLIDATING)
    where = {f"spread-{i}": each for i, each in enumerate("abc")}
    on(engine, where, "gang spread: 3x cpu=2, min 1, queue ads, phase Running")
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    assert f"{order.name}'" in bound(again(engine, order.name))


def test_a_limit_of_its_queue_is_no_reason_to_move_anybody():
    for policy in (CONSOLIDATING, replace(CONSOLIDATING, actions=(*CONSOLIDATING.actions, "preempt"))):
        engine = running("queue ads: capability(cpu=8)", *[f"node {each}: cpu=4" for each in "abc"], policy=policy)
        where = {f"spread-{i}": each for i, each in enumerate("abc")}
        on(engine, where, "gang spread: 3x cpu=2, min 1, queue ads, phase Running")
        assert evicted(more(engine, "gang big: 1x cpu=4, queue ads, phase Inqueue")) == []
        assert blocker(engine, "big") == "NeedsQuota"
        assert engine.counters.victim_searches == 2 * ("preempt" in policy.actions)


def test_who_comes_back_is_not_measured_by_the_share_of_his_queue():
    engine = running("queue ads: weight=1", *[f"node {each}: cpu=4" for each in "abc"], policy=CONSOLIDATING)
    where = {f"spread-{i}": each for i, each in enumerate("abc")}
    on(engine, where, "gang spread: 3x cpu=2, min 1, queue ads, phase Running")
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    more(engine, "queue lab: weight=9", "gang many: 9x cpu=4, queue lab", now=2_500)
    spread = engine.state.queues.by_name[QueueName("ads")]
    assert spread.share[1] < 6_000, "it is above its share by now"
    assert f"{order.name}'" in bound(again(engine, order.name))


def test_a_gang_that_is_held_up_by_one_like_it_takes_its_kept_place():
    engine = running("node a: cpu=4", "node b: cpu=4", policy=replace(CONSOLIDATING, limits=(), shares=None))
    on(engine, {"spread-0": "a", "spread-1": "b"}, "gang spread: 2x cpu=2, min 1, phase Running")
    engine.observe([seen_again(engine, "spread-1", preemptable=False)])
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    leave(engine, [order.name])
    confirm(engine, cycle(engine, 2_500))
    more(engine, "gang twin: 1x cpu=2, min 0, phase Running", now=2_600)
    assert blocker(engine, "twin") == "NeedsCapacity"
    back = msgspec.structs.replace(gang("spread", "1x cpu=2")[1], uid=PodUid("back"), name="back")
    engine.observe([back])
    assert bound(cycle(engine, 3_000)) == {"back": "b"}


def test_no_more_move_than_may():
    lines = [f"node {each}: cpu=4" for each in "abcde"]
    where = {f"spread-{i}": "aabbccddee"[i] for i in range(10)}
    line = "gang spread: 10x cpu=1, min 1, phase Running"
    engine = on(running(*lines, policy=replace(CONSOLIDATING, moved_most=1)), where, line)
    assert evicted(more(engine, "gang big: 1x cpu=4")) == []
    assert "beyond the 1 that may move" in why(engine, "big")
    engine = on(running(*lines, policy=replace(CONSOLIDATING, moved_most=2)), where, line)
    assert len(evicted(more(engine, "gang big: 1x cpu=4"))) == 2


def test_large_pods_stay_where_small_ones_can_move():
    engine = running("node a: cpu=4", "node b: cpu=4", "node c: cpu=4", policy=CONSOLIDATING)
    where = {"any-large-0": "a", "any-small-0": "b", "any-small-1": "b", "keep-0": "c"}
    lines = ("gang any: 1x large cpu=2, 2x small cpu=1, min 0", "gang keep: 1x cpu=3 kept, min 0")
    on(engine, where, *[f"{line}, phase Running" for line in lines])
    assert evicted(more(engine, "gang big: 1x cpu=4")) == ["any-large-0"], "one is fewer than two"
    engine = running("node a: cpu=4", "node b: cpu=4", "node c: cpu=4", policy=CONSOLIDATING)
    where = {"any-large-0": "a", "any-small-0": "b", "any-small-1": "b", "keep-0": "c", "keep-1": "a"}
    lines = ("gang any: 1x large cpu=2, 2x small cpu=1, min 0", "gang keep: 2x cpu=1 kept, min 0")
    on(engine, where, *[f"{line}, phase Running" for line in lines])
    assert evicted(more(engine, "gang big: 1x cpu=4")) == ["any-small-0", "any-small-1"], (
        "the node of the other is not empty"
    )


def test_an_eviction_that_is_refused_gives_the_place_back():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    engine.observe([EvictFailed(order.uid, "budget")])
    plan = cycle(engine, 2_500)
    assert all(not gang.berths for gang in engine.state.gangs.values()) or evicted(plan)
    spread = engine.state.gangs[GangId("ns/spread")]
    assert order.uid not in {berth.uid for berth in spread.berths}


def test_moving_comes_before_taking_where_the_actions_say_so():
    policy = replace(PREEMPTING, actions=(*DEFAULT.actions, "consolidate", "preempt"))
    engine = three(policy=policy)
    (order,) = orders(more(engine, "gang big: 1x cpu=4, priority 5"))
    assert order.reason == "consolidate"
    engine = three("gang spread: 3x cpu=3, min 0, phase Running", policy=policy)
    assert {each.reason for each in orders(more(engine, "gang big: 1x cpu=4, priority 5"))} == {"preempt"}


def test_a_gang_that_has_to_begin_anew_keeps_no_place():
    engine = three()
    (order,) = orders(more(engine, "gang big: 1x cpu=4"))
    uids = [task.uid for task in engine.state.gangs[GangId("ns/spread")].tasks.values()]
    fresh = [remade(engine, uid) for uid in uids]
    leave(engine, uids)
    engine.observe(fresh)
    plan = cycle(engine, 3_000)
    assert order.name in uids
    assert not engine.state.gangs[GangId("ns/spread")].berths
    assert len(bound(plan)) == 4
