"""Volcano's usage plugin: do nodes that are measured to be busy get nothing, and idle ones the most?"""

import msgspec

from flowbatch.engine.events import NodeGone, UsageSeen
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import bound, confirm, cycle, engine_with, node, nodes_used, why

NOW = 1_000_000


def policy(**arguments):
    plugins = [{"name": "usage", "arguments": arguments}, {"name": "predicates"}]
    return read_volcano({"tiers": [{"plugins": plugins}], "metrics": {"type": "local"}})


def used(name, cpu, memory=0, at=NOW):
    return UsageSeen(name, (("cpu", cpu * 10), ("memory", memory * 10)), at)


def test_a_node_over_a_threshold_takes_nothing_until_it_is_measured_below():
    engine = engine_with("node a: cpu=4", "gang g: 1x cpu=1", policy=policy(thresholds={"cpu": 70, "mem": 80}))
    engine.observe([used("a", 71)])
    assert bound(cycle(engine, NOW)) == {}
    assert "1 the CPU load of the node exceeds the upper limit." in why(engine, "g")
    engine.observe([used("a", 10, 81)])
    cycle(engine, NOW + 1)
    assert "1 the memory load of the node exceeds the upper limit." in why(engine, "g")
    engine.observe([used("a", 70, 80)])
    assert bound(cycle(engine, NOW + 2)) == {"g-0": "a"}


def test_a_measurement_of_more_than_five_minutes_ago_says_nothing_and_that_moment_wakes():
    engine = engine_with("node a: cpu=4", "gang g: 1x cpu=1", policy=policy())
    engine.observe([used("a", 99)])
    plan = cycle(engine, NOW)
    assert bound(plan) == {}
    assert plan.wake_at == NOW + 300_001
    assert bound(cycle(engine, NOW + 300_000)) == {}
    assert bound(cycle(engine, NOW + 300_001)) == {"g-0": "a"}


def test_the_idler_node_comes_first():
    engine = engine_with("3 nodes: cpu=4", "gang g: 1x cpu=1", policy=policy())
    engine.observe([used("n1", 50, 50), used("n2", 10, 20), used("n3", 30, 10)])
    assert nodes_used(cycle(engine, NOW)) == ["n2"]


def test_weights_say_which_resource_counts():
    engine = engine_with("2 nodes: cpu=4", "gang g: 1x cpu=1", policy=policy(**{"cpu.weight": 0, "memory.weight": 1}))
    engine.observe([used("n1", 1, 60), used("n2", 70, 10)])
    assert nodes_used(cycle(engine, NOW)) == ["n2"]


def test_a_node_known_only_by_its_measurement_is_judged_once_it_is_shown():
    engine = engine_with("gang g: 1x cpu=1", policy=policy())
    engine.observe([used("late", 95)])
    cycle(engine, NOW)
    engine.observe([node("late", "cpu=4")])
    assert bound(cycle(engine, NOW)) == {}
    engine.observe([NodeGone("late"), node("other", "cpu=4")])
    assert bound(cycle(engine, NOW)) == {"g-0": "other"}


def test_measurements_cost_nothing_where_no_policy_looks_at_them():
    engine = engine_with("node a: cpu=1", "gang g: 1x cpu=1", "gang h: 1x cpu=1")
    confirm(engine, cycle(engine, NOW))
    before = engine.counters.attempts
    engine.observe([used("a", 99)])
    cycle(engine, NOW)
    engine.observe([used("a", 1)])
    cycle(engine, NOW)
    assert engine.counters.attempts == before


def test_a_measurement_without_a_time_is_none():
    engine = engine_with("node a: cpu=4", "gang g: 1x cpu=1", policy=policy())
    engine.observe([msgspec.structs.replace(used("a", 99), at=0)])
    assert bound(cycle(engine, NOW)) == {"g-0": "a"}
