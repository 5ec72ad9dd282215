"""Reclaim in a tree of queues: who gives, who gets, and at which level is it decided? (capacity with hierarchy)"""

import pytest

from flowbatch.policy.volcano import read_volcano
from tests.textcluster import blocker, cycle, evicted, gangs_bound, leave, more, running, why

#: Two departments of 4 cores each, with two teams of 2 each.
TREE = (
    "queue left: deserved(cpu=4)",
    "queue right: deserved(cpu=4)",
    "queue a: parent=left deserved(cpu=2)",
    "queue b: parent=left deserved(cpu=2)",
    "queue c: parent=right deserved(cpu=2)",
    "queue d: parent=right deserved(cpu=2)",
)


def policy(level=0):
    plugins = [{"name": name} for name in ("priority", "gang", "predicates")]
    capacity = {"name": "capacity", "enableHierarchy": True, "arguments": {"ancestorReclaimLevel": level}}
    return read_volcano({"actions": "enqueue, allocate, reclaim", "tiers": [{"plugins": [*plugins, capacity]}]})


def singles(queue, count):
    """Gangs of one pod that may go one by one."""
    return [f"gang {queue}{i}: 1x cpu=1, min 0, queue {queue}" for i in range(count)]


def cluster(*lines, tree=TREE, level=0, nodes="4 nodes: cpu=2"):
    return running(nodes, *tree, *lines, policy=policy(level))


def victims(engine, queue, count=1, name="g", now=2_000):
    plan = more(engine, f"gang {name}: {count}x cpu=1, queue {queue}", now=now)
    gone = evicted(plan)
    if gone:
        assert blocker(engine, name) in ("NeedsRoom", "NeedsQuota"), "room on nodes, or under a limit"
        leave(engine, gone)
        assert gangs_bound(cycle(engine, now + 1_000)) == {name: count}, "evicted only for whom then has its place"
    return sorted({victim[0] for victim in gone}), len(gone)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_team_gets_its_part_back_from_its_sibling(level):
    engine = cluster(*singles("a", 4), *singles("c", 4), level=level)
    assert victims(engine, "b", 2) == (["a"], 2)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_department_gets_its_part_back_from_the_other(level):
    engine = cluster(*singles("a", 4), *singles("b", 4), level=level)
    gone, count = victims(engine, "c", 2)
    assert count == 2
    assert set(gone) <= {"a", "b"}


def test_a_team_above_its_part_in_a_department_within_its_own_keeps_it():
    """Room is short only because others hold what is nobody's: the department as a whole took nothing from anybody."""
    engine = cluster(*singles("a", 4), *singles("c", 3), "pod other: cpu=1 on n4")
    assert victims(engine, "d", 1) == (["c"], 1), "from its own sibling, which is above its part"
    engine = cluster(*singles("a", 4), *singles("c", 2), "pod other: cpu=2 on n4")
    assert victims(engine, "d", 1) == ([], 0)
    assert "of queues within their share" in why(engine, "g")


def test_a_team_within_its_part_gives_nothing_and_its_sibling_gives():
    engine = cluster(*singles("a", 6), *singles("b", 2))
    assert victims(engine, "c", 2) == (["a"], 2)


def test_a_department_above_its_part_takes_nothing_from_the_other():
    engine = cluster(*singles("a", 4), *singles("c", 4))
    assert victims(engine, "b", 3) == ([], 0), "2 more would be within, 3 would be above what b deserves"
    engine = cluster(*singles("a", 4), *singles("c", 3), *singles("d", 1))
    assert victims(engine, "b", 1)[0] == ["a"], "and never from the other, which is within its part"


def test_guarantees_are_kept():
    tree = (*TREE[:2], "queue a: parent=left deserved(cpu=4) guarantee(cpu=4)", *TREE[3:])
    engine = cluster(*singles("a", 4), *singles("b", 4), tree=tree)
    assert victims(engine, "c", 2) == (["b"], 2)


def test_a_queue_that_is_not_reclaimable_keeps_all():
    tree = (*TREE[:2], "queue a: parent=left deserved(cpu=2) kept", *TREE[3:])
    engine = cluster(*singles("a", 8), tree=tree)
    assert victims(engine, "c", 1) == ([], 0)


def test_a_queue_that_deserves_nothing_gives_first_and_gets_nothing_back():
    tree = (*TREE, "queue z: parent=left")
    engine = cluster(*singles("z", 4), *singles("c", 2), *singles("d", 2), tree=tree)
    assert victims(engine, "b", 2) == (["z"], 2)
    assert victims(engine, "z", 1, name="h", now=90_000) == ([], 0)


def test_a_queue_above_its_part_in_something_else_gives_nothing():
    tree = (
        "queue left: deserved(cpu=4 memory=1Gi)",
        "queue right: deserved(cpu=4 memory=7Gi)",
        "queue a: parent=left deserved(cpu=4 memory=1Gi)",
        "queue c: parent=right deserved(cpu=4 memory=7Gi)",
    )
    lines = [f"gang a{i}: 1x cpu=1 memory=1Gi, min 0, queue a" for i in range(4)]
    engine = cluster(
        *lines, "pod other: cpu=2 on n3", "pod more: cpu=2 on n4", tree=tree, nodes="4 nodes: cpu=2 memory=2Gi"
    )
    assert victims(engine, "c", 1) == ([], 0), "it holds too much memory, and cpu is asked for"


@pytest.mark.parametrize("depth", [3, 12])
def test_depth_does_not_matter(depth):
    def chain(side):
        names = [f"{side}{i}" for i in range(depth)]
        parents = ["root", *names]
        return [f"queue {name}: parent={parents[i]} deserved(cpu=4)" for i, name in enumerate(names)], names[-1]

    (left, deep_left), (right, deep_right) = chain("l"), chain("r")
    lines = [f"gang l{i}: 1x cpu=1, min 0, queue {deep_left}" for i in range(8)]
    engine = cluster(*lines, tree=(*left, *right))
    assert victims(engine, deep_right, 4) == (["l"], 4)


def test_what_was_lent_comes_back():
    tree = ("queue left: deserved(cpu=4) lend(cpu=4)", "queue right: deserved(cpu=4) borrow(cpu=4)")
    engine = cluster(*[f"gang r{i}: 1x cpu=1, min 0, queue right" for i in range(8)], tree=tree)
    assert victims(engine, "left", 4) == (["r"], 4)


def test_room_under_a_limit_of_the_department_comes_from_those_above_their_part():
    tree = (
        "queue dept: deserved(cpu=4) capability(cpu=4)",
        "queue a: parent=dept deserved(cpu=2)",
        "queue b: parent=dept deserved(cpu=2)",
    )
    engine = cluster(*singles("a", 4), tree=tree)
    assert victims(engine, "b", 2) == (["a"], 2), "nodes have room, the department has not"


def test_room_is_made_for_the_head_of_a_fifo_queue_and_those_behind_it_wait():
    tree = (*TREE[:3], "queue b: parent=left deserved(cpu=2) fifo", *TREE[4:])
    engine = cluster(*singles("a", 4), *singles("c", 4), tree=tree)
    plan = more(engine, "gang g: 2x cpu=1, queue b", "gang h: 1x cpu=1, queue b")
    gone = evicted(plan)
    assert [victim[0] for victim in gone] == ["a", "a"]
    assert (blocker(engine, "g"), blocker(engine, "h")) == ("NeedsRoom", "Behind")
    leave(engine, gone)
    assert gangs_bound(cycle(engine, 3_000)) == {"g": 2}
    assert blocker(engine, "h") == "NeedsCapacity"
