"""Queues in trees, by weight: the drf plugin's own tree, shares divided level by level, and turns that are kept."""

from random import Random

import pytest

from flowbatch.policy.conf import read_policy
from flowbatch.policy.hierarchy import HierarchicalShare, shares_of
from flowbatch.policy.share import Proportion
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import binds, confirm, cycle, engine_with, finish, gang, gangs_bound, queue

HDRF = read_volcano(
    {
        "actions": "enqueue, allocate, backfill",
        "tiers": [{"plugins": [{"name": "gang"}, {"name": "predicates"}, {"name": "drf", "enableHierarchy": True}]}],
    }
)
DIVIDED = read_volcano(
    {
        "tiers": [
            {"plugins": [{"name": "gang"}, {"name": "predicates"}, {"name": "proportion", "enableHierarchy": True}]}
        ]
    }
)


def per_queue(plan, *names):
    placed = gangs_bound(plan)
    return [sum(count for each, count in placed.items() if each.rstrip("0123456789") == name) for name in names]


def gangs(name, count, size="cpu=1"):
    return [f"gang {name}{i}: 1x {size}, queue {name}" for i in range(count)]


# -- the drf plugin's tree


def test_branches_are_served_by_weight_and_then_their_leaves():
    """Volcano's example: eng and sci 100 : 50, and below eng dev and prod 50 : 50."""
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue dev: hierarchy root/eng/dev:100/100/50",
        "queue prod: hierarchy root/eng/prod:100/100/50",
        "queue sci: hierarchy root/sci:100/50",
        *gangs("dev", 12),
        *gangs("prod", 12),
        *gangs("sci", 12),
        policy=HDRF,
    )
    assert per_queue(cycle(engine), "dev", "prod", "sci") == [4, 4, 4]


def test_a_branch_with_many_queues_gets_no_more_than_its_part():
    many = [f"queue q{chr(97 + i)}: hierarchy root/left/{i}:1/1/1" for i in range(9)]
    engine = engine_with(
        "1 nodes: cpu=18",
        *many,
        "queue right: hierarchy root/right:1/1",
        *[line for i in range(9) for line in gangs(f"q{chr(97 + i)}", 9)],
        *gangs("right", 18),
        policy=HDRF,
    )
    assert per_queue(cycle(engine), "right") == [9]


def test_a_leaf_that_wants_nothing_more_does_not_hold_its_sisters_back():
    """The paper's starvation case: without scaling, a leaf that fills its branch's share blocks the other leaf."""
    engine = engine_with(
        "1 nodes: cpu=10 memory=10Gi",
        "queue a: hierarchy root/left/a:1/1/1",
        "queue b: hierarchy root/left/b:1/1/1",
        "queue c: hierarchy root/right/c:1/1/1",
        *gangs("a", 10),
        *gangs("b", 10, "memory=1Gi"),
        *gangs("c", 10),
        policy=HDRF,
    )
    placed = per_queue(cycle(engine), "a", "b", "c")
    assert placed[1] == 10, "memory has no other taker"
    assert placed[0] + placed[2] == 10
    assert abs(placed[0] - placed[2]) <= 1


def test_a_branch_counts_as_holding_what_its_poorest_leaf_that_wants_more_holds():
    engine = engine_with(
        "1 nodes: cpu=10 memory=10Gi",
        "queue a: hierarchy root/left/a:1/1/1",
        "queue b: hierarchy root/left/b:1/1/1",
        "gang a0: 1x cpu=1, queue a",
        "gang b0: 5x memory=1Gi, queue b",
        "gang a1: 1x cpu=99, queue a",
        "gang b1: 1x memory=99Gi, queue b",
        policy=HDRF,
    )
    confirm(engine, cycle(engine))
    shares = shares_of(engine.state.queues.leaves(), engine._view)
    assert shares["a"] == pytest.approx((0, 0.1, 0, 0.1))
    assert shares["b"] == pytest.approx((0, 0.1, 0, 0.5))


def test_saturated_branches_come_last():
    engine = engine_with(
        "1 nodes: cpu=3",
        "queue a: hierarchy root/left/a:1/9/1",
        "queue b: hierarchy root/right/b:1/1/1",
        "gang a0: 1x cpu=1, queue a",
        "gang b0: 2x cpu=1, queue b",
        "gang b1: 2x cpu=1, queue b",
        policy=HDRF,
    )
    confirm(engine, cycle(engine))
    shares = shares_of(engine.state.queues.leaves(), engine._view)
    assert shares["a"] == (1.0, 1 / 3 / 9, 1.0, 1 / 3)
    assert shares["b"][0] == 1.0, "it wants cpu, and there is none"


def test_a_queue_without_a_path_hangs_under_the_root_with_its_own_weight():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue plain: weight=2",
        "queue b: hierarchy root/b:1/1",
        *gangs("plain", 9),
        *gangs("b", 9),
        policy=HDRF,
    )
    assert per_queue(cycle(engine), "plain", "b") == [6, 3]


def test_others_of_the_same_branch_lose_their_turn_when_one_of_it_was_served():
    engine = engine_with(
        "1 nodes: cpu=2",
        "queue a: hierarchy root/left/a:1/1/1",
        "queue b: hierarchy root/left/b:1/1/1",
        "queue z: hierarchy root/right/z:1/1/1",
        *gangs("a", 1),
        *gangs("b", 1),
        *gangs("z", 1),
        policy=HDRF,
    )
    assert per_queue(cycle(engine), "a", "b", "z") == [1, 0, 1]


# -- shares divided level by level


def shares(engine):
    return {name: (queue.share or {}).get(1) for name, queue in sorted(engine.state.queues.by_name.items())}


def test_a_share_is_divided_between_the_children():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue left: weight=2",
        "queue right: weight=1",
        "queue a: parent=left weight=3",
        "queue b: parent=left weight=1",
        "queue c: parent=right",
        *gangs("a", 12),
        *gangs("b", 12),
        *gangs("c", 12),
        policy=DIVIDED,
    )
    assert per_queue(cycle(engine), "a", "b", "c") == [6, 2, 4]
    assert shares(engine) == {
        "a": 6000, "b": 2000, "c": 4000, "default": None, "left": 8000, "right": 4000, "root": 12000
    }  # fmt: skip


def test_flat_shares_do_not_know_parents():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue left: weight=2",
        "queue a: parent=left weight=3",
        "queue b: parent=left weight=1",
        "queue c:",
        *gangs("a", 12),
        *gangs("b", 12),
        *gangs("c", 12),
    )
    cycle(engine)
    assert [shares(engine)[name] for name in "abc"] == [7200, 2400, 2400]


def test_what_a_child_does_not_want_goes_to_its_siblings_first():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue left:",
        "queue right:",
        "queue a: parent=left",
        "queue b: parent=left",
        "queue c: parent=right",
        *gangs("a", 1),
        *gangs("b", 12),
        *gangs("c", 12),
        policy=DIVIDED,
    )
    assert per_queue(cycle(engine), "a", "b", "c") == [1, 5, 6]


def test_what_a_branch_does_not_want_goes_to_the_others():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue left:",
        "queue right:",
        "queue a: parent=left capability(cpu=1)",
        "queue c: parent=right",
        *gangs("a", 12),
        *gangs("c", 12),
        policy=DIVIDED,
    )
    assert per_queue(cycle(engine), "a", "c") == [1, 11]


def test_a_guarantee_deep_in_the_tree_lifts_its_branch():
    engine = engine_with(
        "1 nodes: cpu=10",
        "queue left: weight=1",
        "queue right: weight=9",
        "queue a: parent=left guarantee(cpu=4)",
        "queue c: parent=right",
        *gangs("a", 10),
        *gangs("c", 10),
        policy=DIVIDED,
    )
    assert per_queue(cycle(engine), "a", "c") == [4, 6]
    engine = engine_with(
        "1 nodes: cpu=10", "queue left:", "queue a: parent=left guarantee(cpu=4)", *gangs("a", 1), policy=DIVIDED
    )
    cycle(engine)
    assert (shares(engine)["left"], shares(engine)["a"]) == (4000, 4000), "however little it wants"


def test_gangs_of_a_parent_stand_beside_its_children():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept:",
        "queue a: parent=dept weight=2",
        *gangs("dept", 9),
        *gangs("a", 9),
        policy=DIVIDED,
    )
    cycle(engine)
    assert (shares(engine)["a"], shares(engine)["dept"]) == (6000, 9000)


@pytest.mark.parametrize("depth", [2, 200])
def test_a_deep_tree_is_no_recursion(depth):
    chain = [f"queue l{i}: parent={f'l{i - 1}' if i else 'root'}" for i in range(depth)]
    engine = engine_with(
        "1 nodes: cpu=4", *chain, f"queue q: parent=l{depth - 1}", *gangs("q", 4), *gangs("default", 4), policy=DIVIDED
    )
    assert per_queue(cycle(engine), "q", "default") == [2, 2]


def test_parts_of_a_level_never_add_up_to_more_than_the_whole():
    engine = engine_with(
        "1 nodes: cpu=7 memory=7",
        *[f"queue p{i}: weight={i + 1}" for i in range(3)],
        *[f"queue {'abc'[i]}{'xyz'[j]}: parent=p{i} weight={j + 1}" for i in range(3) for j in range(3)],
        *[f"gang g{i}{j}: 5x cpu=1 memory=1, min 1, queue {'abc'[i]}{'xyz'[j]}" for i in range(3) for j in range(3)],
        policy=DIVIDED,
    )
    cycle(engine)
    for parent in engine.state.queues.by_name.values():
        if parent.children and parent.share is not None:
            for axis in (1, 2):
                assert sum((child.share or {}).get(axis, 0) for child in parent.children) == parent.share[axis]


# -- turns


def strict(**changes):
    return read_policy({"queueOrder": ["priority"], "limits": ["capability"], "shares": None, **changes})


def order(plan):
    return [str(bind.gang).partition("/")[2] for bind in binds(plan)]


def test_queues_take_turns_unless_told_otherwise():
    lines = ("1 nodes: cpu=9", "queue a: deserved(cpu=4)", "queue b: deserved(cpu=4)", *gangs("a", 2), *gangs("b", 2))
    by_share = {"queueOrder": ["deservedOrder"], "shares": "deserved"}
    assert order(cycle(engine_with(*lines, policy=strict(**by_share)))) == ["a0", "b0", "a1", "b1"]
    assert order(cycle(engine_with(*lines, policy=strict(**by_share, strictTurns=True)))) == ["a0", "a1", "b0", "b1"]


def test_a_strict_queue_that_is_stuck_gives_its_turn_away():
    engine = engine_with(
        "1 nodes: cpu=3",
        "queue hi: priority=9",
        "queue lo:",
        "gang hi0: 9x cpu=1, queue hi",
        "gang hi1: 1x cpu=1, queue hi",
        *gangs("lo", 3),
        policy=strict(strictTurns=True),
    )
    assert order(cycle(engine)) == ["hi1", "lo0", "lo1"]


def test_by_priority_alone_queues_never_interleave():
    engine = engine_with(
        "1 nodes: cpu=3", "queue hi: priority=1", "queue lo:", *gangs("lo", 3), *gangs("hi", 2), policy=strict()
    )
    plan = cycle(engine)
    assert order(plan) == ["hi0", "hi1", "lo0"]
    confirm(engine, plan)
    finish(engine, ["lo0-0"])
    engine.observe([queue("lo", "priority=5")])
    assert order(cycle(engine)) == ["lo1"]


def test_the_tree_is_an_argument_of_proportion():
    assert read_policy({"shares": {"name": "proportion", "tree": True}}).shares == Proportion(tree=True)


@pytest.mark.parametrize("seed", range(6))
def test_shares_of_a_tree_are_the_same_however_they_were_worked_out(seed):
    luck = Random(seed)
    names = [f"q{i}" for i in range(8)]
    paths = [f"root/{luck.choice('xy')}/{luck.choice('uvw')}{i}:1/{1}/{luck.randint(1, 3)}" for i in range(8)]
    engine = engine_with(
        "3 nodes: cpu=4 memory=4Gi",
        *[f"queue {name}: hierarchy {path}" for name, path in zip(names, paths, strict=True)],
        policy=HDRF,
    )
    order, view = HierarchicalShare(), engine._view
    for turn in range(40):
        where = luck.choice(names)
        lines = (
            f"{luck.randint(1, 3)}x {luck.choice(['cpu=1', 'memory=1Gi', 'cpu=2 memory=1Gi'])}, min 1, queue {where}"
        )
        engine.observe(gang(f"g{turn}", lines, created=turn))
        confirm(engine, cycle(engine))
        ended = [uid for uid, task in engine.state.tasks.items() if task.node and luck.random() < 0.2]
        finish(engine, ended)
        cycle(engine)
        fresh = shares_of(engine.state.queues.by_name.values(), view)
        for each in engine.state.queues.by_name.values():
            assert order.key(each, view) == (fresh[each.name],)
