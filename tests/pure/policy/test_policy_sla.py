"""Volcano's sla plugin (volcano.md 14.4): whose waiting time ends first comes first, and is let in once it ended."""

import yaml

from flowbatch.policy.volcano import read_volcano
from tests.textcluster import binds, blocker, bound, confirm, cycle, engine_with, finish, gangs_bound, phase, why

SLA = """
actions: "enqueue, allocate, backfill"
tiers:
- plugins: [{name: sla ARGUMENTS}, {name: gang}]
- plugins: [{name: overcommit}, {name: proportion}, {name: predicates}, {name: binpack}]
"""


def policy(arguments="", text=SLA):
    return read_volcano(yaml.safe_load(text.replace("ARGUMENTS", arguments)))


def test_a_gang_is_let_in_when_its_waiting_time_is_over_and_the_clock_alone_wakes_it():
    engine = engine_with(
        "node n1: cpu=2",
        "pod other: cpu=2 on n1",
        "gang late: 2x cpu=1, needs(cpu=2), waits 10",
        policy=policy(),
    )
    plan = cycle(engine)
    assert blocker(engine, "late") == "NeedsHeadroom"
    assert plan.wake_at == 10_001
    assert not binds(cycle(engine, 10_000))
    assert phase(engine, "late") == "Pending"
    cycle(engine, 10_001)
    assert phase(engine, "late") == "Inqueue"
    assert blocker(engine, "late") == "NeedsCapacity"
    finish(engine, ["other"])
    assert gangs_bound(cycle(engine, 10_002)) == {"late": 2}


def test_the_argument_is_for_gangs_without_a_time_of_their_own():
    engine = engine_with(
        "node n1: cpu=1",
        "pod other: cpu=1 on n1",
        "gang slow: 1x cpu=1, needs(cpu=1), waits 60",
        "gang plain: 1x cpu=1, needs(cpu=1)",
        policy=policy(", arguments: {sla-waiting-time: 20s}"),
    )
    cycle(engine)
    cycle(engine, 20_002)
    assert (phase(engine, "plain"), phase(engine, "slow")) == ("Inqueue", "Pending")
    cycle(engine, 60_001)
    assert phase(engine, "slow") == "Inqueue"


def test_whose_time_ends_first_comes_first_and_gangs_without_one_last():
    engine = engine_with(
        "node n1: cpu=1",
        "gang none: 1x cpu=1",
        "gang hour: 1x cpu=1, waits 3600",
        "gang half: 1x cpu=1, waits 1800",
        policy=policy(),
    )
    order = []
    for now in (1_000, 2_000, 3_000):
        plan = cycle(engine, now)
        confirm(engine, plan)
        order += list(gangs_bound(plan))
        finish(engine, list(bound(plan)))
    assert order == ["half", "hour", "none"]


def test_a_gate_of_the_same_tier_is_not_overruled_as_in_volcano():
    text = SLA.replace("{name: gang}", "{name: overcommit}").replace("{name: overcommit}, {name: prop", "{name: prop")
    engine = engine_with(
        "node n1: cpu=1",
        "pod other: cpu=1 on n1",
        "gang late: 1x cpu=1, needs(cpu=1), waits 1",
        policy=policy(text=text),
    )
    cycle(engine)
    cycle(engine, 9_000)
    assert phase(engine, "late") == "Pending"
    assert "short 1 cpu" in why(engine, "late")


def test_a_closed_queue_stays_closed_whatever_the_time():
    engine = engine_with("node n1: cpu=1", "queue q: closed", "gang g: 1x cpu=1, queue q, waits 1", policy=policy())
    cycle(engine, 5_000)
    assert blocker(engine, "g") == "QueueClosed"


def test_equal_gangs_whose_times_differ_do_not_wake_each_other():
    engine = engine_with(
        "node n1: cpu=1",
        "pod other: cpu=1 on n1",
        *[f"gang g{i}: 1x cpu=1, needs(cpu=1), waits {10 * i}" for i in (1, 2, 3)],
        policy=policy(),
    )
    cycle(engine)
    before = engine.counters.attempts
    plan = cycle(engine, 10_001)
    assert [phase(engine, f"g{i}") for i in (1, 2, 3)] == ["Inqueue", "Pending", "Pending"]
    assert engine.counters.attempts - before <= 3
    assert plan.wake_at == 20_002
