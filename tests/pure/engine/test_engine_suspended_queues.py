"""Does a suspended queue let nothing in, nor any queue below it, say so, and wake everybody when it is resumed?"""

from tests.textcluster import TICK, bound, engine_with, queue, reports

GANG = "gang g: 1x cpu=1, queue night"


def test_nothing_below_a_suspended_queue_is_let_in_until_it_is_resumed():
    engine = engine_with("1 node: cpu=4", "queue ads: suspended", "queue night: parent=ads", GANG)
    plan = engine.cycle(TICK)
    assert bound(plan) == {}
    assert 'queue "ads" is Suspended' in reports(plan)["g"].message
    engine.observe([queue("ads", "")])
    assert bound(engine.cycle(TICK)) == {"g-0": "n1"}


def test_what_is_in_already_goes_on_and_other_queues_do_not_notice():
    engine = engine_with("1 node: cpu=4", "queue night:", GANG, "gang other: 1x cpu=1")
    assert bound(engine.cycle(TICK)) == {"g-0": "n1", "other-0": "n1"}
    engine.observe([queue("night", "suspended")])
    assert engine.cycle(TICK).decisions == ()
