"""Volcano's rescheduling plugin: do pods move from measured-busy nodes to idle ones, and only as far as that helps?"""

import msgspec
import pytest

from flowbatch.engine.decisions import Evict
from flowbatch.engine.events import UsageSeen
from flowbatch.errors import SpecErrors
from flowbatch.policy.rescheduling import LowNodeUtilization
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import confirm, cycle, engine_with, node, seen_again

NOW = 1_000_000
DEFAULTS = {"thresholds": {"cpu": 20, "memory": 20}, "targetThresholds": {"cpu": 60, "memory": 60}}


def policy(arguments=None, actions="enqueue, allocate, shuffle", **params):
    if arguments is None:
        strategy = {"name": "lowNodeUtilization", "params": {**DEFAULTS, **params}}
        arguments = {"interval": "1m", "strategies": [strategy]}
    plugins = [{"name": "rescheduling", "arguments": arguments}, {"name": "predicates"}, {"name": "binpack"}]
    return read_volcano({"actions": actions, "tiers": [{"plugins": plugins}], "metrics": {"type": "local"}})


def used(name, cpu, memory=0, at=NOW):
    return UsageSeen(name, (("cpu", cpu * 10), ("memory", memory * 10)), at)


def engine_of(usage, policy=None, lines=()):
    """Six pods of one cpu run on `busy`; `idle` is empty; `usage` is what is measured."""
    engine = engine_with(
        "node busy: cpu=10 memory=10 zone:a",
        "gang g: 6x cpu=1 memory=1 @zone:a, min 1",
        *lines,
        policy=policy or globals()["policy"](),
    )
    confirm(engine, cycle(engine, NOW - 300_000))
    for name in usage:
        if name != "busy":
            engine.observe([node(name, "cpu=10 memory=10 zone:a")])
    engine.observe([used(name, *numbers) for name, numbers in usage.items()])
    return engine


def evicted(plan):
    return [each.name for each in plan.decisions if isinstance(each, Evict)]


def test_pods_go_until_their_node_is_no_longer_over_its_target():
    engine = engine_of({"busy": (85, 10), "idle": (5, 5)})
    plan = cycle(engine, NOW)
    assert evicted(plan) == ["g-0", "g-1", "g-2"]
    assert {each.reason for each in plan.decisions if isinstance(each, Evict)} == {"shuffle"}


def test_the_low_nodes_take_no_more_than_up_to_their_targets():
    engine = engine_of({"busy": (99, 10), "idle": (15, 59)}, policy(thresholds={"cpu": 20, "memory": 60}))
    assert evicted(cycle(engine, NOW)) == ["g-0"]


@pytest.mark.parametrize(
    "usage",
    [
        {"busy": (50, 50), "idle": (5, 5)},
        {"busy": (90, 5), "other": (30, 5)},
        {"busy": (15, 5), "idle": (5, 5)},
        {"busy": (90, 5, NOW - 300_001), "idle": (5, 5)},
    ],
)
def test_nobody_goes_where_that_would_not_help(usage):
    assert evicted(cycle(engine_of(usage), NOW)) == []


def test_low_priority_goes_first_and_what_must_stay_stays():
    engine = engine_of({"busy": (75, 10), "idle": (5, 5)})
    engine.observe([seen_again(engine, f"g-{i}", priority=10 - i) for i in range(6)])
    engine.observe([seen_again(engine, "g-5", preemptable=False)])
    assert evicted(cycle(engine, NOW)) == ["g-4", "g-3"]


def test_a_pod_that_no_low_node_has_room_for_stays():
    engine = engine_of({"busy": (75, 10), "idle": (5, 5)})
    fact = engine.state.nodes["idle"].fact
    engine.observe([msgspec.structs.replace(fact, allocatable=(("memory", 10), ("pods", 9)))])
    assert evicted(cycle(engine, NOW)) == []


def test_the_strategy_rests_for_its_interval_and_works_only_with_the_shuffle_action():
    engine = engine_of({"busy": (75, 10), "idle": (5, 5)})
    first = evicted(cycle(engine, NOW))
    assert first
    engine.observe([used("busy", 95, 10), used("idle", 5, 5)])
    assert evicted(cycle(engine, NOW + 59_000)) == []
    assert evicted(cycle(engine, NOW + 60_000))
    engine = engine_of({"busy": (75, 10), "idle": (5, 5)}, policy(actions="enqueue, allocate"))
    assert evicted(cycle(engine, NOW)) == []


def test_without_strategies_it_is_the_default_one_which_asks_for_a_hundred_percent():
    (source,) = policy({}).shufflers
    assert source == LowNodeUtilization()
    assert source.every_ms == 300_000


@pytest.mark.parametrize(
    "arguments",
    [
        {"interval": "soon"},
        {"strategies": "all"},
        {"strategies": [{"name": "highNodeUtilization"}]},
        {"strategies": [{"name": "lowNodeUtilization", "params": {"thresholds": {"cpu": 120}}}]},
        {"strategies": [{"name": "lowNodeUtilization", "params": {"thresholds": {"gpu": 20}}}]},
        {"strategies": [{"name": "lowNodeUtilization", "parameters": {}}]},
    ],
)
def test_what_makes_no_sense_is_a_problem(arguments):
    with pytest.raises(SpecErrors):
        policy(arguments)
