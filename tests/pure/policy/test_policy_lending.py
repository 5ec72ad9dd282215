"""How much queues may borrow and lend: does every ancestor's pool hold, and may it all be edited?"""

import pytest

from flowbatch.model.blockers import NeedsQuota
from flowbatch.policy.lending import pool, staying
from flowbatch.policy.presets import DEFAULT, FIFO
from tests.pure.policy.test_policy_capacity import FLAT, TREE
from tests.textcluster import bound, confirm, cycle, engine_with, finish, gangs_bound, queue, why


def tried(engine):
    placed = cycle(engine)
    confirm(engine, placed)
    return gangs_bound(placed)


def limit_of(engine, name):
    found = engine.blocker_of(f"ns/{name}")
    assert isinstance(found, NeedsQuota)
    return found.queue, found.limit


@pytest.mark.parametrize("policy", [FLAT, TREE, FIFO])
def test_a_queue_borrows_no_more_than_it_may(policy):
    engine = engine_with(
        "1 nodes: cpu=9", "queue q: deserved(cpu=2) borrow(cpu=3)", "gang a: 9x cpu=1, min 1, queue q", policy=policy
    )
    assert tried(engine) == {"a": 5}
    assert limit_of(engine, "a") == ("q", "borrowing")
    assert 'short 1 cpu in queue "q" (borrowing; it holds 5 cpu' in why(engine, "a")


def test_a_queue_that_may_borrow_nothing_has_what_it_deserves():
    engine = engine_with(
        "1 nodes: cpu=9 memory=9Gi",
        "queue q: deserved(cpu=2) borrow(cpu=0)",
        "gang a: 9x cpu=1, min 1, queue q",
        "gang b: 2x memory=1Gi, queue q",
        policy=FIFO,
    )
    assert tried(engine) == {"a": 2, "b": 2}, "memory is not limited"


def test_what_is_not_lent_stays_free_for_its_queue():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue keeps: deserved(cpu=4) lend(cpu=1)",
        "gang a: 9x cpu=1, min 1",
        policy=FIFO,
    )
    assert tried(engine) == {"a": 6}
    assert limit_of(engine, "a") == ("root", "borrowing")


def test_a_queue_that_uses_what_it_keeps_takes_it_from_nobody():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue keeps: deserved(cpu=4) lend(cpu=0)",
        "gang k: 3x cpu=1, queue keeps",
        "gang a: 9x cpu=1, min 1",
        policy=FIFO,
    )
    assert tried(engine) == {"k": 3, "a": 5}


def test_a_queue_that_holds_more_than_it_keeps_borrows_the_rest():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue keeps: deserved(cpu=4) lend(cpu=2)",
        "gang k: 6x cpu=1, queue keeps",
        "gang a: 9x cpu=1, min 1",
        policy=FIFO,
    )
    assert tried(engine) == {"k": 6, "a": 3}


def test_what_a_queue_keeps_it_has_even_when_the_pool_is_empty():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue keeps: deserved(cpu=4) lend(cpu=1)",
        "gang a: 9x cpu=1, min 1",
        "gang late: 9x cpu=1, min 1, priority -1, queue keeps, phase Inqueue",
        policy=FIFO,
    )
    assert tried(engine) == {"a": 6, "late": 3}
    engine = engine_with(
        "1 nodes: cpu=9", "queue keeps: deserved(cpu=4) lend(cpu=1)", "gang a: 9x cpu=1, min 1", policy=FIFO
    )
    tried(engine)
    engine.observe(_one("late", "keeps"))
    assert tried(engine) == {"late": 1}


def test_keeping_and_borrowing_go_together():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: deserved(cpu=4) lend(cpu=1) borrow(cpu=2)",
        "gang a: 9x cpu=1, min 1, queue q",
        policy=FIFO,
    )
    assert tried(engine) == {"a": 6}


def test_a_pool_is_shared_inside_its_department_first():
    """What one team does not use its sibling may borrow; what the department keeps, others may not."""
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue dept: deserved(cpu=6) lend(cpu=0)",
        "queue one: parent=dept deserved(cpu=3)",
        "queue two: parent=dept deserved(cpu=3)",
        "gang t: 6x cpu=1, queue two",
        "gang a: 12x cpu=1, min 1",
        policy=TREE,
    )
    assert tried(engine) == {"t": 6, "a": 6}


def test_borrowing_is_bounded_at_every_level():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue dept: deserved(cpu=4) borrow(cpu=2)",
        "queue one: parent=dept deserved(cpu=2) borrow(cpu=9)",
        "queue two: parent=dept deserved(cpu=2) borrow(cpu=1)",
        "gang a: 9x cpu=1, min 1, queue two",
        "gang b: 9x cpu=1, min 1, queue one",
        policy=TREE,
    )
    placed = tried(engine)
    assert placed["a"] + placed["b"] == 6
    assert placed["a"] <= 3
    assert {limit_of(engine, name) for name in "ab"} <= {("dept", "borrowing"), ("two", "borrowing")}


def test_a_parents_own_quota_is_what_its_children_do_not_deserve():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue dept: deserved(cpu=6) borrow(cpu=0)",
        "queue one: parent=dept deserved(cpu=1)",
        "gang a: 12x cpu=1, min 1, queue one",
        policy=TREE,
    )
    assert tried(engine) == {"a": 6}


def test_children_that_deserve_more_than_their_parent_are_its_quota():
    engine = engine_with(
        "1 nodes: cpu=12",
        "queue dept: deserved(cpu=1) borrow(cpu=0)",
        "queue one: parent=dept deserved(cpu=2)",
        "queue two: parent=dept deserved(cpu=2)",
        "gang a: 12x cpu=1, min 1, queue one",
        policy=TREE,
    )
    assert tried(engine) == {"a": 4}


def test_after_a_cut_nothing_new_fits_and_nobody_has_to_leave():
    engine = engine_with(
        "1 nodes: cpu=9", "queue q: deserved(cpu=4) borrow(cpu=0)", "gang a: 4x cpu=1, queue q", policy=FIFO
    )
    tried(engine)
    engine.observe([queue("q", "deserved(cpu=2) borrow(cpu=0)"), *_one("late", "q")])
    assert tried(engine) == {}
    assert limit_of(engine, "late") == ("q", "borrowing")
    finish(engine, ["a-0", "a-1"])
    assert tried(engine) == {}, "still as much as it may have"
    finish(engine, ["a-2"])
    assert tried(engine) == {"late": 1}


def _one(name, where):
    from tests.textcluster import gang

    return gang(name, f"1x cpu=1, queue {where}", created=99)


def test_room_that_a_sibling_gives_back_wakes_who_waits_for_the_pool():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: deserved(cpu=4) borrow(cpu=0)",
        "queue one: parent=dept deserved(cpu=2)",
        "queue two: parent=dept deserved(cpu=2)",
        "gang a: 3x cpu=1, queue one",
        "gang b: 2x cpu=1, queue two",
        policy=TREE,
    )
    assert tried(engine) == {"a": 3}
    assert limit_of(engine, "b") == ("dept", "borrowing")
    finish(engine, ["a-0"])
    assert tried(engine) == {"b": 2}


@pytest.mark.parametrize(
    "edit",
    ["deserved(cpu=4) lend(cpu=3)", "deserved(cpu=4)", "deserved(cpu=2) lend(cpu=0)", "capability(cpu=1)"],
)
def test_an_edit_of_one_queue_wakes_those_who_may_borrow_more(edit):
    engine = engine_with("1 nodes: cpu=6", "queue keeps: deserved(cpu=4) lend(cpu=0)", "gang a: 3x cpu=1", policy=FIFO)
    assert tried(engine) == {}
    engine.observe([queue("keeps", edit)])
    assert tried(engine) == {"a": 3}


def test_what_can_never_be_lent_is_promised_nothing():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: capability(cpu=4)",
        "queue one: parent=dept deserved(cpu=1) borrow(cpu=0)",
        "queue two: parent=dept",
        "gang a: 3x cpu=1, queue one, needs(cpu=3)",
        "gang b: 4x cpu=1, queue two, needs(cpu=4)",
        policy=TREE,
    )
    assert tried(engine) == {"b": 4}
    assert limit_of(engine, "a") == ("one", "borrowing")
    assert engine.state.queues.by_name["dept"].inqueue == {}


def test_without_limits_nothing_is_computed():
    engine = engine_with("1 nodes: cpu=6", "queue q: deserved(cpu=4)", "gang a: 6x cpu=1, queue q", policy=FIFO)
    assert tried(engine) == {"a": 6}
    tree = engine.state.queues
    assert (tree.bounded, tree.lenders, tree.by_name["q"].quota) == ((), (), {})


def test_the_sums_of_a_tree_are_kueues():
    """SubtreeQuota, localQuota and usage of a three-level tree, worked out by hand from the published recurrences."""
    engine = engine_with(
        "1 nodes: cpu=20",
        "queue dept: deserved(cpu=10) lend(cpu=5)",
        "queue one: parent=dept deserved(cpu=4) lend(cpu=1)",
        "queue two: parent=dept deserved(cpu=4)",
        "gang a: 5x cpu=1, queue one",
        policy=TREE,
    )
    tried(engine)
    by_name = engine.state.queues.by_name
    assert [by_name[name].quota.get(1) for name in ("one", "two", "dept")] == [4000, 4000, 2000 + 1000 + 4000]
    assert [by_name[name].kept.get(1, 0) for name in ("one", "two", "dept")] == [3000, 0, 2000]
    assert {name: sums.get(1) for name, sums in staying(engine._view).items()} == {"dept": 3000, "root": 3000 + 2000}
    assert pool(engine._view, 1) == 20_000 - 3000 - 2000
    assert bound(cycle(engine)) == {}


def test_fair_shares_and_lending_hold_together():
    engine = engine_with(
        "1 nodes: cpu=8",
        "queue a: deserved(cpu=2) borrow(cpu=1)",
        "queue b:",
        "gang a: 8x cpu=1, min 1, queue a",
        "gang b: 8x cpu=1, min 1, queue b",
        policy=DEFAULT,
    )
    assert tried(engine) == {"a": 3, "b": 4}, "b's share is half; what a may not borrow stays free until b may have it"
