"""Do gangs that have waited long get their room, do others fill the gaps before it, and is nobody starved or killed?"""

from dataclasses import replace

import msgspec
import pytest

from flowbatch.engine.decisions import Evict
from flowbatch.engine.events import GangGone, NodeGone
from flowbatch.model.ids import GangId
from flowbatch.policy.presets import BACKFILL, DEFAULT, PREEMPTING
from flowbatch.policy.sla import WaitingTime
from tests.textcluster import (
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    evicted,
    facts,
    finish,
    gang,
    gangs_bound,
    node,
    pod,
    seen_again,
    shape,
    why,
)

AFTER = WaitingTime(10_000)
POLICY = replace(BACKFILL, permits=(AFTER,), reserving=(AFTER,))
NOW = 100_000


def running(engine, plan, now=NOW):
    """Everything that was bound runs since `now`."""
    engine.observe(
        [seen_again(engine, name, node=where, phase="Running", started=now) for name, where in bound(plan).items()]
    )


def engine_of(*lines, policy=POLICY):
    """An engine in which what the first lines ask for runs, and the time is NOW."""
    engine = engine_with(*lines, policy=policy)
    running(engine, cycle(engine, NOW))
    return engine


def window_of(engine, name):
    return engine.state.windows.by_gang.get(GangId(f"ns/{name}"))


def held_nodes(engine, name):
    return sorted(engine.state.node_at[row].name for row in window_of(engine, name).rows.tolist())


def test_a_gang_is_promised_the_first_window_in_which_it_fits_once_it_has_waited_long_enough():
    engine = engine_of(
        "3 nodes: cpu=2", "gang a: 1x cpu=2, runs 60", "gang b: 1x cpu=2, runs 30", "gang c: 1x cpu=2, runs 90"
    )
    engine.observe(gang("big", "2x cpu=2", NOW))
    plan = cycle(engine, NOW)
    assert window_of(engine, "big") is None
    assert plan.wake_at == NOW + 10_000
    plan = cycle(engine, NOW + 10_000)
    window = window_of(engine, "big")
    assert window.until == NOW + 60_000
    assert held_nodes(engine, "big") == ["n1", "n2"]
    assert plan.wake_at == NOW + 60_000
    assert "It has 2 nodes reserved from 1970-01-01T00:02:40Z on: n1, n2." in why(engine, "big")


def test_small_gangs_fill_the_gap_only_if_they_say_that_they_end_before_the_window():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2, runs 60")
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    assert window_of(engine, "big").until == NOW + 60_000
    engine.observe(
        [
            *gang("long", "1x cpu=1, runs 61", NOW),
            *gang("short", "1x cpu=1, runs 60", NOW),
            *gang("silent", "1x cpu=1", NOW),
        ]
    )
    assert gangs_bound(cycle(engine, NOW)) == {"short": 1}
    assert "1 node(s) are reserved from 1970-01-01T00:02:40Z on for gang ns/big" in why(engine, "long")
    assert blocker(engine, "silent") == "NeedsCapacity"


def test_the_deadline_of_pods_is_as_good_as_an_estimate():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2, runs 60")
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    events = gang("s", "1x cpu=1", NOW)
    engine.observe([events[0], pod("s-0", shape("cpu=1"), "s", task="task", deadline_ms=30_000)])
    assert gangs_bound(cycle(engine, NOW)) == {"s": 1}


def test_other_nodes_are_free_to_all():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2, runs 60", "node small: cpu=1")
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    engine.observe(gang("silent", "2x cpu=1, min 1", NOW))
    assert bound(cycle(engine, NOW)) == {"silent-0": "small"}


def test_room_on_reserved_nodes_beyond_what_is_needed_is_free_to_all():
    engine = engine_of("2 nodes: cpu=4", "gang a: 1x cpu=4, runs 60")
    engine.observe(gang("big", "2x cpu=3", NOW - 20_000))
    cycle(engine, NOW)
    engine.observe(gang("silent", "4x cpu=1, min 1", NOW))
    assert len(bound(cycle(engine, NOW))) == 1


def test_the_gang_starts_as_soon_as_it_can_even_before_its_window():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2, runs 60")
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    finish(engine, ["a-0"])
    assert gangs_bound(cycle(engine, NOW + 5_000)) == {"big": 2}
    assert not engine.state.windows


def stream(policy, length=40):
    """At which step a big gang starts among an endless stream of small ones, three of which end at every step."""
    engine = engine_with("4 nodes: cpu=4", *[f"gang s{i}: 1x cpu=1" for i in range(16)], policy=policy)
    plan = cycle(engine, NOW)
    confirm(engine, plan)
    engine.observe(gang("big", "4x cpu=4, min 4", NOW))
    live, number = [f"s{i}-0" for i in range(16)], 16
    for step in range(1, length):
        now = NOW + 1_000 * step
        finish(engine, live[:3])
        engine.observe([GangGone(GangId(f"ns/{name[:-2]}")) for name in live[:3]])
        live = live[3:]
        for _ in range(4):
            engine.observe(gang(f"s{number}", "1x cpu=1, priority 5", now))
            number += 1
        plan = cycle(engine, now)
        if "big" in gangs_bound(plan):
            return step
        confirm(engine, plan)
        live += [name for name in bound(plan) if name not in live]
    return None


def test_a_big_gang_in_an_endless_stream_of_small_ones_starts_after_those_that_stood_on_its_nodes():
    """The bound: it waits its ten seconds, then for at most the 16 pods that are on its nodes, three of them a step."""
    assert stream(DEFAULT) is None
    started = stream(POLICY)
    assert started is not None
    assert started <= 10 + -(-16 // 3) + 1


def test_without_any_estimate_freed_room_is_gathered_on_the_nodes_least_in_use():
    engine = engine_of(
        "node full: cpu=4 zone:a", "node half: cpu=4 zone:b", "gang a: 3x cpu=1 @zone:a", "gang b: 1x cpu=1 @zone:b"
    )
    engine.observe(gang("big", "1x cpu=4", NOW - 20_000))
    cycle(engine, NOW)
    assert window_of(engine, "big").until is None
    assert "It has 1 nodes reserved as they become free: half." in why(engine, "big")
    engine.observe(gang("silent", "3x cpu=1, min 1, runs 1", NOW))
    assert bound(cycle(engine, NOW)) == {"silent-0": "full"}
    finish(engine, ["b-0"])
    assert gangs_bound(cycle(engine, NOW)) == {"big": 1}


def test_wrong_estimates_kill_nobody_and_after_the_window_nobody_else_is_let_in():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2, runs 60")
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    late = NOW + 61_000
    plan = cycle(engine, late)
    assert plan.decisions == () or all(type(each).__name__ != "Evict" for each in plan.decisions)
    assert window_of(engine, "big").closed
    engine.observe(gang("short", "1x cpu=1, runs 1", late))
    assert gangs_bound(cycle(engine, late)) == {}
    finish(engine, ["a-0"])
    assert gangs_bound(cycle(engine, late + 1)) == {"big": 2}


def test_only_when_asked_are_those_evicted_who_outstay_their_estimate_in_somebodys_window():
    policy = replace(POLICY, evict_overdue=True)
    engine = engine_of("3 nodes: cpu=2", "gang a: 1x cpu=2, runs 60", "gang else: 1x cpu=2, runs 1", policy=policy)
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    held = held_nodes(engine, "big")
    plan = cycle(engine, window_of(engine, "big").until)
    gone = [each.name for each in plan.decisions if isinstance(each, Evict)]
    assert gone == [name for name in ("a-0", "else-0") if engine.state.tasks[name].node.name in held]
    assert gone
    finish(engine, gone, "Failed")
    assert gangs_bound(cycle(engine, NOW + 61_000)) == {"big": 2}


def test_a_reserved_node_that_goes_is_replaced():
    engine = engine_of("3 nodes: cpu=2", "gang a: 3x cpu=2, runs 60")
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    before = held_nodes(engine, "big")
    engine.observe([NodeGone(before[0])])
    cycle(engine, NOW + 1)
    assert before[0] not in held_nodes(engine, "big")
    engine.observe([node("fresh", "cpu=8")])
    assert gangs_bound(cycle(engine, NOW + 2)) == {"big": 2}


def test_a_gang_that_gives_up_gives_its_room_back_at_once():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2, runs 60")
    engine.observe([*gang("big", "2x cpu=2", NOW - 20_000), *gang("silent", "2x cpu=1", NOW)])
    assert gangs_bound(cycle(engine, NOW)) == {}
    engine.observe([GangGone(GangId("ns/big"))])
    assert gangs_bound(cycle(engine, NOW)) == {"silent": 2}
    assert not engine.state.windows


def test_only_one_of_a_queue_is_promised_a_window_at_a_time_and_others_of_other_queues_too():
    policy = replace(POLICY, limits=(), shares=None)
    engine = engine_of("4 nodes: cpu=2", "queue q: weight=1", "gang a: 4x cpu=2, runs 60", policy=policy)
    for name, queue in (("one", "default"), ("two", "default"), ("other", "q")):
        engine.observe(gang(name, f"2x cpu=2, queue {queue}", NOW - 20_000))
    cycle(engine, NOW)
    assert sorted(engine.state.windows.by_gang) == ["ns/one", "ns/other"]
    assert not set(held_nodes(engine, "one")) & set(held_nodes(engine, "other"))


def test_a_gang_that_can_never_fit_is_promised_nothing():
    engine = engine_of("2 nodes: cpu=2")
    engine.observe(gang("huge", "3x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    assert not engine.state.windows


def test_shapes_that_compete_are_given_room_together():
    engine = engine_of("2 nodes: cpu=4", "gang a: 2x cpu=4, runs 60")
    engine.observe(gang("big", "1x ps cpu=3, 5x worker cpu=1", NOW - 20_000))
    cycle(engine, NOW)
    window = window_of(engine, "big")
    assert window.needs.sum(axis=1).tolist() == [6, 8000]
    finish(engine, ["a-0", "a-1"])
    assert gangs_bound(cycle(engine, NOW + 1)) == {"big": 6}


@pytest.mark.parametrize("promise", ["runs 60", ""])
def test_two_parts_of_one_gang_never_take_more_together_than_is_spare(promise):
    engine = engine_of("node n: cpu=8", "gang a: 1x cpu=4, runs 60")
    engine.observe(gang("big", "1x cpu=6", NOW - 20_000))
    cycle(engine, NOW)
    engine.observe(gang("mixed", f"2x ps cpu=1, 2x worker cpu=1, {promise}".rstrip(", "), NOW))
    taken = gangs_bound(cycle(engine, NOW)).get("mixed", 0)
    assert taken == (4 if promise else 0)


def test_a_window_is_sought_again_only_when_it_cannot_be_kept():
    engine = engine_of("3 nodes: cpu=2", "gang a: 1x cpu=2, runs 60", "gang b: 1x cpu=1, runs 90")
    engine.observe(gang("big", "3x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    for number in range(5):
        engine.observe(gang(f"short{number}", "1x cpu=1, runs 9", NOW))
        plan = cycle(engine, NOW + number)
        assert len(bound(plan)) == 1
        running(engine, plan, NOW + number)
        cycle(engine, NOW + number)
        finish(engine, list(bound(plan)))
        cycle(engine, NOW + number)
    assert engine.counters.windows_sought == 1
    engine.observe([pod("stranger", shape("cpu=1"), node="n3", phase="Running")])
    cycle(engine, NOW + 9)
    assert engine.counters.windows_sought == 2


def test_a_gang_that_may_evict_is_not_kept_out_of_its_own_window():
    policy = replace(PREEMPTING, reserving=(AFTER,), limits=(), shares=None)
    engine = engine_of("2 nodes: cpu=2", "gang keep: 1x cpu=2, priority 9", "gang low: 2x cpu=1, min 0", policy=policy)
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    cycle(engine, NOW)
    assert window_of(engine, "big") is not None
    first = engine.state.gangs["ns/big"].fact
    engine.observe([msgspec.structs.replace(first, priority=5)])
    engine.observe([seen_again(engine, "keep-0", phase="Succeeded")])
    plan = cycle(engine, NOW + 1)
    assert evicted(plan) == ["low-0", "low-1"]
    assert not engine.state.windows
    finish(engine, evicted(plan), "Failed")
    assert gangs_bound(cycle(engine, NOW + 2)) == {"big": 2}


def test_who_has_others_evicted_takes_what_a_window_has_to_spare_and_nothing_of_what_it_needs():
    policy = replace(PREEMPTING, reserving=(AFTER,), limits=(), shares=None)
    lines = ("node a: cpu=6", "node b: cpu=6", "node c: cpu=4")
    engine = engine_of(*lines, policy=policy)
    for where, line in (("b", "long: 1x cpu=4, priority 99, runs 60"), ("c", "low: 2x cpu=2, min 0")):
        seen, *pods = gang(*line.split(": "), NOW)
        engine.observe([seen, *(msgspec.structs.replace(each, node=where, phase="Running") for each in pods)])
    engine.observe(gang("wide", "2x cpu=4, priority 50, preempts no", NOW - 20_000))
    cycle(engine, NOW)
    assert held_nodes(engine, "wide") == ["a", "b"]
    engine.observe(gang("push", "3x cpu=2, priority 60", NOW))
    plan = cycle(engine, NOW + 1)
    assert len(evicted(plan)) == 1, "two of them have their places beside the window"
    finish(engine, evicted(plan), "Failed")
    assert gangs_bound(cycle(engine, NOW + 2)) == {"push": 3}
    assert held_nodes(engine, "wide") == ["a", "b"]


RACKS = (
    "4 nodes: cpu=2",
    "hypernode r1: tier 1, n1 n2",
    "hypernode r2: tier 1, n3 n4",
    "hypernode s: tier 2, hypernodes r1 r2",
)


def ending(*ends, policy=POLICY, lines=RACKS):
    """On each node a pod that takes all of it and ends after so many seconds; None for a free node."""
    engine = engine_with(*lines, policy=policy)
    for number, end in enumerate(ends, 1):
        if end is not None:
            seen, *pods = gang(f"old{number}", f"1x cpu=2, runs {end}", 1)
            engine.observe([seen])
            engine.observe([msgspec.structs.replace(each, node=f"n{number}", phase="Running") for each in pods])
            engine.observe([seen_again(engine, f"old{number}-0", started=NOW)])
    cycle(engine, NOW)
    return engine


def waits(engine, text, name="big"):
    """It has waited for long; its window now."""
    engine.observe(gang(name, text, NOW - 20_000))
    cycle(engine, NOW)
    return window_of(engine, name)


@pytest.mark.parametrize(
    ("text", "until", "nodes"),
    [
        ("2x cpu=2", 30, ["n1", "n3"]),
        ("2x cpu=2, soft", 30, ["n1", "n3"]),
        ("2x cpu=2, hard 1", 60, ["n3", "n4"]),
        ("2x cpu=2, hard 2", 30, ["n1", "n3"]),
        ("4x cpu=2, hard 2", 90, ["n1", "n2", "n3", "n4"]),
        ("2x worker cpu=2, split worker 2 min 1 hard 1", 60, ["n3", "n4"]),
        ("4x worker cpu=2, split worker 2 min 1 hard 1, min 2", 60, ["n3", "n4"]),
        ("4x worker cpu=1, split worker 2 min 2 hard 1", 30, ["n1", "n3"]),
        ("2x worker cpu=2, split worker 2 min 1", 30, ["n1", "n3"]),
        ("2x cpu=1 apart[host app=x] #app=x", 30, ["n1", "n3"]),
        ("2x cpu=2 likes[50 host app=y]", 30, ["n1", "n3"]),
    ],
)
def test_a_window_is_where_the_gang_may_be(text, until, nodes):
    engine = ending(30, 90, None, 60)
    window = waits(engine, text)
    assert (window.until, held_nodes(engine, "big")) == (NOW + until * 1_000, nodes)


@pytest.mark.parametrize(
    "text",
    ["2x cpu=2 near[zone app=y]", "2x cpu=2 #app=x apart[zone app=x]", "2x cpu=2 #app=x spread[zone app=x skew=1]"],
)
def test_no_window_is_promised_where_only_others_decide(text):
    engine = ending(30, 90, None, 60, lines=("4 nodes: cpu=2 zone:a",))
    assert waits(engine, text) is None


def test_a_gang_that_must_be_close_together_starts_in_its_window_whoever_comes():
    engine = ending(30, 90, None, 60)
    waits(engine, "2x cpu=2, hard 1")
    assert "It has 2 nodes reserved" in why(engine, "big")
    engine.observe([*gang("silent", "1x cpu=1", NOW), *gang("short", "1x cpu=2, runs 60", NOW)])
    assert gangs_bound(cycle(engine, NOW)) == {"short": 1}
    finish(engine, ["old1-0"])
    assert gangs_bound(cycle(engine, NOW + 30_000)) == {"silent": 1}
    finish(engine, ["old4-0", "short-0"])
    assert bound(cycle(engine, NOW + 60_000)) == {"big-0": "n3", "big-1": "n4"}


def test_a_window_for_devices_is_where_nobody_has_one_any_more_and_nobody_else_gets_one_there():
    engine = engine_with("node a: cpu=8 [2 gpu]", "node b: cpu=8 [1 gpu]", policy=POLICY)
    for name, where, held, ends in (("x", "a", "0:500", 60), ("y", "a", "1:500", 30), ("z", "b", "0:500", 90)):
        fact = facts(f"pod {name}: cpu=1 [0.5 gpu] on {where} has {held}")[-1]
        seen = gang(name, f"1x cpu=1 [0.5 gpu], runs {ends}", 1)[0]
        engine.observe([seen, msgspec.structs.replace(fact, gang=GangId(f"ns/{name}"), task="task", started=NOW)])
    cycle(engine, NOW)
    window = waits(engine, "2x cpu=1 [1 gpu]")
    assert (window.until, held_nodes(engine, "big")) == (NOW + 60_000, ["a"])
    engine.observe([*gang("silent", "1x cpu=1 [0.5 gpu]", NOW), *gang("plain", "1x cpu=4", NOW)])
    assert bound(cycle(engine, NOW)) == {"silent-0": "b", "plain-0": "a"}
    finish(engine, ["x", "y"])
    assert bound(cycle(engine, NOW + 60_000)) == {"big-0": "a", "big-1": "a"}


def test_a_window_from_which_others_keep_its_pods_is_made_anew():
    engine = ending(30, 90, None, 60)
    waits(engine, "2x cpu=2 #app=x")
    assert held_nodes(engine, "big") == ["n1", "n3"]
    engine.observe([pod("no", shape("cpu=0.1 apart[host app=x]"), node="n3", phase="Running")])
    cycle(engine, NOW + 1)
    assert held_nodes(engine, "big") == ["n1", "n4"]


def test_a_window_is_kept_where_a_node_is_for_one_of_two_tasks_only():
    engine = ending(30, 90, lines=("node n1: cpu=2 zone:a", "node n2: cpu=2 zone:b", "node n3: cpu=2"))
    engine.observe([pod("far", shape("cpu=1 apart[host app=x]"), node="n3", phase="Running")])
    waits(engine, "1x one cpu=2 #app=x @zone:a, 1x two cpu=2 @zone:b")
    assert held_nodes(engine, "big") == ["n1", "n2"]
    for later in range(5):
        cycle(engine, NOW + later)
    assert engine.counters.windows_sought == 1


def test_nothing_of_it_costs_anything_where_no_policy_asks_for_it():
    engine = engine_of("2 nodes: cpu=2", "gang a: 1x cpu=2", policy=DEFAULT)
    engine.observe(gang("big", "2x cpu=2", NOW - 20_000))
    plan = cycle(engine, NOW)
    assert plan.wake_at is None
    assert not engine.state.windows
