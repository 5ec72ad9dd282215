"""Is an extender asked about what it must be, obeyed in what it may decide, and unable to do anything else?"""

from dataclasses import dataclass, replace

import pytest

from flowbatch.engine.decisions import Ask, Evict
from flowbatch.engine.events import Answered, GangGone, NodeSeen, PodGone, QueueGone, Synced
from flowbatch.engine.replay import record, replay
from flowbatch.model.ids import QueueName
from flowbatch.policy.extender import Extender, Unasked
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from tests.textcluster import (
    TICK,
    binds,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    facts,
    gang,
    gangs_bound,
    nodes_used,
    phase,
    queue,
    why,
)

VERBS = (("predicate", "p"),)
RANKS = (("predicate", "p"), ("prioritize", "r"))


def extended(*more: object, **changes: object):
    return replace(DEFAULT, confirmations=(Extender(url="http://x", **{"verbs": VERBS, **changes}), *more))


def asks(plan):
    return [each for each in plan.decisions if isinstance(each, Ask)]


def the_ask(plan):
    (ask,) = asks(plan)
    return ask


def answer(engine, ask, text="yes", refused=(), scores=()):
    uid = ask.inquiry.subjects[0].uid if ask.inquiry.subjects else ""
    engine.observe(
        [
            Answered(
                ask.ask,
                text,
                tuple((uid, name, "full of bees") for name in refused),
                tuple((uid, name, score) for name, score in scores),
            )
        ]
    )


def test_a_gang_is_asked_about_once_for_each_of_its_nodes_and_bound_on_a_yes():
    engine = engine_with("3 nodes: cpu=2", "gang a: 4x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    assert [len(each.nodes) for each in ask.inquiry.subjects] == [2]
    assert engine.state.used[1] == 4000
    answer(engine, ask)
    assert gangs_bound(cycle(engine)) == {"a": 4}


def test_refused_nodes_are_left_out_and_only_new_ones_are_asked_about_again():
    engine = engine_with("3 nodes: cpu=1", "gang a: 2x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    assert ask.inquiry.subjects[0].nodes == ("n1", "n2")
    answer(engine, ask, refused=["n1"])
    again = the_ask(cycle(engine))
    assert again.inquiry.subjects[0].nodes == ("n3",)
    answer(engine, again)
    assert nodes_used(cycle(engine)) == ["n2", "n3"]


def test_where_every_node_is_refused_the_gang_waits_and_is_asked_again_in_a_while():
    engine = engine_with("2 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    for _ in range(2):
        plan = cycle(engine)
        answer(engine, the_ask(plan), refused=the_ask(plan).inquiry.subjects[0].nodes)
    plan = cycle(engine)
    assert not asks(plan)
    assert blocker(engine, "a") == "NeedsTime"
    assert "2 node(s) were refused from outside: full of bees" in why(engine, "a")
    assert plan.wake_at is not None
    assert not asks(cycle(engine, plan.wake_at - 1))
    assert asks(cycle(engine, plan.wake_at))


def test_a_gang_that_waits_for_a_refused_node_is_woken_by_room_elsewhere():
    engine = engine_with(
        "node n1: cpu=1", "node n2: cpu=1", "pod o: cpu=1 on n2", "gang a: 1x cpu=1", policy=extended()
    )
    answer(engine, the_ask(cycle(engine)), refused=["n1"])
    cycle(engine)
    assert blocker(engine, "a") == "NeedsTime"
    engine.observe([PodGone("o")])
    answer(engine, the_ask(cycle(engine)))
    assert bound(cycle(engine)) == {"a-0": "n2"}


def test_a_no_gives_the_room_back_and_is_asked_again_later_and_later():
    engine = engine_with("1 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    now, waits = 1_000, []
    for _ in range(9):
        plan = cycle(engine, now)
        answer(engine, the_ask(plan), "no licence")
        plan = cycle(engine, now)
        assert engine.state.used.get(1, 0) == 0
        assert "no licence" in why(engine, "a")
        waits.append(plan.wake_at - now)
        now = plan.wake_at
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]


def test_others_go_on_while_a_gang_is_asked_about():
    engine = engine_with(
        "2 nodes: cpu=1", "gang a: 1x cpu=1 gpu=1", "gang b: 1x cpu=1", policy=extended(resources=("gpu",))
    )
    engine.observe([NodeSeen("n3", (("cpu", 1000), ("gpu", 1), ("pods", 10)))])
    plan = cycle(engine)
    assert gangs_bound(plan) == {"b": 1}
    assert the_ask(plan).inquiry.gang == "ns/a"


def test_ranks_move_a_gang_to_a_better_node_without_asking_twice():
    engine = engine_with("5 nodes: cpu=4", "gang a: 1x cpu=1", policy=extended(verbs=RANKS))
    ask = the_ask(cycle(engine))
    assert ask.inquiry.subjects[0].nodes[0] == "n1"
    assert len(ask.inquiry.subjects[0].nodes) == 5
    answer(engine, ask, scores=[("n1", 0.1), ("n4", 1.0)])
    assert bound(cycle(engine)) == {"a-0": "n4"}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1.0, 1e300])
def test_ranks_that_are_no_ranks_change_nothing(score):
    engine = engine_with("3 nodes: cpu=4", "gang a: 1x cpu=1", policy=extended(verbs=RANKS))
    answer(engine, the_ask(cycle(engine)), scores=[("n2", score), ("nowhere", 1.0)])
    cycle(engine)
    assert [task.node.name for task in engine.state.tasks.values() if task.node] == ["n1"]


def test_a_yes_to_impossible_nodes_binds_nothing_there():
    engine = engine_with(
        "node n1: cpu=4", "node n2: cpu=1", "node n3: cpu=9 cordoned", "gang a: 1x cpu=2", policy=extended(verbs=RANKS)
    )
    ask = the_ask(cycle(engine))
    answer(engine, ask, scores=[("n2", 1.0), ("n3", 1.0), ("n9", 1.0)])
    plan = cycle(engine)
    for late in asks(plan):
        answer(engine, late)
    assert {**bound(plan), **bound(cycle(engine))} == {"a-0": "n1"}


def test_an_extender_that_refuses_one_node_after_another_is_left_alone_after_a_few_rounds():
    engine = engine_with("50 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    rounds = 0
    while asks(plan := cycle(engine)):
        rounds += 1
        answer(engine, the_ask(plan), refused=the_ask(plan).inquiry.subjects[0].nodes)
    assert rounds == 8
    assert "goes on refusing" in why(engine, "a")


def test_advice_is_forgotten_after_a_while():
    engine = engine_with("2 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    answer(engine, the_ask(cycle(engine)), refused=["n1"])
    plan = cycle(engine)
    answer(engine, the_ask(plan), "no")
    plan = cycle(engine)
    assert the_ask(cycle(engine, plan.wake_at)).inquiry.subjects[0].nodes == ("n1",)


def test_before_its_pods_exist_a_gang_is_asked_about_at_the_gate():
    policy = extended(verbs=(("jobEnqueueable", "e"),))
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1, needs(cpu=1)", policy=policy)
    ask = the_ask(cycle(engine))
    assert ask.inquiry.kind == "enqueue"
    assert (phase(engine, "a"), blocker(engine, "a")) == ("Pending", "NeedsAnswer")
    answer(engine, ask, "the job may not be enqueued")
    plan = cycle(engine)
    assert (phase(engine, "a"), asks(plan)) == ("Pending", [])
    answer(engine, the_ask(cycle(engine, plan.wake_at)))
    assert gangs_bound(cycle(engine, plan.wake_at)) == {"a": 1}


def test_without_the_enqueue_action_nobody_is_asked_at_the_gate():
    policy = replace(extended(verbs=(("jobEnqueueable", "e"),)), actions=("allocate",), enqueue=())
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1", policy=policy)
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_only_those_that_request_a_managed_resource_are_asked_about():
    policy = extended(verbs=(*VERBS, ("jobEnqueueable", "e")), resources=("x/gpu",))
    engine = engine_with("1 nodes: cpu=4 x/gpu=2", "gang a: 1x cpu=1", "gang b: 1x x/gpu=1", policy=policy)
    plan = cycle(engine)
    assert gangs_bound(plan) == {"a": 1}
    assert [ask.inquiry.gang for ask in asks(plan)] == ["ns/b"]


def test_after_one_yes_the_next_who_has_a_say_is_asked_and_the_room_stays_held():
    other = Extender(url="http://y", verbs=VERBS)
    engine = engine_with("1 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended(other))
    first = the_ask(cycle(engine))
    answer(engine, first)
    second = the_ask(cycle(engine))
    assert (first.inquiry.url, second.inquiry.url) == ("http://x", "http://y")
    assert engine.state.used[1] == 1000
    answer(engine, second)
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_an_answer_for_a_gang_that_is_gone_binds_nobody():
    engine = engine_with("1 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    engine.observe([GangGone("ns/a")])
    answer(engine, ask)
    assert binds(cycle(engine)) == []
    assert engine.state.used.get(1, 0) == 0


def test_an_answer_that_comes_twice_or_to_nothing_is_harmless():
    engine = engine_with("1 nodes: cpu=2", "gang a: 1x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    answer(engine, ask)
    answer(engine, ask, "no")
    engine.observe([Answered("ask-99", "yes")])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_members_that_come_later_are_asked_about_too():
    engine = engine_with("2 nodes: cpu=2", "gang a: 3x cpu=1, min 1", policy=extended())
    placed: dict[str, str] = {}
    for _ in range(6):
        plan = cycle(engine)
        placed |= bound(plan)
        confirm(engine, plan)
        for ask in asks(plan):
            answer(engine, ask)
    assert len(placed) == 3


def test_a_journal_with_answers_replays():
    events = facts("3 nodes: cpu=1", "gang a: 2x cpu=1")
    steps = [
        ([*events, Synced()], TICK),
        ([Answered("ask-1", "yes", (("a-0", "n1", "no"),))], TICK),
        ([Answered("ask-2", "yes")], TICK),
    ]
    journal = record(steps, extended())
    assert replay(journal, extended()) is None
    assert replay(journal, extended(resources=("gpu",))) is not None


@dataclass(frozen=True)
class Talker:
    """A confirmation of the old kind: words, answered yes or no."""

    def question(self, gang, placed, view):
        return "well?"


def test_plain_questions_and_extenders_go_together():
    engine = engine_with("1 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended(Talker()))
    answer(engine, the_ask(cycle(engine)))
    plain = the_ask(cycle(engine))
    assert (plain.question, plain.inquiry) == ("well?", None)
    engine.observe([Answered(plain.ask, "yes")])
    assert gangs_bound(cycle(engine)) == {"a": 1}


def test_a_yes_that_comes_after_the_node_was_cordoned_moves_the_gang():
    engine = engine_with("2 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    answer(engine, ask)
    engine.observe([replace_node(engine, "n1", unschedulable=True)])
    plan = cycle(engine)
    assert bound(plan) == {}
    again = the_ask(plan)
    assert again.inquiry.subjects[0].nodes == ("n2",)
    answer(engine, again)
    assert bound(cycle(engine)) == {"a-0": "n2"}


def test_a_yes_that_comes_after_a_member_has_gone_binds_no_broken_gang():
    engine = engine_with("1 nodes: cpu=2", "gang a: 2x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    answer(engine, ask)
    engine.observe([PodGone("a-1")])
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "a") == "NeedsMembers"
    assert engine.state.used.get(1, 0) == 0


def test_a_yes_that_comes_after_the_queue_was_cut_binds_nothing():
    lines = ("1 nodes: cpu=2", "queue q: capability(cpu=2)", "gang a: 2x cpu=1, queue q")
    engine = engine_with(*lines, policy=extended())
    ask = the_ask(cycle(engine))
    answer(engine, ask)
    engine.observe([queue("q", "capability(cpu=1)")])
    assert bound(cycle(engine)) == {}
    assert blocker(engine, "a") == "NeedsQuota"


def test_a_yes_that_comes_after_the_queue_has_gone_binds_nothing():
    engine = engine_with("1 nodes: cpu=2", "queue q", "gang a: 2x cpu=1, queue q", policy=extended())
    answer(engine, the_ask(cycle(engine)))
    engine.observe([QueueGone(QueueName("q"))])
    assert bound(cycle(engine)) == {}
    assert engine.state.used.get(1, 0) == 0
    assert blocker(engine, "a") == "QueueMissing"


def test_an_answer_to_a_policy_that_is_no_longer_in_force_leads_to_the_question_of_the_new_one():
    engine = engine_with("1 nodes: cpu=1", "gang a: 1x cpu=1", policy=extended())
    ask = the_ask(cycle(engine))
    engine.adopt(replace(DEFAULT, confirmations=(Extender(url="http://new", verbs=VERBS),)))
    answer(engine, ask)
    plan = cycle(engine)
    assert bound(plan) == {}
    assert the_ask(plan).inquiry.url == "http://new"
    engine.adopt(DEFAULT)
    answer(engine, the_ask(plan))
    assert gangs_bound(cycle(engine)) == {"a": 1}


@pytest.mark.parametrize(("resources", "evicts"), [((), False), (("x/gpu",), True)])
def test_whom_an_extender_would_have_to_be_asked_about_is_not_evicted(resources, evicts):
    spared = (*PREEMPTING.preemptable, Unasked(url="http://x", resources=resources))
    policy = replace(PREEMPTING, preemptable=spared, preempt_min_runtime_ms=0)
    engine = engine_with("1 nodes: cpu=1", "gang low: 1x cpu=1, priority 1", policy=policy)
    confirm(engine, cycle(engine))
    engine.observe(gang("high", "1x cpu=1, priority 9, phase Inqueue", 9))
    plan = cycle(engine, 600_000)
    assert any(isinstance(each, Evict) for each in plan.decisions) is evicts


def test_a_gang_that_was_refused_nodes_does_not_hold_up_its_equals():
    engine = engine_with("1 nodes: cpu=4", "gang a: 1x cpu=1", "gang b: 1x cpu=1", policy=extended())
    first, second = asks(cycle(engine))
    answer(engine, second, "no")
    answer(engine, first, refused=["n1"])
    plan = cycle(engine)
    assert blocker(engine, "a") == "NeedsTime"
    assert plan.wake_at == 2_000
    assert the_ask(cycle(engine, 2_000)).inquiry.gang == "ns/b"


def replace_node(engine, name, **changes):
    import msgspec

    return msgspec.structs.replace(engine.state.nodes[name].fact, **changes)
