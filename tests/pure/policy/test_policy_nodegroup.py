"""Volcano's nodegroup plugin: do queues use the node groups they may, like, and only so much of them?"""

from dataclasses import replace

import msgspec
import pytest

from flowbatch.engine.events import NodeGroups, PodGone
from flowbatch.model.ids import QueueName
from flowbatch.policy.nodegroup import may_use
from flowbatch.policy.presets import PREEMPTING
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import (
    amounts,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    evicted,
    facts,
    finish,
    gang,
    node,
    nodes_used,
    queue,
    why,
)

GROUP = "volcano.sh/nodegroup-name"
NODES = (*(f"node {name}: cpu=4 {GROUP}:{name}" for name in ("a", "b", "c")), "node plain: cpu=4")


def policy(*, hierarchy=False, **arguments):
    plugin = {"name": "nodegroup", "arguments": arguments, "enableHierarchy": hierarchy}
    return read_volcano({"tiers": [{"plugins": [plugin, {"name": "predicates"}]}]})


def engine_of(*lines, hierarchy=False, queues=(), **arguments):
    engine = engine_with(policy=policy(hierarchy=hierarchy, **arguments))
    engine.observe(list(queues))
    known = {each.name for each in queues}
    engine.observe([each for each in facts(*NODES, *lines) if getattr(each, "name", None) not in known])
    return engine


def wants(name="default", limits=(), parent="", **groups):
    fact = queue(name, f"parent={parent}" if parent else "")
    named = {key: tuple(value.split()) for key, value in groups.items()}
    return msgspec.structs.replace(fact, affinity=NodeGroups(**named), group_limits=tuple(limits))


def test_a_queue_uses_the_groups_it_requires_or_prefers_and_prefers_the_latter():
    engine = engine_of("gang g: 8x cpu=1", queues=[wants(required="a b", preferred="b")])
    assert sorted(set(nodes_used(cycle(engine)))) == ["a", "b"]
    engine = engine_of("gang g: 1x cpu=1", queues=[wants(required="a b", preferred="b")])
    assert nodes_used(cycle(engine)) == ["b"]


def test_nodes_of_other_groups_and_of_none_are_refused_in_words():
    engine = engine_of("gang g: 5x cpu=1", queues=[wants(required="a")])
    assert bound(cycle(engine)) == {}
    text = why(engine, "g")
    assert "2 node(s) didn't belong to a node group of the queue" in text
    assert "1 node(s) didn't belong to a node group" in text


@pytest.mark.parametrize(
    ("group", "groups", "may"),
    [
        ("a", {"required": ("a",)}, True),
        ("a", {"preferred": ("a",)}, True),
        ("a", {"required": ("a",), "forbidden": ("a",)}, False),
        ("a", {"forbidden": ("a",), "avoided": ("a",)}, True),
        ("a", {"required": ("b",)}, False),
    ],
)
def test_the_table_of_volcanos_rule(group, groups, may):
    assert may_use(group, NodeGroups(**groups)) is may


def test_a_queue_that_names_no_group_uses_no_node_unless_strictness_is_off():
    engine = engine_of("gang g: 1x cpu=1")
    assert bound(cycle(engine)) == {}
    engine = engine_of("gang g: 5x cpu=1, min 1", strict=False)
    assert set(bound(cycle(engine)).values()) == {"plain"}


def test_a_queue_inherits_from_the_nearest_queue_above_that_says_anything():
    tree = [wants("top", required="a"), queue("mid", "parent=top"), wants("leaf", parent="mid", required="b")]
    for name, expected in (("mid", "a"), ("leaf", "b")):
        engine = engine_of(f"gang g: 1x cpu=1, queue {name}", queues=tree, hierarchy=True)
        assert nodes_used(cycle(engine)) == [expected]
    engine = engine_of("gang g: 1x cpu=1, queue mid", queues=tree)
    assert bound(cycle(engine)) == {}


def test_gangs_of_two_queues_with_one_shape_are_judged_each_by_its_own():
    tree = [wants("one", required="a"), wants("two", required="b")]
    engine = engine_of("gang x: 4x cpu=1, queue one", "gang y: 4x cpu=1, queue two", queues=tree)
    plan = cycle(engine)
    assert {name[0]: node for name, node in bound(plan).items()} == {"x": "a", "y": "b"}
    engine.observe([*gang("p", "2x cpu=1, queue one", 8), *gang("q", "2x cpu=1, queue two", 9)])
    confirm(engine, plan)
    cycle(engine)
    finish(engine, ["y-0", "y-1"])
    assert bound(cycle(engine)) == {"q-0": "b", "q-1": "b"}
    finish(engine, ["x-0", "x-1"])
    assert bound(cycle(engine)) == {"p-0": "a", "p-1": "a"}


def test_a_limit_on_one_group_sends_what_is_above_it_to_the_next():
    limit = [("a", amounts("cpu=2"))]
    engine = engine_of("gang g: 4x cpu=1", queues=[wants(limits=limit, required="a b", preferred="a")])
    assert nodes_used(cycle(engine)) == ["a", "a", "b", "b"]


def test_a_limit_counts_everything_below_the_queue_and_is_cured_by_what_ends():
    tree = [wants("top", limits=[("a", amounts("cpu=2"))], required="a"), queue("l", "parent=top")]
    tree.append(queue("r", "parent=top"))
    engine = engine_of("gang x: 2x cpu=1, queue l", "gang y: 1x cpu=1, queue r", queues=tree, hierarchy=True)
    plan = cycle(engine)
    assert nodes_used(plan) == ["a", "a"]
    confirm(engine, plan)
    assert blocker(engine, "y") == "NeedsCapacity"
    assert "1 node(s) of groups of which the queue holds as much as it may" in why(engine, "y")
    finish(engine, ["x-0"])
    assert bound(cycle(engine)) == {"y-0": "a"}


def test_a_higher_limit_or_another_affinity_wakes_those_who_wait():
    engine = engine_of("gang g: 4x cpu=1", queues=[wants(limits=[("a", amounts("cpu=2"))], required="a")])
    assert bound(cycle(engine)) == {}
    engine.observe([wants(limits=[("a", amounts("cpu=4"))], required="a")])
    assert len(bound(cycle(engine))) == 4
    engine = engine_of(
        "gang h: 1x cpu=1, queue l", queues=[wants("top", required="x"), queue("l", "parent=top")], hierarchy=True
    )
    assert bound(cycle(engine)) == {}
    engine.observe([wants("top", required="b")])
    assert nodes_used(cycle(engine)) == ["b"]


def test_a_node_that_changes_its_group_takes_its_pods_along():
    limit = [("a", amounts("cpu=4")), ("b", amounts("cpu=4"))]
    engine = engine_of("gang g: 2x cpu=1", queues=[wants(limits=limit, required="a")])
    confirm(engine, cycle(engine))
    engine.observe([node("a", f"cpu=4 {GROUP}:b")])
    cycle(engine)
    held = engine.state.group_use
    assert (held.of(QueueName("default"), "a"), held.of(QueueName("default"), "b")) == ({}, {0: 2, 1: 2000})


def test_nobody_is_evicted_where_the_queue_may_not_go_anyway():
    engine = engine_of("gang low: 4x cpu=1, min 0", queues=[wants(required="a")])
    strict = engine.policy
    engine.adopt(replace(PREEMPTING, filters=strict.filters, caps=strict.caps, limits=(), shares=None))
    confirm(engine, cycle(engine))
    engine.observe([wants(required="b"), *gang("high", "1x cpu=4, queue default, priority 9", 5)])
    assert nodes_used(cycle(engine)) == ["b"]
    engine.observe(gang("higher", "1x cpu=4, queue default, priority 10", 6))
    assert evicted(cycle(engine)) == []
    engine.observe([wants(required="a b")])
    assert len(evicted(cycle(engine, 99_000))) == 4


def evicting(limits, **groups):
    """An engine whose queue has limits in groups, and in which gangs of higher priority may take."""
    engine = engine_of(queues=[wants(limits=limits, **groups)])
    strict = engine.policy
    engine.adopt(replace(PREEMPTING, filters=strict.filters, caps=strict.caps, limits=(), shares=None))
    return engine


def run_on(engine, where, *lines):
    """These pods run where it is said."""
    for number, line in enumerate(lines):
        name, _, text = line.partition(": ")
        seen, *pods = gang(name, f"{text}, phase Running", number)
        engine.observe([seen, *(msgspec.structs.replace(each, node=where, phase="Running") for each in pods)])
    cycle(engine)


def test_nobody_is_evicted_where_the_queue_would_hold_too_much_of_the_group():
    limit = [("a", amounts("cpu=2"))]
    engine = evicting(limits=limit, required="a b")
    run_on(engine, "a", "few: 2x cpu=1, min 0")
    run_on(engine, "b", "many: 4x cpu=1, min 0")
    engine.observe(gang("high", "1x cpu=3, queue default, priority 9", 5))
    plan = cycle(engine)
    assert evicted(plan) == ["many-0", "many-1", "many-2"], "one of the few would be cheaper, and no use"
    engine.observe([PodGone(each) for each in evicted(plan)])
    assert bound(cycle(engine, 2_000)) == {"high-0": "b"}


def test_what_goes_no_longer_counts_in_the_group_it_goes_from():
    limit = [("a", amounts("cpu=2"))]
    engine = evicting(limits=limit, required="a")
    run_on(engine, "a", "low: 2x cpu=1, min 0")
    run_on(engine, "a", "other: 2x cpu=1 kept, min 0, queue root")
    engine.observe(gang("high", "2x cpu=1, queue default, priority 9", 5))
    plan = cycle(engine)
    assert evicted(plan) == ["low-0", "low-1"]
    engine.observe([PodGone(each) for each in evicted(plan)])
    assert nodes_used(cycle(engine, 2_000)) == ["a", "a"]
