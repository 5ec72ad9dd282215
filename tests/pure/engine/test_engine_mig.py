"""GPUs cut in hardware: the first group that fits an empty one, leftovers reused, and nothing given twice."""

from hypothesis import given
from hypothesis import strategies as st

from flowbatch.engine.events import GangSeen, NodeSeen, PodGone, PodSeen, ShapeSpec, Synced
from flowbatch.model.asks import Device, DeviceAsk, DeviceShare, MigGroup
from flowbatch.model.mig import Cut, Cuts
from tests.textcluster import binds, cycle, engine_with

#: As of an A100 with 40 GB.
GROUPS = (MigGroup("seven", (5120,) * 7), MigGroup("mixed", (10240,) * 3 + (5120,)), MigGroup("one", (40960,)))


def with_cards(count, *pods):
    engine = engine_with()
    cards = tuple(Device(f"GPU-{index}", "vgpu", 40960, 7, "A100", "mig", groups=GROUPS) for index in range(count))
    engine.observe([NodeSeen("n1", (("cpu", 99_000), ("pods", 99)), devices=cards), *pods, Synced()])
    return engine


def gang(name, memory, count=1):
    shape = ShapeSpec((("cpu", 1000), ("pods", 1)), devices=(DeviceAsk("vgpu", memory=memory),))
    members = [PodSeen(f"{name}-{i}", "ns", f"{name}-{i}", shape, f"ns/{name}", "task", i) for i in range(count)]
    return [GangSeen(f"ns/{name}", name, "default", 0, 0, count, phase="Inqueue"), *members]


def held(engine, *names):
    return [each.id for name in names for each in engine.state.tasks[name].devices]


def test_the_first_group_that_fits_cuts_an_empty_gpu():
    engine = with_cards(2, *gang("small", 4000))
    cycle(engine)
    assert held(engine, "small-0") == ["GPU-0[seven-0]"]
    engine.observe(gang("large", 8000))
    cycle(engine)
    assert held(engine, "large-0") == ["GPU-1[mixed-0]"]


def test_what_is_left_of_a_cut_gpu_is_used_and_no_more():
    engine = with_cards(1, *gang("large", 8000))
    cycle(engine)
    engine.observe(gang("g", 5000, 4))
    assert not binds(cycle(engine))
    engine.observe(gang("h", 5000, 3))
    cycle(engine)
    assert held(engine, "h-0", "h-1", "h-2") == ["GPU-0[mixed-3]", "GPU-0[mixed-1]", "GPU-0[mixed-2]"]


def test_a_gpu_that_is_empty_again_may_be_cut_anew():
    engine = with_cards(1, *gang("large", 8000))
    cycle(engine)
    engine.observe([PodGone("large-0"), *gang("whole", 30000)])
    cycle(engine)
    assert held(engine, "whole-0") == ["GPU-0[one-0]"]


def test_instances_in_use_are_read_back():
    share = DeviceShare("GPU-0[mixed-0]", 0, 10240)
    (_, pod) = gang("old", 8000)
    shape = pod.shape
    old = PodSeen("old-0", "ns", "old-0", shape, node="n1", phase="Running", devices=(share,))
    engine = with_cards(1, old, *gang("g", 8000, 2))
    cycle(engine)
    assert held(engine, "g-0", "g-1") == ["GPU-0[mixed-1]", "GPU-0[mixed-2]"]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([1000, 5120, 6000, 10240, 20000])), max_size=25))
def test_taking_and_giving_back_in_any_order_never_gives_an_instance_twice(moves):
    cuts = Cuts()
    state, given_out = cuts.number(Cut(GROUPS)), []
    for take, memory in moves:
        gift = cuts.gift(state, memory)
        if take and gift.copies:
            group, place = divmod(gift.spot - 1, 256)
            assert (group, place) not in given_out
            assert GROUPS[group].places[place] == gift.memory >= memory
            given_out.append((group, place))
            state = gift.after
            assert len({each for each, _ in given_out}) == 1
        elif not take and given_out:
            group, place = given_out.pop(0)
            state = cuts.moved(state, f"{GROUPS[group].name}-{place}", -1)
        assert cuts.used(state) == tuple(sorted(given_out))
    if not given_out:
        assert state == cuts.number(Cut(GROUPS))
