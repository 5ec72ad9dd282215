"""Volcano's tdm plugin: are nodes shared by the hour used in their hours only, by those who may be evicted again?"""

import msgspec
import pytest

from flowbatch.errors import SpecErrors
from flowbatch.model.ids import Instant
from flowbatch.policy.tdm import Hours, may_lose, of_total
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import bound, confirm, cycle, engine_with, evicted, facts, gangs_bound, seen_again, shape, why

HOUR = 3_600_000
DAY = 24 * HOUR


def policy(**arguments):
    arguments = arguments or {"tdm.revocable-zone.rz1": "10:00-21:00"}
    plugins = [{"name": "tdm", "arguments": arguments}, {"name": "predicates"}]
    return read_volcano({"actions": "enqueue, allocate, shuffle", "tiers": [{"plugins": plugins}]})


LINES = ("node shared: cpu=4 volcano.sh/revocable-zone:rz1", "node own: cpu=1")


def revocable(*lines):
    """The facts of a text cluster in which every pod of gangs may be evicted."""
    marks = (("volcano.sh/revocable-zone", "*"),)
    for fact in facts(*lines):
        if getattr(fact, "gang", None) is not None:
            yield msgspec.structs.replace(fact, shape=msgspec.structs.replace(fact.shape, marks=marks))
        else:
            yield fact


def engine_of(*lines, now=12 * HOUR, **arguments):
    engine = engine_with(policy=policy(**arguments))
    engine.observe(list(revocable(*LINES, *lines)))
    return engine, cycle(engine, now)


def test_revocable_nodes_take_revocable_pods_in_their_hours_and_first():
    _, plan = engine_of("gang g: 3x cpu=1")
    assert set(bound(plan).values()) == {"shared"}


def test_ordinary_pods_never_go_to_a_revocable_node():
    engine = engine_with(*LINES, "gang g: 2x cpu=1", policy=policy())
    assert bound(cycle(engine, 12 * HOUR)) == {}
    assert "1 node(s) of revocable zone rz1 take only preemptable pods" in why(engine, "g")


def test_a_closed_zone_takes_nobody_and_its_opening_wakes_those_who_wait():
    engine, plan = engine_of("gang g: 2x cpu=1", now=9 * HOUR)
    assert bound(plan) == {}
    assert "closed at this hour" in why(engine, "g")
    assert plan.wake_at == 10 * HOUR
    assert bound(cycle(engine, 10 * HOUR - 1)) == {}
    plan = cycle(engine, 10 * HOUR)
    assert gangs_bound(plan) == {"g": 2}
    assert plan.wake_at == 21 * HOUR


def test_hours_may_go_over_midnight():
    assert Hours(22 * 60, 6 * 60).open_at(Instant(2 * HOUR))
    assert not Hours(22 * 60, 6 * 60).open_at(Instant(12 * HOUR))
    assert Hours(60, 60).open_at(Instant(12 * HOUR))
    assert Hours(22 * 60, 6 * 60).next_turn(Instant(DAY + 23 * HOUR)) == 2 * DAY + 6 * HOUR


def test_a_zone_without_hours_is_never_open():
    engine = engine_with(policy=policy())
    engine.observe(list(revocable("node x: cpu=4 volcano.sh/revocable-zone:other", "gang g: 1x cpu=1")))
    assert bound(cycle(engine, 12 * HOUR)) == {}


def test_gangs_that_may_be_evicted_come_last():
    engine = engine_with("node n: cpu=1", policy=policy())
    events = list(facts("gang soft: 1x cpu=1", "gang hard: 1x cpu=1"))
    events = [
        msgspec.structs.replace(fact, preemptable=True) if getattr(fact, "id", "") == "ns/soft" else fact
        for fact in events
    ]
    engine.observe(events)
    assert gangs_bound(cycle(engine)) == {"hard": 1}


@pytest.mark.parametrize(
    ("budget", "gone"),
    [({}, 1), ({"may_lack": "2"}, 2), ({"may_lack": "50%"}, 2), ({"must_keep": "1"}, 3), ({"must_keep": "100%"}, 0)],
)
def test_when_a_zone_closes_so_many_go_at_a_time_as_the_gang_can_bear(budget, gone):
    engine, plan = engine_of("gang g: 4x cpu=1")
    confirm(engine, plan)
    gang = engine.state.gangs["ns/g"]
    engine.observe([msgspec.structs.replace(gang.fact, **budget)])
    assert evicted(cycle(engine, 20 * HOUR)) == []
    engine.observe([seen_again(engine, "g-0", preemptable=False)])
    (source,) = engine.policy.shufflers
    assert all(task.fact.name != "g-0" for task in source.victims(engine._view))
    assert len(evicted(cycle(engine, 21 * HOUR))) == gone


def test_the_end_of_the_hours_evicts_through_the_shuffle_action_and_again_each_period():
    engine, plan = engine_of("gang g: 3x cpu=1", **{"tdm.revocable-zone.rz1": "10:00-21:00", "tdm.evict.period": "2m"})
    confirm(engine, plan)
    plan = cycle(engine, 21 * HOUR - 1_000)
    assert evicted(plan) == []
    assert plan.wake_at == 21 * HOUR
    plan = cycle(engine, 21 * HOUR)
    assert evicted(plan) == ["g-0"]
    assert plan.wake_at == 21 * HOUR + 120_000
    assert evicted(cycle(engine, 21 * HOUR + 119_000)) == []
    assert evicted(cycle(engine, 21 * HOUR + 120_000)) == ["g-1"]


def test_a_budget_that_makes_no_sense_keeps_everybody():
    assert (of_total("x", 9), of_total("", 9), of_total("-1", 9), of_total("34%", 3)) == (0, 0, 0, 2)
    engine, plan = engine_of("gang g: 2x cpu=1")
    confirm(engine, plan)
    gang = engine.state.gangs["ns/g"]
    engine.observe([msgspec.structs.replace(gang.fact, may_lack="many")])
    assert may_lose(gang) == 0


def test_hours_that_are_none_are_a_problem_with_its_path():
    with pytest.raises(SpecErrors, match=r"tdm.revocable-zone.a"):
        policy(**{"tdm.revocable-zone.a": "10-12"})
    with pytest.raises(SpecErrors, match=r"tdm.evict.period"):
        policy(**{"tdm.evict.period": "soon"})


def test_the_shape_of_a_revocable_pod_is_another_one():
    assert shape("cpu=1") != msgspec.structs.replace(shape("cpu=1"), marks=(("volcano.sh/revocable-zone", "*"),))
