"""Limits of namespaces and users inside a queue: whose are they, and what do they say?"""

import msgspec
import pytest

from flowbatch.engine.events import GangGone, GangSeen
from flowbatch.model.blockers import NeedsQuota
from tests.textcluster import blocker, bound, confirm, cycle, engine_with, finish, gangs_bound, queue, why


def tried(engine):
    placed = cycle(engine)
    confirm(engine, placed)
    return gangs_bound(placed)


def test_a_user_holds_no_more_than_the_limit_that_names_them():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: user-ann(cpu=2)",
        "gang a: 2x cpu=1, queue q, user ann",
        "gang b: 1x cpu=1, queue q, user ann",
        "gang c: 1x cpu=1, queue q, user bob",
        "gang d: 1x cpu=1, user ann",
    )
    assert tried(engine) == {"a": 2, "c": 1, "d": 1}, "other users and other queues are free"
    assert engine.blocker_of("ns/b") == NeedsQuota("q", "owner", (("cpu", 1000),), False, "user ann", (("cpu", 2000),))
    assert 'short 1 cpu in queue "q" (limit of user ann; it holds 2 cpu)' in why(engine, "b")


def test_the_star_is_each_of_all_the_others_by_themselves():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: user-ann(cpu=3) user-*(cpu=1)",
        *[f"gang {user}{i}: 1x cpu=1, queue q, user {user}" for user in ("ann", "bob", "eve") for i in range(4)],
        *[f"gang nobody{i}: 1x cpu=1, queue q" for i in range(2)],
    )
    placed = list(tried(engine))
    counts = {name: sum(each.startswith(name) for each in placed) for name in ("ann", "bob", "eve", "nobody")}
    assert counts == {"ann": 3, "bob": 1, "eve": 1, "nobody": 1}


def test_namespaces_are_limited_alike():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: namespace-*(cpu=2)",
        *[f"gang {team}/g{team}{i}: 1x cpu=1, queue q" for team in ("red", "blue") for i in range(3)],
    )
    assert sorted(tried(engine)) == ["gblue0", "gblue1", "gred0", "gred1"]
    assert "limit of namespace red; it holds 2 cpu" in why(engine, "red/gred2")


def test_equal_gangs_of_two_users_do_not_wait_for_each_other():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: user-ann(cpu=1)",
        *[f"gang a{i}: 1x cpu=1, queue q, user ann" for i in range(3)],
        *[f"gang b{i}: 1x cpu=1, queue q, user bob" for i in range(3)],
    )
    assert sorted(tried(engine)) == ["a0", "b0", "b1", "b2"]


def test_a_limit_above_holds_below():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue dept: user-ann(cpu=2)",
        "queue x: parent=dept",
        "queue y: parent=dept",
        "gang a: 2x cpu=1, queue x, user ann",
        "gang b: 1x cpu=1, queue y, user ann",
    )
    assert tried(engine) == {"a": 2}
    assert engine.blocker_of("ns/b").queue == "dept"


def test_jobs_are_counted_while_they_hold_something():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: jobs-of-user-ann=1",
        "gang a: 2x cpu=1, queue q, user ann",
        "gang b: 1x cpu=1, queue q, user ann",
    )
    assert tried(engine) == {"a": 2}
    assert 'short 1 jobs in queue "q" (limit of user ann; it holds 1 jobs)' in why(engine, "b")
    finish(engine, ["a-0"])
    assert tried(engine) == {}
    finish(engine, ["a-1"])
    assert tried(engine) == {"b": 1}


def test_the_job_that_is_counted_may_grow():
    engine = engine_with("1 nodes: cpu=2", "queue q: jobs-of-user-ann=1", "gang a: 4x cpu=1, min 1, queue q, user ann")
    assert tried(engine) == {"a": 2}
    finish(engine, ["a-0"])
    assert tried(engine) == {"a": 1}


def test_members_beyond_the_minimum_count_as_well():
    engine = engine_with("1 nodes: cpu=9", "queue q: user-ann(cpu=3)", "gang a: 9x cpu=1, min 1, queue q, user ann")
    assert tried(engine) == {"a": 3}


def test_room_held_for_members_to_come_counts_as_well():
    engine = engine_with(
        "1 nodes: cpu=9",
        "queue q: user-ann(cpu=3)",
        "gang a: 1x ps cpu=1, ?2x worker cpu=1 ~ps, min 3, queue q, user ann",
        "gang b: 1x cpu=1, queue q, user ann",
    )
    assert tried(engine) == {"a": 1}
    assert blocker(engine, "b") == "NeedsQuota"


@pytest.mark.parametrize("needs", ["user-ann(cpu=2)", "jobs-of-user-ann=0"])
def test_pods_are_not_even_made_for_what_its_owner_can_never_have(needs):
    engine = engine_with("1 nodes: cpu=9", f"queue q: {needs}", "gang a: min 3, queue q, user ann, needs(cpu=3)")
    cycle(engine)
    engine.observe([])
    assert engine.state.gangs["ns/a"].phase != "Inqueue"


def test_a_raised_limit_wakes_its_owner():
    engine = engine_with("1 nodes: cpu=9", "queue q: user-ann(cpu=1)", "gang a: 2x cpu=1, queue q, user ann")
    assert bound(cycle(engine)) == {}
    engine.observe([queue("q", "user-ann(cpu=2)")])
    assert tried(engine) == {"a": 2}


def test_a_dropped_limit_wakes_everybody():
    engine = engine_with("1 nodes: cpu=9", "queue q: user-*(cpu=1)", "gang a: 2x cpu=1, queue q, user ann")
    assert bound(cycle(engine)) == {}
    engine.observe([queue("q", "")])
    assert tried(engine) == {"a": 2}


def test_limits_that_come_later_count_what_runs_already():
    engine = engine_with("1 nodes: cpu=9", "queue q:", "gang a: 2x cpu=1, queue q, user ann")
    tried(engine)
    engine.observe([queue("q", "user-ann(cpu=2)"), *_another("ann")])
    assert tried(engine) == {}
    assert blocker(engine, "later") == "NeedsQuota"
    engine.observe([GangGone("ns/a")])
    assert tried(engine) == {"later": 1}


def _another(user):
    from tests.textcluster import gang

    return gang("later", f"1x cpu=1, queue q, user {user}", created=99)


def test_a_gang_that_changes_hands_is_on_the_other_account():
    engine = engine_with("1 nodes: cpu=9", "queue q: user-*(cpu=2)", "gang a: 2x cpu=1, queue q, user ann")
    tried(engine)
    fact = engine.state.gangs["ns/a"].fact
    assert isinstance(fact, GangSeen)
    engine.observe([msgspec.structs.replace(fact, user="bob"), *_another("ann")])
    assert tried(engine) == {"later": 1}
    accounts = engine.state.queues.by_name["q"].accounts
    assert {owner: sums.get(1) for owner, sums in accounts.held.items()} == {
        ("user", "bob"): 2000,
        ("user", "ann"): 1000,
    }


def test_of_two_limits_for_one_user_the_first_counts():
    engine = engine_with(
        "1 nodes: cpu=9", "queue q: user-ann(cpu=1) user-ann(cpu=5)", "gang a: 1x cpu=1, queue q, user ann"
    )
    assert tried(engine) == {"a": 1}
