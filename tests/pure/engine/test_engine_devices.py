"""Pods that share devices: what fits on which GPU, who holds which, and that every way back gives it back."""

import msgspec

from flowbatch.engine.events import Event, NodeGone, NodeSeen, PodGone, PodSeen, ShapeSpec
from flowbatch.model.asks import Device, DeviceAsk, DeviceShare, MigGroup
from flowbatch.model.ids import NodeName, PodUid
from flowbatch.policy.presets import PREEMPTING
from tests.textcluster import (
    binds,
    blocker,
    bound,
    confirm,
    cycle,
    engine_with,
    evicted,
    facts,
    finish,
    gangs_bound,
    leave,
    more,
    node,
    running,
    seen_again,
    why,
)


def held(engine, *names):
    return [tuple((each.id, each.milli) for each in engine.state.tasks[PodUid(name)].devices) for name in names]


def test_two_halves_share_one_gpu():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang g: 2x cpu=1 [0.5 gpu]")
    assert bound(cycle(engine)) == {"g-0": "n1", "g-1": "n1"}
    assert held(engine, "g-0", "g-1") == [(("0", 500),), (("0", 500),)]


def test_what_fits_the_sum_but_no_device_waits():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang g: 3x cpu=1 [0.6 gpu]")
    assert not binds(cycle(engine))
    assert blocker(engine, "g") == "NeedsCapacity"
    assert "room for 2 of 3 pods" in why(engine, "g") or "would hold 2 of 3 pods" in why(engine, "g")


def test_six_tenths_do_not_share():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang g: 2x cpu=1 [0.6 gpu]")
    cycle(engine)
    assert held(engine, "g-0", "g-1") == [(("0", 600),), (("1", 600),)]


def test_a_whole_gpu_is_one_that_nobody_is_on():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang a: 1x cpu=1 [0.1 gpu]", "gang b: 1x cpu=1 [2 gpu]")
    assert gangs_bound(cycle(engine)) == {"a": 1}
    confirm_all = seen_again(engine, "a-0", node="n1", phase="Succeeded")
    engine.observe([confirm_all])
    assert gangs_bound(cycle(engine)) == {"b": 1}
    assert held(engine, "b-0") == [(("0", 1000), ("1", 1000))]


def test_memory_is_kept_per_device():
    engine = engine_with("node n1: cpu=8 [2 gpu 16000]", "gang g: 2x cpu=1 [10000Mi gpu], 1x s cpu=1 [6000Mi gpu]")
    assert gangs_bound(cycle(engine)) == {"g": 3}
    assert {held(engine, "g-0")[0][0][0], held(engine, "g-1")[0][0][0]} == {"0", "1"}


def test_half_of_two_gpus_takes_two():
    engine = engine_with("node n1: cpu=8 [4 gpu]", "gang g: 4x cpu=1 [2x 0.5 gpu]")
    assert gangs_bound(cycle(engine)) == {"g": 4}
    assert all(len({each for each, _ in shares}) == 2 for shares in held(engine, "g-0", "g-1", "g-2", "g-3"))


def test_the_fullest_device_that_fits_is_taken():
    engine = engine_with(
        "node n1: cpu=8 [3 gpu]", "pod other: cpu=1 [0.5 gpu] on n1 has 1:500", "gang g: 1x cpu=1 [0.4 gpu]"
    )
    cycle(engine)
    assert held(engine, "g-0") == [(("1", 400),)]


def test_a_node_without_devices_takes_nobody_who_asks_for_one():
    engine = engine_with("node n1: cpu=8", "gang g: 1x cpu=1 [0.4 gpu]")
    assert not binds(cycle(engine))
    assert "1 node(s) didn't have devices with enough left for 0.4 of a gpu" in why(engine, "g")
    engine.observe([node("n2", "cpu=8 [1 gpu]")])
    assert bound(cycle(engine)) == {"g-0": "n2"}


def test_room_on_a_device_wakes_who_waits_for_it():
    engine = engine_with("node n1: cpu=8 [1 gpu]", "gang a: 1x cpu=1 [0.6 gpu]", "gang b: 1x cpu=1 [0.6 gpu]")
    confirm(engine, cycle(engine))
    assert not binds(cycle(engine))
    finish(engine, ["a-0"])
    assert gangs_bound(cycle(engine)) == {"b": 1}


def test_a_restarted_engine_reads_back_who_has_what():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang a: 2x cpu=1 [0.6 gpu]")
    cycle(engine)
    pods = [
        seen_again(engine, name, node=NodeName("n1"), phase="Running", devices=engine.state.tasks[name].devices)
        for name in ("a-0", "a-1")
    ]
    again = engine_with("node n1: cpu=8 [2 gpu]", "gang b: 1x cpu=1 [0.6 gpu]")
    again.observe(pods)
    assert not binds(cycle(again))
    again.observe([PodGone(PodUid("a-1"))])
    cycle(again)
    assert held(again, "b-0") == [(("1", 600),)]


def test_what_the_pod_says_counts_more_than_what_was_ordered():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang a: 1x cpu=1 [0.6 gpu]", "gang b: 1x cpu=1 [0.6 gpu]")
    cycle(engine)
    elsewhere = (DeviceShare("1", 600),)
    engine.observe([seen_again(engine, "a-0", node=NodeName("n1"), phase="Running", devices=elsewhere)])
    cycle(engine)
    assert engine.state.tasks[PodUid("a-0")].devices == elsewhere


def test_devices_that_come_and_go_keep_the_books():
    engine = engine_with("node n1: cpu=8 [2 gpu]", "gang a: 2x cpu=1 [0.6 gpu]")
    confirm(engine, cycle(engine))
    engine.observe([node("n1", "cpu=8 [1 gpu]")])
    cycle(engine)
    engine.observe([node("n1", "cpu=8 [3 gpu]"), *facts("gang b: 1x cpu=1 [1 gpu]")[2:]])
    cycle(engine)
    assert held(engine, "b-0") == [(("2", 1000),)]
    engine.observe([NodeGone(NodeName("n1"))])
    cycle(engine)


def test_members_to_come_have_their_devices_kept():
    engine = engine_with(
        "node n1: cpu=8 [2 gpu]",
        "gang a: 1x ps cpu=1 [0.6 gpu], ?1x worker cpu=1 [0.6 gpu] ~ps, min 2",
        "gang b: 1x cpu=1 [0.6 gpu]",
    )
    assert gangs_bound(cycle(engine)) == {"a": 1}
    assert blocker(engine, "b") == "NeedsCapacity"


def test_device_capacity_hidden_from_the_resource_view_is_made_room_for():
    """Volcano: preempt looks at devices too, not only at sums of resources, of which the node has plenty."""
    engine = running("node n1: cpu=9 [2 gpu]", "gang low: 4x cpu=1 [0.5 gpu], min 1", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x cpu=1 [1 gpu], priority 10")
    gone = evicted(plan)
    assert len(gone) == 2
    assert len({engine.state.tasks[PodUid(name)].devices[0].id for name in gone}) == 1
    leave(engine, gone)
    assert gangs_bound(cycle(engine, 3_000)) == {"high": 1}


def test_nobody_goes_for_a_device_that_no_going_would_free():
    engine = running("node n1: cpu=9 [1 gpu]", "gang low: 2x cpu=1 [0.5 gpu], min 1", policy=PREEMPTING)
    plan = more(engine, "gang high: 1x cpu=1 [2 gpu], priority 10")
    assert evicted(plan) == []


def test_as_few_go_as_will_do_for_a_share_of_one_device():
    engine = running("node n1: cpu=9 [2 gpu]", "gang low: 4x cpu=1 [0.5 gpu], min 1", policy=PREEMPTING)
    assert len(evicted(more(engine, "gang high: 1x cpu=1 [0.4 gpu], priority 10"))) == 1


def test_facts_about_devices_survive_a_journal():
    cards = (Device("GPU-a", "vgpu", 40960, 7, "A100", "mig", groups=(MigGroup("one", (40960,)),)),)
    shape = ShapeSpec((("cpu", 1000),), devices=(DeviceAsk("vgpu", 2, milli=500, models=("A100",)),))
    events = [
        NodeSeen(NodeName("n1"), devices=cards),
        PodSeen(PodUid("p"), "ns", "p", shape, node=NodeName("n1"), devices=(DeviceShare("GPU-a[one-0]", 500, 40960),)),
    ]
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events
