"""Can a policy of somebody else's break an invariant, starve a gang or make the engine spin? It must not, whatever it
answers; and what it did must be told."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from flowbatch.engine.decisions import PolicyReport
from flowbatch.engine.events import PolicyDropped
from flowbatch.engine.guard import Guard
from flowbatch.model.blockers import NeedsAnswer, NeedsCapacity, NeedsGang, NeedsTime, Refused
from flowbatch.policy.authoring import per_node, per_node_filter
from flowbatch.policy.presets import DEFAULT
from tests.factworld import World
from tests.props import test_props_walk
from tests.textcluster import bound, cycle, engine_with, gang, gangs_bound, phase, why

LINES = ("3 nodes: cpu=4", "gang a: 3x cpu=2", "gang b: 2x cpu=1", "gang c: 1x cpu=9")


def told(plan):
    return {each.policy: each.reason for each in plan.decisions if isinstance(each, PolicyReport)}


def stranger(**answers):
    """A policy that gives these answers; a callable is called."""

    class Stranger:
        weight, trend, kind, own, first_gang_may_exceed = 1.0, "any", "mine", False, False

    def method(answer):
        return lambda self, *args: answer(*args) if callable(answer) else answer

    for name, answer in answers.items():
        setattr(Stranger, name, method(answer))
        getattr(Stranger, name).__name__ = name
    return Stranger()


NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "method", "answer"),
    [
        ("gang_order", "key", None),
        ("gang_order", "key", 5),
        ("gang_order", "key", (NAN,)),
        ("gang_order", "key", (object(),)),
        ("gang_order", "key", tuple(range(99))),
        ("queue_order", "key", "text"),
        ("queue_order", "key", [float("inf")]),
        ("enqueue", "blocker", "no"),
        ("admission", "blocker", 7),
        ("limits", "limit", {"cpu": 1}),
        ("limits", "limit", {1: -5}),
        ("limits", "limit", {1: 1.5}),
        ("limits", "limit", [1]),
        ("filters", "admits", 1),
        ("filters", "refusals", [(np.ones(1, np.bool_), "x")]),
        ("filters", "refusals", [(None, "x")]),
        ("filters", "refusals", 3),
        ("scores", "score", None),
        ("scores", "score", 1.0),
        ("scores", "score", np.array([1.0])),
        ("scores", "score", lambda shape, rows, extra, view: np.full(view.table.size, NAN)[rows]),
        ("scores", "score", lambda shape, rows, extra, view: np.full(view.table.size, np.inf)[rows]),
        ("scores", "score", lambda shape, rows, extra, view: np.full(view.table.size, -0.1)[rows]),
        ("scores", "score", lambda shape, rows, extra, view: np.full(view.table.size, 1.1)[rows]),
        ("scores", "score", lambda shape, rows, extra, view: np.full(view.table.size, "x")[rows]),
        ("scores", "score", lambda shape, rows, extra, view: np.zeros((view.table.size, 2))[rows]),
        ("confirmations", "question", 5),
        ("steps", "steps", ["patch"]),
        ("steps", "steps", None),
        ("permits", "due", 1.5),
        ("preemptable", "spares", 3),
    ],
)
def test_an_answer_that_is_none_is_left_out_and_told(field, method, answer):
    plain = engine_with(*LINES)
    one = stranger(**{"admits": None, method: answer} if method == "refusals" else {method: answer})
    engine = engine_with(*LINES, policy=replace(DEFAULT, **{field: (*getattr(DEFAULT, field), one)}))
    plan = cycle(engine)
    assert bound(plan) == bound(cycle(plain))
    if field not in ("permits", "preemptable"):
        assert "Stranger" in told(plan)
        assert engine.guard.failures["Stranger"] >= 1


@pytest.mark.parametrize("answer", [[], [{}] * 9, {}, [{1: -1}], None])
def test_shares_that_are_none_are_left_out(answer):
    engine = engine_with(*LINES, policy=replace(DEFAULT, shares=stranger(divide=answer)))
    cycle(engine)
    assert "Stranger" in engine.guard.failures


@pytest.mark.parametrize(
    "attribute",
    [{"weight": NAN}, {"weight": -1.0}, {"weight": "x"}, {"trend": "sideways"}, {"weight": property(lambda _: 1 / 0)}],
)
def test_what_is_no_policy_at_all_is_not_taken_on(attribute):
    one = stranger(score=lambda shape, rows, extra, view: np.zeros(view.table.size)[rows])
    for name, value in attribute.items():
        setattr(type(one), name, value)
    engine = engine_with(*LINES, policy=replace(DEFAULT, scores=(one, *DEFAULT.scores)))
    assert engine.policy.scores == DEFAULT.scores
    assert "Stranger" in told(cycle(engine))


def test_keys_of_any_mixture_compare():
    keys = iter([(1,), ("a",), (2, "b"), (), (0.5, 1, 2), (True,)] * 99)
    order = stranger(key=lambda *_: next(keys))
    lines = ("9 nodes: cpu=1", *[f"gang g{i}: 1x cpu=1" for i in range(9)])
    engine = engine_with(*lines, policy=replace(DEFAULT, gang_order=(order,), queue_order=(order,)))
    assert len(bound(cycle(engine))) == 9
    assert told(cycle(engine)) == {}


def test_a_key_that_fails_now_and_then_still_compares():
    keys = iter([("a",), None, (1,), 1 / 3] * 99)
    order = stranger(key=lambda *_: next(keys))
    lines = ("9 nodes: cpu=1", *[f"gang g{i}: 1x cpu=1" for i in range(9)])
    assert len(bound(cycle(engine_with(*lines, policy=replace(DEFAULT, gang_order=(order,)))))) == 9


@pytest.mark.parametrize(
    "blocker", [NeedsCapacity((), 0, 1), NeedsAnswer("ask-1", "?"), NeedsGang(), Refused("me", "because")]
)
def test_a_blocker_that_only_the_engine_can_park_becomes_a_refusal_that_any_change_cures(blocker):
    answers = [blocker]
    policy = replace(DEFAULT, admission=(stranger(blocker=lambda *_: answers[0]),))
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1", policy=policy)
    assert bound(cycle(engine)) == {}
    assert "refuses" in why(engine, "a")
    answers[0] = None
    engine.observe(gang("b", "1x cpu=1, phase Inqueue"))
    assert gangs_bound(cycle(engine)) == {"a": 1, "b": 1}


def test_a_moment_in_the_past_does_not_make_the_engine_spin():
    policy = replace(DEFAULT, admission=(stranger(blocker=NeedsTime(0, "was yesterday")),))
    plan = cycle(engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1", policy=policy), now=5_000)
    assert (plan.more, plan.wake_at) == (False, 6_000)


def test_a_filter_that_turns_at_once_and_for_ever_does_not_make_the_engine_spin():
    one = stranger(admits=None, turns=lambda view: view.now)
    type(one).by_moment = True
    policy = replace(DEFAULT, filters=(*DEFAULT.filters, one))
    plan = cycle(engine_with("1 nodes: cpu=4", "gang a: 1x cpu=9", policy=policy), now=5_000)
    assert plan.wake_at is None or plan.wake_at >= 6_000


def test_who_sends_pods_away_is_not_asked_without_end():
    class Busy:
        every_ms = 0

        def victims(self, view):
            return ()

    engine = engine_with(*LINES, policy=replace(DEFAULT, shufflers=(Busy(),), actions=(*DEFAULT.actions, "shuffle")))
    assert engine.policy.shufflers == ()
    assert "every 0 ms" in told(cycle(engine))["Busy"]


def test_a_queue_order_that_changes_its_mind_at_every_look_comes_to_an_end():
    numbers = iter(range(10**9))
    order = stranger(key=lambda *_: (next(numbers),))
    type(order).by_tree = True
    lines = ("4 nodes: cpu=1", "queue q: weight=1", "gang a: 1x cpu=1", "gang b: 1x cpu=1, queue q")
    engine = engine_with(*lines, policy=replace(DEFAULT, queue_order=(order,)))
    engine.guard.meter.most_looks = 500
    assert len(bound(cycle(engine))) == 2


def test_a_policy_that_looks_at_too_many_nodes_in_one_decision_has_no_further_say_in_it():
    seen = []

    class Slow:
        by_placement = True

        def admits(self, shape, node, view):
            seen.append(node.name)

    engine = engine_with(
        "40 nodes: cpu=4",
        "gang a: 90x cpu=1, phase Inqueue",
        policy=replace(DEFAULT, filters=(*DEFAULT.filters, Slow())),
    )
    engine.guard.meter.most_looks = 400
    plan = cycle(engine)
    assert gangs_bound(plan) == {"a": 90}
    assert len(seen) <= 400
    assert "overran its budget of 400 looks" in told(plan)["Slow"]
    seen.clear()
    engine.observe(gang("b", "1x cpu=1, phase Inqueue"))
    cycle(engine)
    assert seen


def test_an_overrun_comes_at_the_same_point_in_a_replay():
    from flowbatch.engine.events import Synced
    from flowbatch.engine.replay import record, replay
    from tests.textcluster import TICK, facts

    policy = replace(DEFAULT, gang_order=(stranger(key=lambda gang, view: (len(gang.id),)),))
    journal = record([([*facts(*LINES), Synced()], TICK), ([PolicyDropped("Stranger", "too slow")], TICK)], policy)
    assert replay(journal, policy) is None


def test_a_mask_made_without_a_failing_filter_is_not_kept():
    fails = [True]

    @per_node_filter
    def picky(shape, node):
        if fails[0]:
            raise ValueError("not today")
        return None if node.name == "n2" else "node(s) were not n2"

    policy = replace(DEFAULT, filters=(*DEFAULT.filters, picky()))
    engine = engine_with("2 nodes: cpu=4", "gang a: 1x cpu=1", policy=policy)
    assert bound(cycle(engine)) == {"a-0": "n1"}
    fails[0] = False
    engine.observe(gang("b", "1x cpu=1, phase Inqueue"))
    assert bound(cycle(engine)) == {"b-0": "n2"}


def test_own_policies_are_neither_checked_nor_timed():
    engine = engine_with(*LINES)
    engine.guard.meter.stopwatch = lambda: pytest.fail("nobody asked")
    cycle(engine)
    assert engine.guard.meter.seconds == {}


def test_strangers_are_timed_and_the_rest_is_not():
    engine = engine_with(*LINES, policy=replace(DEFAULT, gang_order=(stranger(key=(1,)),)))
    ticks = iter(range(10_000))
    engine.guard.meter.stopwatch = lambda: float(next(ticks))
    cycle(engine)
    assert list(engine.guard.meter.seconds) == ["Stranger"]
    assert engine.guard.meter.seconds["Stranger"] >= 3


# -- functions of one node


@per_node
def late_letters(shape, node):
    """Nodes whose number is higher."""
    return int(node.name[1:]) / 10


def test_a_function_of_one_node_is_a_score_with_a_weight():
    policy = replace(DEFAULT, scores=(*DEFAULT.scores, late_letters(weight=9.0)))
    assert bound(cycle(engine_with("5 nodes: cpu=4", "gang a: 1x cpu=1", policy=policy))) == {"a-0": "n5"}
    assert (late_letters.__name__, late_letters.parts) == ("LateLetters", ("scores",))
    assert late_letters(2.0) == late_letters(weight=2.0)


def test_a_function_of_one_node_is_asked_once_per_node_and_shape():
    asked = []

    @per_node
    def count(shape, node):
        asked.append(node.name)
        return 0.5 if node.name == "n1" else 0.0

    engine = engine_with(
        "4 nodes: cpu=4", "gang a: 9x cpu=1", "gang b: 3x cpu=1", policy=replace(DEFAULT, scores=(count(),))
    )
    cycle(engine)
    assert len(asked) == 4


def test_guards_do_not_share_anything():
    one, other = Guard(), Guard()
    one.drop("X", "slow")
    assert other.dropped == {}


# -- whatever they answer, in long random lives


GARBAGE = (None, 0, -1, 1.5, NAN, "x", (), (NAN,), ("a", 1), [1], {}, {1: 1}, np.ones(3), np.ones(2, np.bool_), True)


@dataclass(frozen=True)
class Mad:
    """Answers anything with anything, or raises; now and then it is right."""

    seed: int
    weight: float = 1.0
    trend: str = "any"
    kind: str = "mad"
    own: bool = False
    first_gang_may_exceed: bool = True

    def anything(self, *args):
        count = COUNTS[self.seed] = COUNTS.get(self.seed, self.seed) * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        if count % 7 == 0:
            raise (ValueError, KeyError, ZeroDivisionError, RecursionError)[count % 4]("mad")
        return GARBAGE[count // 7 % len(GARBAGE)]

    key = blocker = limit = spares = question = steps = anything

    def score(self, shape, rows, extra, view):
        size = view.table.size if isinstance(rows, slice) else len(rows)
        answer = self.anything()
        return np.full(size, abs(answer)) if isinstance(answer, float | int) else answer


COUNTS: dict[int, int] = {}


@pytest.mark.parametrize("seed", range(12))
def test_a_mad_policy_breaks_no_invariant_in_a_random_life(seed):
    mad = Mad(seed)
    policy = replace(
        DEFAULT,
        gang_order=(mad, *DEFAULT.gang_order),
        queue_order=(mad,),
        limits=(*DEFAULT.limits, mad),
        scores=(mad, *DEFAULT.scores),
        steps=(mad,),
    )
    walk = test_props_walk.Walk(seed)
    walk.world.policy = policy
    walk.world.engine.adopt(policy)
    assert isinstance(walk.world, World)
    for _ in range(40):
        walk.luck.choices([way for _, way in walk.ways[:-1]], [weight for weight, _ in walk.ways[:-1]])[0]()
    assert COUNTS[seed]


def test_phases_go_on_without_a_dropped_gate():
    policy = replace(DEFAULT, enqueue=(stranger(blocker=NeedsTime(10**15, "never")),))
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1", policy=policy)
    cycle(engine)
    assert phase(engine, "a") == "Pending"
    engine.observe([PolicyDropped("Stranger", "too slow")])
    plan = cycle(engine)
    assert gangs_bound(plan) == {"a": 1}
    assert told(plan) == {"Stranger": "too slow"}
