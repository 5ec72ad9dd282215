"""How long a gang may wait (reliability.md L1, L3): bounds that hold without reservations.

Among gangs that ask for the same, of one queue and priority, a gang waits for no more completions than there are gangs
before it. A gang that fits when its turn comes starts in that cycle, however many wait. A larger gang can be passed by
smaller ones for as long as they keep its room away; what bounds that is a reservation ({doc}`scheduling`).
"""

import random

from tests.textcluster import bound, confirm, cycle, engine_with, finish, gang, gangs_bound, more, running, why

NUMBER = 30


def test_equal_gangs_start_in_the_order_of_their_creation_one_for_each_completion():
    gangs = [f"gang g{i:02d}: 2x cpu=1, min 2" for i in range(NUMBER)]
    engine = engine_with("1 node: cpu=2", *gangs)
    for i in range(NUMBER):
        plan = cycle(engine, now=1_000 + i)
        assert gangs_bound(plan) == {f"g{i:02d}": 2}
        confirm(engine, plan)
        finish(engine, [f"g{i:02d}-0", f"g{i:02d}-1"])


def test_two_queues_of_equal_weight_start_equally_often_whatever_the_other_asks_for():
    # With room for one gang only nobody holds anything when it ends, and the older queue goes first each time: that is
    # evened out by fair share with memory, not by this order.
    gangs = [f"gang {queue}{i}: 1x cpu=1, min 1, queue {queue}" for queue in ("a", "b") for i in range(10)]
    engine = engine_with("1 node: cpu=2", "queue a:", "queue b:", *gangs)
    started: list[str] = []
    for i in range(10):
        plan = cycle(engine, now=1_000 + i)
        names = list(gangs_bound(plan))
        started += names
        confirm(engine, plan)
        finish(engine, [f"{name}-0" for name in names])
    assert sorted(started) == sorted(f"{queue}{i}" for queue in "ab" for i in range(10))
    assert sorted(started[:10]) == sorted(f"{queue}{i}" for queue in "ab" for i in range(5))


def test_a_gang_whose_room_is_free_starts_at_once_however_many_wait():
    luck = random.Random(5)
    hopeless = [f"gang h{i}: 2x cpu={luck.randint(5, 9)}, min 2, phase Inqueue" for i in range(200)]
    engine = engine_with("2 nodes: cpu=4", "pod old: cpu=4 on n1", "pod too: cpu=4 on n2", *hopeless)
    cycle(engine)
    engine.observe(gang("late", "2x cpu=2, min 2, phase Inqueue", created=999))
    assert gangs_bound(cycle(engine)) == {}
    finish(engine, ["old"])
    assert gangs_bound(cycle(engine)) == {"late": 2}


def test_a_limit_that_holds_anyhow_is_named_before_one_that_a_first_pod_may_exceed():
    queues = ("queue default: capability(cpu=3)", "queue lab: capability(cpu=3)", "queue ads: parent=lab")
    small, many = "gang small: 1x cpu=1, queue lab", "gang many: 6x cpu=1, min 0"
    engine = running("1 node: cpu=6", *queues, small, many)
    more(engine, "gang big: 2x cpu=3, queue ads, min 0, phase Inqueue")
    assert 'in queue "lab" (capability' in why(engine, "big")
    finish(engine, ["small-0"])
    assert bound(cycle(engine, 3_000)) == {"big-0": "n1"}
