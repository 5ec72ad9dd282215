"""Queues that say what they deserve: who may hold how much, who comes first, and does the tree hold? (capacity)"""

import pytest

from flowbatch.engine.events import QueueGone
from flowbatch.errors import SpecErrors
from flowbatch.model.blockers import NeedsQuota, QueueNotLeaf
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import binds, blocker, bound, confirm, cycle, engine_with, finish, gangs_bound, queue, why


def capacity(*, tree=False, arguments=None, actions="enqueue, allocate, backfill"):
    plugins = [
        {"name": "priority"},
        {"name": "gang"},
        {"name": "predicates"},
        {"name": "capacity", "enableHierarchy": tree, "arguments": arguments or {}},
    ]
    return read_volcano({"actions": actions, "tiers": [{"plugins": plugins}]})


FLAT, TREE = capacity(), capacity(tree=True)


def test_a_queue_may_hold_more_than_it_deserves_while_there_is_room():
    engine = engine_with("1 nodes: cpu=9", "queue q: deserved(cpu=2)", "gang a: 9x cpu=1, min 1, queue q", policy=FLAT)
    assert gangs_bound(cycle(engine)) == {"a": 9}


def test_the_queue_that_holds_less_of_what_it_deserves_comes_first():
    engine = engine_with(
        "1 nodes: cpu=6",
        "queue a: deserved(cpu=2)",
        "queue b: deserved(cpu=4)",
        *[f"gang a{i}: 1x cpu=1, queue a" for i in range(6)],
        *[f"gang b{i}: 1x cpu=1, queue b" for i in range(6)],
        policy=FLAT,
    )
    placed = gangs_bound(cycle(engine))
    assert (sum(name[0] == "a" for name in placed), sum(name[0] == "b" for name in placed)) == (2, 4)


def test_queue_priority_comes_before_share():
    engine = engine_with(
        "1 nodes: cpu=2",
        "queue a: deserved(cpu=2)",
        "queue b: priority=1",
        *[f"gang {q}{i}: 1x cpu=1, queue {q}" for q in "ab" for i in range(2)],
        policy=FLAT,
    )
    assert sorted(gangs_bound(cycle(engine))) == ["b0", "b1"]


def test_a_queue_that_deserves_nothing_counts_as_full_and_comes_last():
    engine = engine_with(
        "1 nodes: cpu=2",
        "queue a:",
        "queue z: deserved(cpu=2)",
        *[f"gang {q}{i}: 1x cpu=1, queue {q}" for q in "az" for i in range(2)],
        policy=FLAT,
    )
    assert sorted(gangs_bound(cycle(engine))) == ["z0", "z1"]
    shares = {name: queue.share for name, queue in engine.state.queues.by_name.items() if queue.gangs}
    assert shares["a"] == {}


def test_of_two_full_queues_the_one_that_deserves_something_comes_first():
    engine = engine_with(
        "1 nodes: cpu=3",
        "queue a:",
        "queue z: deserved(cpu=2)",
        *[f"gang {q}{i}: 1x cpu=1, queue {q}" for q in "az" for i in range(3)],
        policy=FLAT,
    )
    assert sorted(gangs_bound(cycle(engine))) == ["z0", "z1", "z2"]


def test_a_request_is_compared_only_on_the_axes_it_names():
    """Volcano: a queue above its cpu still takes jobs that ask for memory alone."""
    engine = engine_with(
        "1 nodes: cpu=9 memory=9Gi",
        "queue q: capability(cpu=2 memory=4Gi)",
        "gang a: 2x cpu=1, queue q",
        "gang b: 1x memory=1Gi, queue q",
        "gang c: 1x cpu=1, queue q",
        policy=FLAT,
    )
    assert gangs_bound(cycle(engine)) == {"a": 2, "b": 1}
    assert blocker(engine, "c") == "NeedsQuota"


def test_what_a_queue_deserves_is_bounded_by_its_limits_and_raised_to_its_guarantee():
    engine = engine_with(
        "1 nodes: cpu=10 memory=10Gi",
        "queue q: deserved(cpu=8) capability(cpu=6) guarantee(memory=2Gi)",
        "gang a: 1x cpu=1, queue q",
        policy=FLAT,
    )
    cycle(engine)
    assert engine.state.queues.by_name["q"].share == {1: 6000, 2: 2 << 30}


def test_one_queue_is_guaranteed_the_whole_cluster():
    engine = engine_with(
        "2 nodes: cpu=4",
        "queue vip: guarantee(cpu=8) deserved(cpu=8)",
        "gang a: 1x cpu=1, needs(cpu=1)",
        "gang v: 2x cpu=4, queue vip, needs(cpu=8)",
        policy=FLAT,
    )
    assert gangs_bound(cycle(engine)) == {"v": 2}
    assert blocker(engine, "a") == "NeedsQuota"


def test_a_gang_too_large_for_what_a_guarantee_leaves_waits():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue vip: guarantee(cpu=2) deserved(cpu=2)",
        "gang big: 3x cpu=1",
        "gang small: 2x cpu=1",
        policy=FLAT,
    )
    assert gangs_bound(cycle(engine)) == {"small": 2}
    found = engine.blocker_of("ns/big")
    assert isinstance(found, NeedsQuota)
    assert found.hopeless


@pytest.mark.parametrize("policy", [FLAT, TREE], ids=["flat", "tree"])
def test_guarantees_above_the_cluster_are_no_crash(policy):
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue v: guarantee(cpu=9) deserved(cpu=9)",
        "queue w: guarantee(cpu=9) deserved(cpu=9)",
        "gang b: 1x cpu=1, queue v",
        "gang c: 1x cpu=1",
        policy=policy,
    )
    assert gangs_bound(cycle(engine)) == {"b": 1}
    assert blocker(engine, "c") == "NeedsQuota"


def test_an_ended_gang_keeps_nothing_of_its_queue():
    """Volcano: no phantom inqueue reservation after completion."""
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue q: capability(cpu=2)",
        "gang a: 2x cpu=1, queue q, needs(cpu=2)",
        "gang b: 2x cpu=1, queue q, needs(cpu=2)",
        policy=FLAT,
    )
    first = cycle(engine)
    assert gangs_bound(first) == {"a": 2}
    confirm(engine, first)
    finish(engine, list(bound(first)))
    assert gangs_bound(cycle(engine)) == {"b": 2}
    held = engine.state.queues.by_name["q"]
    assert (held.inqueue, held.elastic) == ({}, {})


def test_what_is_on_its_way_is_not_counted_twice():
    """Volcano: no double count of Allocated and Binding against Inqueue."""
    engine = engine_with(
        "1 nodes: cpu=4", "queue q: capability(cpu=4)", "gang a: 2x cpu=1, queue q, needs(cpu=2)", policy=FLAT
    )
    cycle(engine)
    q = engine.state.queues.by_name["q"]
    assert (q.allocated.get(1), q.inqueue) == (2000, {})


def test_gated_pods_do_not_use_up_the_gate():
    """Volcano: gated tasks do not consume inqueue resources."""
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue q: capability(cpu=4)",
        "gang a: 2x cpu=2 gated, queue q, needs(cpu=4), phase Inqueue",
        "gang b: 2x cpu=2, queue q, needs(cpu=4)",
        policy=FLAT,
    )
    assert gangs_bound(cycle(engine)) == {"b": 2}


# -- the tree


def test_a_gang_in_a_queue_with_queues_below_waits_and_says_why():
    engine = engine_with(
        "1 nodes: cpu=4", "queue dept:", "queue team: parent=dept", "gang a: 1x cpu=1, queue dept", policy=TREE
    )
    assert bound(cycle(engine)) == {}
    assert engine.blocker_of("ns/a") == QueueNotLeaf("dept", "team")
    assert 'queue "dept" has queues below it ("team"): gangs belong in those' in why(engine, "a")
    engine.observe([QueueGone("team")])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_a_queue_that_gets_children_starts_nothing_new_and_lets_go_on_what_runs():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue dept:",
        "gang a: 1x cpu=1, queue dept",
        policy=TREE,
    )
    confirm(engine, cycle(engine))
    engine.observe([queue("team", "parent=dept")])
    cycle(engine)
    assert len(engine.state.queues.by_name["dept"].own) == 2
    assert engine.parked() == {}


def test_without_hierarchy_gangs_may_be_anywhere():
    engine = engine_with(
        "1 nodes: cpu=4", "queue dept:", "queue team: parent=dept", "gang a: 1x cpu=1, queue dept", policy=FLAT
    )
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_one_bad_queue_does_not_stop_the_others():
    """volcano#4349: a gang in a parent queue, a missing parent and a circle once stopped the whole cluster."""
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept:",
        "queue team: parent=dept",
        "queue lost: parent=nowhere",
        "queue x: parent=y",
        "queue y: parent=x",
        *[f"gang {q}: 1x cpu=1, queue {q}" for q in ("dept", "team", "lost", "x", "default")],
        policy=TREE,
    )
    assert sorted(gangs_bound(cycle(engine))) == ["default", "lost", "team", "x"]


def test_capability_is_inherited_by_what_does_not_name_it():
    engine = engine_with(
        "1 nodes: cpu=9 memory=9Gi",
        "queue dept: capability(cpu=3 memory=1Gi)",
        "queue team: parent=dept capability(cpu=9)",
        "gang a: 4x cpu=1, min 1, queue team",
        "gang b: 1x memory=2Gi, queue team",
        policy=TREE,
    )
    assert gangs_bound(cycle(engine)) == {"a": 3}
    found = engine.blocker_of("ns/b")
    assert isinstance(found, NeedsQuota)
    assert (found.queue, found.hopeless) == ("dept", True)


@pytest.mark.parametrize("levels", [1, 2, 30])
def test_every_ancestor_is_asked(levels):
    chain = [f"queue l{i}: parent={f'l{i - 1}' if i else 'root'}" for i in range(levels)]
    engine = engine_with(
        "1 nodes: cpu=9",
        chain[0] + " capability(cpu=2)",
        *chain[1:],
        f"queue a: parent=l{levels - 1}",
        f"queue b: parent=l{levels - 1}",
        "gang a: 2x cpu=1, queue a, needs(cpu=2)",
        "gang b: 1x cpu=1, queue b, needs(cpu=1)",
        policy=TREE,
    )
    assert gangs_bound(cycle(engine)) == {"a": 2}
    found = engine.blocker_of("ns/b")
    assert isinstance(found, NeedsQuota)
    assert found.queue == "l0"


def test_what_siblings_are_guaranteed_is_not_for_others():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: capability(cpu=6)",
        "queue safe: parent=dept guarantee(cpu=4) deserved(cpu=4)",
        "queue free: parent=dept",
        "gang a: 6x cpu=1, min 1, queue free",
        "gang b: 9x cpu=1, min 1",
        policy=TREE,
    )
    placed = gangs_bound(cycle(engine))
    assert placed == {"a": 2, "b": 5}, "2 of the 6 of dept; and the 4 guaranteed are missing from the cluster's 9 too"


def test_a_parents_guarantee_covers_its_childrens():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: guarantee(cpu=5) deserved(cpu=5)",
        "queue one: parent=dept guarantee(cpu=2) deserved(cpu=2)",
        "queue two: parent=dept guarantee(cpu=1) deserved(cpu=1)",
        "gang a: 9x cpu=1, min 1",
        policy=TREE,
    )
    assert gangs_bound(cycle(engine)) == {"a": 4}
    assert engine.state.queues.guaranteed == {1: 5000}


def test_children_guaranteed_more_than_their_parent_are_believed():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: guarantee(cpu=1) deserved(cpu=1)",
        "queue one: parent=dept guarantee(cpu=4) deserved(cpu=4)",
        "gang a: 9x cpu=1, min 1",
        policy=TREE,
    )
    assert gangs_bound(cycle(engine)) == {"a": 5}


def test_a_lowered_guarantee_lets_others_go_on():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue vip: guarantee(cpu=4) deserved(cpu=4)",
        "gang b: 1x cpu=1",
        policy=TREE,
    )
    assert bound(cycle(engine)) == {}
    engine.observe([queue("vip", "guarantee(cpu=3) deserved(cpu=3)")])
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_queues_are_told_apart_where_their_ancestors_first_differ():
    """Two teams of a full department wait for the other department, whatever they hold themselves."""
    engine = engine_with(
        "1 nodes: cpu=8",
        "queue left: deserved(cpu=4)",
        "queue right: deserved(cpu=4)",
        "queue a: parent=left deserved(cpu=2)",
        "queue b: parent=left deserved(cpu=2)",
        "queue c: parent=right deserved(cpu=4)",
        *[f"gang {q}{i}: 1x cpu=1, queue {q}" for q in "abc" for i in range(8)],
        policy=TREE,
    )
    placed = list(gangs_bound(cycle(engine)))
    assert [sum(name[0] == q for name in placed) for q in "abc"] == [2, 2, 4]


def test_a_moved_queue_is_measured_under_its_new_parent():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue tight: capability(cpu=1)",
        "queue wide:",
        "queue q: parent=tight",
        "gang a: 1x cpu=1, queue q",
        "gang b: 2x cpu=1, queue q, needs(cpu=2)",
        policy=TREE,
    )
    confirm(engine, cycle(engine))
    assert blocker(engine, "b") == "NeedsQuota"
    engine.observe([queue("q", "parent=wide")])
    assert gangs_bound(cycle(engine)) == {"b": 2}
    assert engine.state.queues.by_name["tight"].allocated == {}
    engine.observe([queue("q", "parent=tight")])
    cycle(engine)
    assert engine.state.queues.by_name["tight"].allocated[1] == 3000, "above its limit, and nobody is asked to leave"
    assert binds(cycle(engine)) == []


# -- configuration


def test_arguments_are_volcanos():
    capacity(tree=True, arguments={"ancestorReclaimLevel": "2", "capacity.DynamicResourceAllocationEnable": True})
    with pytest.raises(SpecErrors, match="ancestorReclaimLevel"):
        capacity(arguments={"ancestorReclaimLevel": -1})
    with pytest.raises(SpecErrors, match="did you mean"):
        capacity(arguments={"ancestorReclaimLevels": 1})


@pytest.mark.parametrize(
    ("plugins", "told"),
    [
        ([{"name": "proportion"}, {"name": "capacity"}], "cannot be used together"),
        ([{"name": "drf", "enableHierarchy": True}, {"name": "proportion"}], "cannot be used together"),
    ],
)
def test_two_ways_to_divide_a_cluster_are_a_mistake(plugins, told):
    with pytest.raises(SpecErrors, match=told):
        read_volcano({"tiers": [{"plugins": plugins[:1]}, {"plugins": plugins[1:]}]})
    read_volcano({"tiers": [{"plugins": [{"name": "drf"}, {"name": "proportion"}]}]})
