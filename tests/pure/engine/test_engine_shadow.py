"""Does a second policy, in the shadow of the first, tell what it would do otherwise, and follow what is really done?"""

from dataclasses import dataclass, replace

import pytest

from flowbatch.engine.decisions import Bind
from flowbatch.engine.events import BindFailed, EvictFailed, GangGone, PodGone, Synced
from flowbatch.engine.shadow import Shadow, out_of_order, places_of
from flowbatch.model.blockers import NeedsTime
from flowbatch.policy.extender import Extender
from flowbatch.policy.presets import DEFAULT, PREEMPTING, SPREAD
from tests.factworld import World, digest
from tests.props import test_props_walk
from tests.textcluster import TICK, confirm, cycle, engine_with, evicted, facts, finish, gang, seen_again


@dataclass(frozen=True)
class Never:
    def blocker(self, gang, view):
        return NeedsTime(10**15, "not under this policy") if gang.id.endswith("late") else None


@dataclass(frozen=True)
class Last:
    def key(self, gang, view):
        return (-gang.created,)


LATE = replace(DEFAULT, admission=(Never(),))
YOUNGEST = replace(DEFAULT, gang_order=(Last(),))


class Both:
    """A real engine and its shadow."""

    def __init__(self, *lines, real=DEFAULT, shadow=DEFAULT):
        self.engine = engine_with(*lines, policy=real)
        self.shadow = Shadow(shadow, validate=True)
        self.shadow.observe([*facts(*lines), Synced()])

    def tell(self, *events):
        self.engine.observe(events)
        self.shadow.observe(events)

    def cycle(self, now=1_000):
        plan = cycle(self.engine, now)
        return plan, self.shadow.cycle(replace_tick(now), plan)

    def confirm(self, plan):
        self.shadow.observe(confirm(self.engine, plan))


def replace_tick(now):
    return type(TICK)(now, 100_000)


def kinds(differences):
    return [(each.kind, each.gang.partition("/")[2]) for each in differences]


def test_the_same_policy_does_nothing_otherwise():
    both = Both("3 nodes: cpu=4", "gang a: 3x cpu=2", "gang b: 2x cpu=1", "gang c: 9x cpu=4")
    plan, found = both.cycle()
    assert found == []
    assert both.shadow.alike == 2
    both.confirm(plan)
    assert digest(both.engine) == digest(both.shadow.engine)


def test_other_nodes_are_told_and_the_shadow_follows_the_real_ones():
    both = Both("3 nodes: cpu=4", "pod o: cpu=1 on n2", "gang a: 1x cpu=1", shadow=SPREAD)
    plan, (difference,) = both.cycle()
    assert difference.kind == "elsewhere"
    assert {node for _, node in difference.real} == {"n2"}
    assert {node for _, node in difference.shadow} == {"n1"}
    both.confirm(plan)
    assert digest(both.engine) == digest(both.shadow.engine)


def test_what_is_really_ordered_has_its_place_in_the_shadow_before_the_watch_says_so():
    both = Both("3 nodes: cpu=4", "pod o: cpu=1 on n2", "gang a: 1x cpu=1", shadow=SPREAD)
    both.cycle()
    assert both.shadow.engine.state.tasks["a-0"].node.name == "n2"
    both.tell(*gang("b", "2x cpu=4, phase Inqueue", 9))
    plan, found = both.cycle()
    assert sorted(node for _, node in places_of(plan)["ns/b"]) == ["n1", "n3"]
    assert found == []


def test_a_gang_that_would_wait_is_told_with_the_reason():
    both = Both("1 nodes: cpu=4", "gang late: 1x cpu=1", shadow=LATE)
    plan, (difference,) = both.cycle()
    assert (difference.kind, difference.gang) == ("would wait", "ns/late")
    assert "not under this policy" in difference.why
    both.confirm(plan)
    assert digest(both.engine) == digest(both.shadow.engine)


def test_a_wish_is_told_once_and_then_how_much_sooner_it_would_have_been():
    both = Both("1 nodes: cpu=4", "gang late: 1x cpu=1", real=LATE)
    _, found = both.cycle(1_000)
    assert kinds(found) == [("would place", "late")]
    for now in (2_000, 5_000, 70_000):
        assert both.cycle(now)[1] == []
    both.engine.adopt(DEFAULT)
    plan, found = both.cycle(90_000)
    assert [(each.kind, each.ms) for each in found] == [("sooner", 89_000)]
    assert both.shadow.wishes == {}
    both.confirm(plan)
    assert digest(both.engine) == digest(both.shadow.engine)


def test_a_wish_holds_no_room_in_the_shadow():
    both = Both("1 nodes: cpu=4", "gang late: 1x cpu=4", real=LATE)
    both.cycle()
    both.tell(*gang("b", "1x cpu=4, phase Inqueue", created=9))
    plan, found = both.cycle()
    assert len(places_of(plan)) == 1
    assert found == []


def test_a_wish_for_a_gang_that_goes_is_forgotten():
    both = Both("1 nodes: cpu=4", "gang late: 1x cpu=4", real=LATE)
    both.cycle()
    both.tell(GangGone("ns/late"))
    assert both.shadow.wishes == {}


def test_another_order_is_told():
    both = Both("4 nodes: cpu=1", "gang a: 1x cpu=1", "gang b: 1x cpu=1", shadow=YOUNGEST)
    _, found = both.cycle()
    assert ("order", "a") in kinds(found)


def test_who_gets_the_last_place_is_told_from_both_sides():
    both = Both("1 nodes: cpu=1", "gang a: 1x cpu=1", "gang b: 1x cpu=1", shadow=YOUNGEST)
    plan, found = both.cycle()
    assert sorted(kinds(found)) == [("would place", "b"), ("would wait", "a")]
    both.confirm(plan)
    finish(both.engine, ["a-0"])
    both.shadow.observe([seen_again(both.engine, "a-0")])
    _, found = both.cycle(3_000)
    assert [(each.kind, each.ms) for each in found] == [("sooner", 2_000)]


def test_a_binding_that_fails_is_taken_back_in_the_shadow_too():
    both = Both("2 nodes: cpu=1", "gang a: 1x cpu=1")
    plan, _ = both.cycle()
    (bind,) = [each for each in plan.decisions if isinstance(each, Bind)]
    both.tell(BindFailed(bind.uid, bind.node, "conflict"))
    assert both.shadow.engine.state.used.get(1, 0) == 0


def test_a_gang_for_which_only_the_shadow_evicts_is_a_wish_told_once():
    both = Both("1 node: cpu=2", "gang low: 2x cpu=1, min 0", shadow=PREEMPTING)
    both.confirm(both.cycle()[0])
    both.tell(*gang("high", "1x cpu=1, priority 9", 5))
    _, (told,) = both.cycle(2_000)
    assert (told.kind, told.gang, told.why) == ("would evict", "ns/high", "low-0")
    assert told.shadow == (("high-0", "n1"),)
    assert all(both.cycle(now)[1] == [] for now in (3_000, 40_000, 400_000)), "told once"
    assert both.shadow.engine.state.leaving == {}
    both.tell(PodGone("low-1"))
    _, (told,) = both.cycle(401_000)
    assert (told.kind, told.ms) == ("sooner", 399_000)


def test_who_is_really_told_to_go_leaves_in_the_shadow_too():
    both = Both("1 node: cpu=2", "gang low: 2x cpu=1, min 0", real=PREEMPTING)
    both.confirm(both.cycle()[0])
    both.tell(*gang("high", "1x cpu=1, priority 9", 5))
    plan, _ = both.cycle(2_000)
    (gone,) = evicted(plan)
    assert list(both.shadow.engine.state.leaving) == [gone]
    both.tell(EvictFailed(gone, "budget"))
    assert both.shadow.engine.state.leaving == {}


def test_the_same_evictions_are_no_difference():
    both = Both("1 node: cpu=2", "gang low: 2x cpu=1, min 0", real=PREEMPTING, shadow=PREEMPTING)
    both.confirm(both.cycle()[0])
    both.tell(*gang("high", "1x cpu=1, priority 9", 5))
    plan, found = both.cycle(2_000)
    assert found == []
    both.tell(PodGone(*evicted(plan)))
    assert both.cycle(3_000)[1] == []
    assert both.shadow.alike == 2


def test_extenders_are_not_asked_twice():
    asking = replace(DEFAULT, confirmations=(Extender(url="http://x", verbs=(("predicate", "p"),)),))
    both = Both("1 nodes: cpu=1", "gang a: 1x cpu=1", shadow=asking)
    plan, _ = both.cycle()
    both.confirm(plan)
    both.cycle(2_000)
    assert both.shadow.engine.state.used[1] == 1000


def test_what_is_remembered_is_bounded():
    lines = ("1 nodes: cpu=100", *[f"gang g{i}: 1x cpu=1" for i in range(60)])
    both = Both(*lines, shadow=YOUNGEST)
    both.shadow.differences = type(both.shadow.differences)(maxlen=10)
    both.cycle()
    assert len(both.shadow.differences) == 10
    assert both.shadow.counts["order"] == 60


@pytest.mark.parametrize(
    ("one", "other", "moved"),
    [
        ("abc", "abc", ""),
        ("abc", "cab", "abc"),
        ("abc", "acb", "bc"),
        ("abc", "xcy", ""),
        ("", "ab", ""),
        ("abxc", "byac", "ab"),
    ],
)
def test_order_is_compared_among_those_that_both_place(one, other, moved):
    assert "".join(out_of_order(list(one), list(other))) == moved


class ShadowedWorld(World):
    """Every cycle is shadowed by another policy."""

    shadow: Shadow

    def tell(self, *events):
        super().tell(*events)
        if hasattr(self, "shadow"):
            self.shadow.observe(events)

    def cycle(self, budget=1_000):
        from flowbatch.engine.decisions import Tick

        before, tell = self.engine.cycle, self.engine
        plan = None

        def both(tick):
            nonlocal plan
            plan = before(tick)
            self.shadow.cycle(Tick(tick.now, 100_000), plan)
            return plan

        tell.cycle = both
        try:
            return super().cycle(budget)
        finally:
            del tell.cycle


@pytest.mark.parametrize("seed", range(10))
def test_in_a_random_life_the_shadow_ends_where_reality_does(seed):
    walk = test_props_walk.Walk(seed)
    world = walk.world
    world.__class__ = ShadowedWorld
    world.shadow = Shadow(SPREAD if world.policy is DEFAULT else DEFAULT, validate=True)
    world.shadow.observe([*world.facts(), Synced()])
    ways = [each for each in walk.ways if each[1].__name__ not in ("restart", "nobody_is_left_parked")]
    for _ in range(50):
        walk.luck.choices([way for _, way in ways], [weight for weight, _ in ways])[0]()
    world.answer(world.in_flight)
    placed = {uid: task.node.name for uid, task in world.engine.state.tasks.items() if task.node and task.confirmed}
    shadowed = {
        uid: task.node.name for uid, task in world.shadow.engine.state.tasks.items() if task.node and task.confirmed
    }
    assert shadowed == placed
