"""Budget, determinism, replay, questions to the outside, policies that fail, and the work that is not done."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from flowbatch.engine.decisions import Ask, PolicyReport, Step
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Answered, Event, NodeSeen, PolicyDropped, Synced
from flowbatch.engine.replay import Adopted, Cycled, Observed, decode, digest_of, encode, record, replay
from flowbatch.model.blockers import NeedsTime
from flowbatch.policy.presets import DEFAULT, FIFO, SPREAD
from tests.textcluster import (
    TICK,
    binds,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    facts,
    finish,
    gangs_bound,
    node,
    why,
)

LINES = (
    "5 nodes: cpu=4 zone:a",
    "node t: cpu=8 !gpu=yes:NoSchedule",
    "queue q: weight=2",
    *[f"gang g{i}: {i % 3 + 1}x cpu={i % 2 + 1}, queue {'q' if i % 2 else 'default'}" for i in range(12)],
)


def test_budget_cuts_a_cycle_and_the_rest_follows():
    engine = engine_with("9 nodes: cpu=1", *[f"gang g{i}: 1x cpu=1" for i in range(9)])
    whole, cycles, more = 0, 0, True
    while more:
        plan = cycle(engine, budget=2)
        more, cycles, whole = plan.more, cycles + 1, whole + len(binds(plan))
    assert whole == 9
    assert cycles > 5


def test_budget_does_not_change_what_is_decided():
    small, large = engine_with(*LINES), engine_with(*LINES)
    placed: dict[str, str] = {}
    for _ in range(100):
        placed |= bound(cycle(small, budget=1))
    assert bound(cycle(large)) == placed


def test_replay_finds_the_first_difference():
    events = [*facts(*LINES), Synced()]
    journal = record([(events, TICK), ([node("n9")], TICK)])
    lines = [encode(entry) for entry in journal]
    assert replay(decode(lines)) is None
    found = replay(decode(lines), FIFO)
    assert found is not None
    assert found.cycle == 1
    assert "cycle 1" in str(found)


def test_a_journal_that_names_its_policies_replays_across_changes_of_them_and_across_a_new_engine():
    engine, events = engine_with(policy=FIFO), [*facts(*LINES), Synced()]
    entries: list = [Observed((*facts(), Synced())), Adopted("fifo"), Observed(tuple(events))]
    engine.observe(events)
    entries.append(Cycled(TICK, 1, digest_of(engine.cycle(TICK))))
    engine.adopt(SPREAD)
    engine.observe([node("n9")])
    entries += [Adopted("spread"), Observed((node("n9"),)), Cycled(TICK, 2, digest_of(engine.cycle(TICK)))]
    fresh = engine_with(*LINES, policy=SPREAD)
    entries += [Adopted({"preset": "spread", "name": "spread"}, anew=True), Observed(tuple(events))]
    entries.append(Cycled(TICK, 1, digest_of(fresh.cycle(TICK))))
    lines = [encode(entry) for entry in entries]
    assert replay(decode(lines)) is None
    assert replay(decode(lines), FIFO) is not None
    assert replay([each for each in entries if each != Adopted("spread")]) is not None


def test_journal_lines_are_read_back_as_they_were():
    journal = record([([*facts(*LINES), Synced()], TICK)])
    assert journal == list(decode(encode(entry) for entry in journal))
    assert [Observed, Cycled] == [type(entry) for entry in journal]


def test_same_plans_under_every_hash_seed():
    script = (
        "from tests.textcluster import *; from tests.pure.engine.test_engine_contract import LINES;"
        "from flowbatch.engine.replay import digest_of; e = engine_with(*LINES); p = cycle(e); confirm(e, p);"
        "q = cycle(e); finish(e, list(bound(p))[:6]); print(digest_of(p), digest_of(q), digest_of(cycle(e)))"
    )
    root = Path(__file__).parents[3]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0].split()) == 3


def test_two_engines_share_nothing():
    one, two = engine_with(*LINES), engine_with(*LINES)
    first = cycle(one)
    confirm(one, first)
    cycle(one)
    assert digest_of(first) == digest_of(cycle(two))


def test_events_survive_json():
    events = facts(*LINES)
    assert events == msgspec.json.decode(msgspec.json.encode(events), type=list[Event])


@dataclass(frozen=True)
class AskAlways:
    def question(self, gang, placed, view):
        return f"may {gang.id} have {len(placed)} places?"


@dataclass(frozen=True)
class OneStep:
    def steps(self, task, node, view):
        return (Step("annotation", "rank", str(task.fact.index)),)


@dataclass(frozen=True)
class Broken:
    weight: float = 1.0
    trend: str = "any"

    def key(self, gang, view):
        raise ValueError("order")

    def score(self, shape, rows, extra, view):
        raise ValueError("score")

    def admits(self, shape, node, view):
        raise ValueError("filter")

    def blocker(self, gang, view):
        raise ValueError("gate")


@dataclass(frozen=True)
class NotYet:
    def blocker(self, gang, view):
        return NeedsTime(5_000, "not before five") if view.now < 5_000 else None


def test_orders_wait_for_the_answer_and_capacity_is_held_meanwhile():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=3", policy=replace(DEFAULT, confirmations=(AskAlways(),)))
    plan = cycle(engine)
    asks = [each for each in plan.decisions if isinstance(each, Ask)]
    assert [ask.question for ask in asks] == ["may ns/a have 1 places?"]
    assert bound(plan) == {}
    assert engine.state.table.free_at(1, 0) == 1000
    engine.observe([Answered(asks[0].ask, "yes")])
    assert bound(cycle(engine)) == {"a-0": "n1"}


def test_answer_no_gives_the_room_back_and_is_not_asked_again_at_once():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=3", policy=replace(DEFAULT, confirmations=(AskAlways(),)))
    ask = next(each for each in cycle(engine).decisions if isinstance(each, Ask))
    engine.observe([Answered(ask.ask, "no licence")])
    plan = cycle(engine)
    assert not [each for each in plan.decisions if isinstance(each, Ask)]
    assert engine.state.table.free_at(1, 0) == 4000
    assert "no licence" in why(engine, "a")


def test_steps_are_carried_by_the_binding():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1", policy=replace(DEFAULT, steps=(OneStep(),)))
    assert [bind.before[0].value for bind in binds(cycle(engine))] == ["0", "1"]


def test_policies_that_raise_are_left_out_counted_and_reported():
    broken = replace(
        DEFAULT,
        gang_order=(Broken(), *DEFAULT.gang_order),
        scores=(Broken(), *DEFAULT.scores),
        filters=(Broken(), *DEFAULT.filters),
        admission=(Broken(),),
    )
    engine = engine_with("2 nodes: cpu=2", "gang a: 3x cpu=1", "gang b: 2x cpu=1", policy=broken)
    plan = cycle(engine)
    assert gangs_bound(plan) == {"a": 3}
    report = next(each for each in plan.decisions if isinstance(each, PolicyReport))
    assert (report.policy, report.failures > 1) == ("Broken", True)


def test_dropped_policy_has_no_say_until_another_is_adopted():
    engine = engine_with("node n1: cpu=4 !k=v:NoSchedule", "gang a: 1x cpu=1")
    assert bound(cycle(engine)) == {}
    engine.observe([PolicyDropped("Taints", "too slow")])
    assert bound(cycle(engine)) == {"a-0": "n1"}


def test_time_is_waited_for_with_wake_at():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1", policy=replace(DEFAULT, admission=(NotYet(),)))
    plan = cycle(engine, now=1_000)
    assert bound(plan) == {}
    assert plan.wake_at == 5_000
    assert blocker(engine, "a") == "NeedsTime"
    assert bound(cycle(engine, now=4_999)) == {}
    assert gangs_bound(cycle(engine, now=5_000)) == {"a": 1}


def test_adopting_another_policy_keeps_what_is_placed_and_decides_the_rest_anew():
    engine = engine_with("1 nodes: cpu=4", "gang a: 2x cpu=1", "gang b: 1x cpu=9")
    first = cycle(engine)
    engine.adopt(FIFO)
    assert bound(cycle(engine)) == {}
    confirm(engine, first)
    finish(engine, ["a-0"])
    cycle(engine)
    assert blocker(engine, "b") == "NeedsCapacity"


@dataclass(frozen=True)
class Apart:
    """No two pods of one gang on one node."""

    by_placement = True

    def admits(self, shape, node, view):
        placed = view.table.capacity_at(1, node.row) - view.table.free_at(1, node.row)
        return "somebody is here" if placed else None


def test_filters_that_look_at_placements_see_those_of_this_attempt():
    policy = replace(DEFAULT, filters=(*DEFAULT.filters, Apart()))
    engine = engine_with("2 nodes: cpu=4", "gang a: 2x cpu=1", "gang b: 1x cpu=1", policy=policy)
    first = cycle(engine)
    assert sorted(bound(first).values()) == ["n1", "n2"]
    confirm(engine, first)
    assert bound(cycle(engine)) == {}
    finish(engine, ["a-1"])
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_ledgers_hear_of_every_placement_and_removal():
    class Count:
        total = 0

        def placed(self, gang, shape, count):
            Count.total += count

        def removed(self, gang, shape, count):
            Count.total -= count

    policy = replace(DEFAULT, ledgers=(Count,))
    engine = engine_with("1 nodes: cpu=4", "gang a: 3x cpu=1", "gang b: 3x cpu=1", policy=policy)
    confirm(engine, cycle(engine))
    assert Count.total == 3
    finish(engine, ["a-0"])
    assert Count.total == 2


# -- work that is not done


def hopeless(count: int) -> Engine:
    engine = engine_with("50 nodes: cpu=4", *[f"gang h{i}: 2x cpu=8, phase Inqueue" for i in range(count)])
    cycle(engine)
    return engine


def test_equal_hopeless_gangs_cost_one_attempt():
    engine = hopeless(200)
    assert engine.counters.attempts == 1
    assert sum(engine.parked().values()) == 200


def test_ends_do_not_wake_the_hopeless():
    engine = hopeless(200)
    from tests.textcluster import gang

    engine.observe(gang("fine", "2x cpu=2, phase Inqueue"))
    plan = cycle(engine)
    assert gangs_bound(plan) == {"fine": 2}
    confirm(engine, plan)
    before = engine.counters.as_dict()
    finish(engine, ["fine-0", "fine-1"])
    cycle(engine)
    assert before["attempts"] == engine.counters.attempts
    assert before["lanes_woken"] == engine.counters.lanes_woken


def test_room_that_is_too_small_wakes_nobody():
    engine = engine_with(
        "1 nodes: cpu=4", "pod small: cpu=1 on n1", "pod large: cpu=3 on n1", "gang a: 1x cpu=2, phase Inqueue"
    )
    from flowbatch.engine.events import PodGone

    cycle(engine)
    attempts = engine.counters.attempts
    engine.observe([PodGone("small")])
    cycle(engine)
    assert attempts == engine.counters.attempts
    engine.observe([PodGone("large")])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_only_the_first_of_equal_gangs_is_tried_when_room_comes():
    engine = engine_with(
        "1 nodes: cpu=2", "pod o: cpu=2 on n1", *[f"gang g{i}: 1x cpu=2, phase Inqueue" for i in range(50)]
    )
    from flowbatch.engine.events import PodGone

    cycle(engine)
    attempts = engine.counters.attempts
    engine.observe([PodGone("o")])
    assert gangs_bound(cycle(engine)) == {"g0": 1}
    assert engine.counters.attempts - attempts <= 2


def test_mask_is_built_once_per_shape_and_patched_by_row():
    engine = engine_with("40 nodes: cpu=4", "gang a: 9x cpu=1", "gang b: 9x cpu=1")
    cycle(engine)
    assert engine.counters.masks_built == 1
    engine.observe([NodeSeen("n1", engine.state.nodes["n1"].fact.allocatable, (("zone", "z"),))])
    from tests.textcluster import gang

    engine.observe(gang("c", "9x cpu=1, phase Inqueue"))
    cycle(engine)
    assert (engine.counters.masks_built, engine.counters.mask_rows_patched) == (1, 1)


def test_gang_of_many_equal_pods_is_one_search():
    engine = engine_with("50 nodes: cpu=4", "gang a: 200x cpu=1, phase Inqueue")
    assert len(binds(cycle(engine))) == 200
    assert engine.counters.shapes_evaluated == 1
