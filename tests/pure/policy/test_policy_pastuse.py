"""Fair share with memory: is past use counted exactly, does it fade, does it decide, and does it outlive a restart?"""

from random import Random

import msgspec
import pytest

from flowbatch.engine.decisions import Remember
from flowbatch.engine.events import PastUse
from flowbatch.errors import SpecErrors
from flowbatch.model.memory import Memory
from flowbatch.policy.conf import read_policy
from tests.textcluster import binds, confirm, cycle, engine_with, facts, finish, gang, gangs_bound, queue

HALF_LIFE_S = 1_000
HOUR_MS = 3_600_000


def remembering(**changes):
    order = [{"name": "pastUse", "half_life_s": HALF_LIFE_S}]
    return read_policy({"queueOrder": order, "limits": ["capability"], "shares": None, **changes})


FAIR = remembering()
BY_USER = remembering(
    gangOrder=["priority", "unreadyFirst", {"name": "ownerPastUse", "half_life_s": HALF_LIFE_S, "by": "user"}]
)


def order(plan):
    return [str(bind.gang).partition("/")[2] for bind in binds(plan)]


# -- the integral


def test_use_is_an_integral_that_fades_by_half():
    memory = Memory(0)
    memory.turn({1: 1000}, 0, 10_000)
    assert memory.until(10_000, 10_000)[1] == pytest.approx(1000 * 10 / 0.6931471805599453 * 0.5)
    memory.turn({}, 10_000, 10_000)
    before = memory.until(10_000, 10_000)[1]
    assert memory.until(20_000, 10_000)[1] == pytest.approx(before / 2)
    assert memory.until(40_000, 10_000)[1] == pytest.approx(before / 8)


def test_what_was_held_for_ever_is_its_own_mean():
    memory = Memory(0)
    memory.turn({1: 700}, 0, 1_000)
    assert memory.mean(100_000_000, 1_000)[1] == pytest.approx(700)


@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_matter_how_often_it_is_looked_at(seed):
    luck = Random(seed)
    moments = sorted(luck.randrange(1_000_000) for _ in range(40))
    held = [{1: luck.randrange(5)} for _ in moments]
    seldom, often = Memory(0), Memory(0)
    for now, sums in zip(moments, held, strict=True):
        seldom.turn(sums, now, 50_000)
        often.turn(sums, now, 50_000)
        often.turn(sums, now + 1, 50_000)  # nothing changes
    exact = 0.0
    for (now, sums), after in zip(zip(moments, held, strict=True), [*moments[1:], 1_000_000], strict=True):
        span = 50 / 0.6931471805599453 * (0.5 ** ((1_000_000 - after) / 50_000) - 0.5 ** ((1_000_000 - now) / 50_000))
        exact += sums[1] * span
    assert seldom.until(1_000_000, 50_000).get(1, 0) == pytest.approx(exact)
    assert often.until(1_000_000, 50_000).get(1, 0) == pytest.approx(exact)


def test_a_clock_that_goes_back_takes_nothing_away():
    memory = Memory(5_000)
    memory.turn({1: 10}, 5_000, 1_000)
    assert memory.until(1_000, 1_000) == {}
    memory.turn({}, 1_000, 1_000)
    assert memory.at == 5_000


# -- who comes first


def life(*lines, policy=FAIR):
    """Queue a has the cluster for an hour, then both wait for what it frees."""
    engine = engine_with(
        "1 nodes: cpu=4", "queue a:", "queue b:", "gang first: 4x cpu=1, queue a", *lines, policy=policy
    )
    confirm(engine, cycle(engine, now=1_000))
    cycle(engine, now=1_000)
    engine.observe(
        [event for q in "ab" for i in range(4) for event in gang(f"{q}{i}", f"1x cpu=1, queue {q}", created=50 + i)]
    )
    cycle(engine, now=1_000 + HOUR_MS)
    return engine


def test_who_used_more_comes_later_when_both_wait():
    engine = life()
    finish(engine, [f"first-{i}" for i in range(4)])
    assert order(cycle(engine, now=1_000 + HOUR_MS)) == ["b0", "b1", "b2", "b3"]


def test_without_a_past_queues_take_turns():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue a:",
        "queue b:",
        *[f"gang {q}{i}: 1x cpu=1, queue {q}" for q in "ab" for i in range(4)],
        policy=FAIR,
    )
    assert order(cycle(engine)) == ["a0", "b0", "a1", "b1"]


def test_the_past_fades():
    engine = life()
    finish(engine, [f"first-{i}" for i in range(4)])
    engine.observe(facts("pod other: cpu=4 on n1")[2:])
    cycle(engine, now=1_000 + HOUR_MS)
    later = 1_000 + HOUR_MS + 30 * HALF_LIFE_S * 1_000
    engine.observe([msgspec.structs.replace(engine.state.tasks["other"].fact, phase="Succeeded")])
    assert sorted(order(cycle(engine, now=later))) == ["a0", "a1", "b0", "b1"], "forgotten: in turns again"


def test_weights_count():
    engine = engine_with(
        "1 nodes: cpu=6",
        "queue a: weight=2",
        "queue b:",
        *[f"gang {q}{i}: 1x cpu=1, queue {q}" for q in "ab" for i in range(6)],
        policy=FAIR,
    )
    assert sorted(order(cycle(engine))) == ["a0", "a1", "a2", "a3", "b0", "b1"]


def test_the_past_of_a_department_is_that_of_all_its_teams():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue left:",
        "queue right:",
        "queue a: parent=left",
        "queue b: parent=left",
        "queue z: parent=right",
        "gang first: 4x cpu=1, queue a",
        policy=FAIR,
    )
    confirm(engine, cycle(engine, now=1_000))
    engine.observe(
        [event for q in "bz" for i in range(4) for event in gang(f"{q}{i}", f"1x cpu=1, queue {q}", created=50 + i)]
    )
    cycle(engine, now=1_000 + HOUR_MS)
    finish(engine, [f"first-{i}" for i in range(4)])
    assert order(cycle(engine, now=1_000 + HOUR_MS)) == ["z0", "z1", "z2", "z3"], "b itself used nothing"


def test_inside_a_queue_users_take_turns_by_what_they_used():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue q:",
        "gang first: 2x cpu=1, queue q, user ann",
        policy=BY_USER,
    )
    confirm(engine, cycle(engine, now=1_000))
    engine.observe(
        [
            event
            for user in ("ann", "bob")
            for i in range(4)
            for event in gang(f"{user}{i}", f"1x cpu=2, queue q, user {user}", created=50 + i)
        ]
    )
    assert gangs_bound(cycle(engine, now=1_000 + HOUR_MS)) == {"bob0": 1}


def test_one_that_was_served_goes_behind_the_other_users():
    engine = engine_with(
        "1 nodes: cpu=4",
        "queue q:",
        *[f"gang {user}{i}: 1x cpu=1, queue q, user {user}" for user in ("ann", "bob", "eve") for i in range(3)],
        policy=BY_USER,
    )
    assert order(cycle(engine)) == ["ann0", "bob0", "eve0", "ann1"]


def test_waiting_gangs_are_put_in_order_anew_now_and_then_and_only_while_somebody_waits():
    engine = engine_with("1 nodes: cpu=1", "queue q:", "gang a: 1x cpu=1, queue q, user ann", policy=BY_USER)
    first = cycle(engine, now=1_000)
    confirm(engine, first)
    assert cycle(engine, now=1_000).wake_at is None
    engine.observe(gang("b", "1x cpu=1, queue q, user bob", created=9))
    assert cycle(engine, now=2_000).wake_at == 62_000
    before = engine.counters.gangs_sorted
    cycle(engine, now=62_000)
    assert engine.counters.gangs_sorted == before + 1


# -- across restarts


def notes(plan):
    return {each.queue: each for each in plan.decisions if isinstance(each, Remember)}


def test_a_change_is_told_at_once_and_then_once_a_minute():
    engine = engine_with("1 nodes: cpu=4", "queue a:", "gang g: 2x cpu=1, min 1, queue a", policy=FAIR)
    plan = cycle(engine, now=1_000)
    assert notes(plan)["a"] == Remember("a", 1_000, (), (("cpu", 2000), ("pods", 2)))
    confirm(engine, plan)
    finish(engine, ["g-0"])
    plan = cycle(engine, now=11_000)
    assert notes(plan) == {}
    assert plan.wake_at == 61_000
    plan = cycle(engine, now=61_000)
    assert notes(plan)["a"].held == (("cpu", 1000), ("pods", 1))
    assert notes(plan)["a"].at == 11_000
    quiet = cycle(engine, now=500_000)
    assert (notes(quiet), quiet.wake_at) == ({}, None), "what goes on alike needs no words"


def test_without_the_policy_nothing_is_remembered():
    engine = engine_with("1 nodes: cpu=4", "queue a:", "gang g: 2x cpu=1, queue a")
    plan = cycle(engine)
    assert notes(plan) == {}
    assert plan.wake_at is None
    assert engine.state.queues.by_name["a"].memory is None


def note_of(engine, plan, name="a"):
    note = notes(plan)[name]
    return PastUse(note.at, note.used, note.held, note.owners)


def test_a_later_engine_takes_over_what_was_noted_and_goes_on_exactly():
    old = life()
    finish(old, [f"first-{i}" for i in range(4)])
    plan = cycle(old, now=1_000 + HOUR_MS)
    known = old.state.queues.by_name["a"].memory
    fact = msgspec.structs.replace(queue("a"), past_use=note_of(old, plan))
    new = engine_with("1 nodes: cpu=4", "queue b:", policy=FAIR)
    new.observe([fact])
    now = 1_000 + HOUR_MS + 5_000
    cycle(new, now=now)
    mean, expected = (each.mean(now, HALF_LIFE_S * 1000)[1] for each in (new.state.queues.by_name["a"].memory, known))
    assert mean == pytest.approx(expected)


def test_what_users_have_used_outlives_the_engine_too():
    old = engine_with("1 nodes: cpu=2", "queue q:", "gang first: 2x cpu=1, queue q, user ann", policy=BY_USER)
    plan = cycle(old, now=1_000)
    confirm(old, plan)
    cycle(old, now=1_000 + HOUR_MS)
    finish(old, ["first-0", "first-1"])
    note = note_of(old, cycle(old, now=2_000 + HOUR_MS), "q")
    assert [(each.kind, each.name, each.held) for each in note.owners] == [("user", "ann", ())]
    new = engine_with("1 nodes: cpu=1", policy=BY_USER)
    new.observe([msgspec.structs.replace(queue("q"), past_use=note)])
    new.observe(facts("gang a: 1x cpu=1, queue q, user ann", "gang b: 1x cpu=1, queue q, user bob"))
    assert order(cycle(new, now=3_000 + HOUR_MS)) == ["b"], "ann has had her turn, before this engine was there"


def test_of_very_many_users_those_who_used_most_are_noted(monkeypatch):
    monkeypatch.setattr("flowbatch.engine.memories.OWNERS_NOTED", 2)
    gangs = [f"gang g{i}: {i}x cpu=1, queue q, user u{i}" for i in (1, 2, 3)]
    engine = engine_with("1 nodes: cpu=8", "queue q:", *gangs, policy=BY_USER)
    plan = cycle(engine, now=1_000)
    confirm(engine, plan)
    finish(engine, [f"g{i}-{k}" for i in (1, 2, 3) for k in range(i)])
    plan = cycle(engine, now=1_000 + HOUR_MS)
    assert [each.name for each in notes(plan)["q"].owners] == ["u2", "u3"]


def test_an_engine_believes_itself_more_than_a_note():
    engine = life()
    own = engine.state.queues.by_name["a"].memory
    engine.observe([msgspec.structs.replace(queue("a"), past_use=PastUse(1, (("cpu", 1e12),)))])
    cycle(engine, now=2_000 + HOUR_MS)
    assert engine.state.queues.by_name["a"].memory is own
    assert own.used.get(1, 0) < 1e12


def test_a_note_that_comes_back_costs_nothing():
    engine = life()
    before = engine.counters.gangs_sorted
    engine.observe([msgspec.structs.replace(queue("a"), past_use=PastUse(1, ()))])
    cycle(engine, now=1_000 + HOUR_MS)
    assert engine.counters.gangs_sorted == before


@pytest.mark.parametrize(
    "note", [PastUse(1 << 60, (("cpu", 5.0),)), PastUse(-5, (("cpu", 0.0),)), PastUse(0, (("new", 1e300),))]
)
def test_a_strange_note_breaks_nothing(note):
    engine = engine_with("1 nodes: cpu=4", "gang g: 1x cpu=1, queue a", policy=FAIR)
    engine.observe([msgspec.structs.replace(queue("a"), past_use=note)])
    assert gangs_bound(cycle(engine, now=1_000)) == {"g": 1}


def test_the_memory_of_a_queue_goes_with_it():
    from flowbatch.engine.events import QueueGone

    engine = life()
    engine.observe([QueueGone("a")])
    engine.observe([queue("a")])
    cycle(engine, now=2_000 + HOUR_MS)
    assert engine.state.queues.by_name["a"].memory.used == {}


@pytest.mark.parametrize(
    ("argument", "told"),
    [({"by": "usr"}, "did you mean"), ({"half_life_s": 0}, "from 1 to 1000000000"), ({"half_life_s": 1e10}, "from 1")],
)
def test_arguments_out_of_range_are_mistakes(argument, told):
    with pytest.raises(SpecErrors, match=told):
        read_policy({"gangOrder": [{"name": "ownerPastUse", **argument}]})
    read_policy({"gangOrder": [{"name": "ownerPastUse", "by": "namespace", "half_life_s": 1_209_600}]})
