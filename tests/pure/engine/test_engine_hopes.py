"""Gangs that sleep while there may be room: who goes first, who is told what, and what others see of it."""

import pytest

from tests.textcluster import confirm, cycle, engine_with, finish, gangs_bound, more, reports, running, why


def test_whoever_comes_first_has_the_room_whether_asleep_or_awake():
    engine = running("1 node: cpu=4", "gang old: 1x cpu=4")
    more(engine, "gang late: 1x cpu=4", "gang first: 1x cpu=3, priority 5")
    finish(engine, ["old-0"])
    assert gangs_bound(more(engine, "gang newcomer: 1x cpu=2, priority 3")) == {"first": 1}


def test_a_lane_whose_first_gang_went_hopes_on_while_there_is_room():
    engine = running("1 node: cpu=4", "gang old: 1x cpu=4")
    more(engine, *(f"gang g{i}: 1x cpu=2" for i in range(4)))
    finish(engine, ["old-0"])
    before = engine.counters.as_dict()
    assert gangs_bound(cycle(engine)) == {"g0": 1, "g1": 1}
    assert engine.counters.attempts - before["attempts"] == 2, "room for two, and nobody else is tried"
    assert engine.counters.lanes_woken == before["lanes_woken"]


def test_room_that_was_hoped_for_and_taken_gives_hope_again_when_it_comes_back():
    engine = running("1 node: cpu=2", "gang a: 1x cpu=2")
    more(engine, "gang b: 1x cpu=2", "gang c: 1x cpu=1")
    finish(engine, ["a-0"])
    plan = cycle(engine)
    assert gangs_bound(plan) == {"b": 1}
    confirm(engine, plan)
    finish(engine, ["b-0"])
    assert gangs_bound(cycle(engine)) == {"c": 1}


def test_a_budget_that_is_spent_leaves_hope_for_the_next_cycle():
    engine = running("1 node: cpu=4", "gang old: 1x cpu=4")
    more(engine, *(f"gang g{i}: 1x cpu={1 + i % 2}" for i in range(4)))
    finish(engine, ["old-0"])
    plan = cycle(engine, budget=1)
    assert (gangs_bound(plan), plan.more) == ({"g0": 1}, True)
    assert gangs_bound(cycle(engine)) == {"g1": 1, "g2": 1}


@pytest.mark.parametrize(
    ("gate", "figure"), [("", "room for 0 of 1 pods"), (", needs(cpu=3)", "13 cpu is taken")], ids=["room", "gate"]
)
def test_those_who_sleep_on_are_told_nothing_new_and_why_has_the_figures_of_now(gate, figure):
    waiting = [f"gang g{i}: 1x cpu=3{gate}" for i in range(5)]
    engine = running("2 nodes: cpu=4", "gang a: 1x cpu=4", "gang b: 1x cpu=4", *waiting)
    finish(engine, ["a-0"])
    plan = cycle(engine)
    assert gangs_bound(plan) == {"g0": 1}
    assert set(reports(plan)) <= {"a", "b", "g0"}
    assert figure in why(engine, "g4")


def test_what_a_queue_at_its_limit_gives_back_goes_to_the_first_it_is_enough_for():
    engine = engine_with(
        "1 node: cpu=99",
        "queue q: capability(cpu=4)",
        "gang a: 1x cpu=2, queue q",
        "gang b: 1x cpu=2, queue q",
        "gang large: 1x cpu=4, queue q",
        "gang small: 1x cpu=2, queue q",
    )
    confirm(engine, cycle(engine))
    finish(engine, ["a-0"])
    before = engine.counters.as_dict()
    assert gangs_bound(cycle(engine)) == {"small": 1}
    assert engine.counters.attempts - before["attempts"] == 1, "the large one sleeps on"
