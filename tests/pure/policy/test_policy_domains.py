"""Is the right one of several domains chosen, and do pods that may go anywhere keep whole domains free?"""

import pytest

from flowbatch.engine.events import ShapeSpec
from flowbatch.errors import SpecErrors
from flowbatch.model.view import View
from flowbatch.policy.domains import Fullest, HyperNodePacking, LeastLeft
from flowbatch.policy.volcano import read_volcano
from tests.pure.engine.test_engine_topology import TREE, taken
from tests.textcluster import cycle, engine_with, nodes_used


def configured(**arguments):
    plugins = [
        {"name": "predicates"},
        {"name": "gang"},
        {"name": "network-topology-aware", "arguments": arguments},
    ]
    return read_volcano({"actions": "enqueue, allocate", "tiers": [{"plugins": plugins}]})


def test_arguments_are_volcanos():
    policy = configured(
        **{
            "weight": 10,
            "hypernode.binpack.cpu": "5",
            "hypernode.binpack.memory": 1,
            "hypernode.binpack.resources": "nvidia.com/gpu, example.com/foo",
            "hypernode.binpack.resources.nvidia.com/gpu": 2,
            "hypernode.binpack.normal-pod.enable": True,
            "hypernode.binpack.normal-pod.fading": 0.5,
            "hypernode.gradient.evict.max-hypernodes": 4,
        }
    )
    weights = (("cpu", 5.0), ("memory", 1.0), ("nvidia.com/gpu", 2.0), ("example.com/foo", 1.0))
    assert policy.domain_order == (Fullest(weights), LeastLeft())
    assert policy.scores == (HyperNodePacking(10, weights, 0.5),)
    assert policy.eviction_domains == 4


@pytest.mark.parametrize(
    "argument",
    [{"weight": -1}, {"hypernode.binpack.gpu": 1}, {"hypernode.gradient.evict.max-hypernodes": 0}],
)
def test_wrong_arguments_are_refused_by_path(argument):
    with pytest.raises(SpecErrors, match=next(iter(argument))):
        configured(**argument)


def test_normal_pods_can_be_left_alone_and_the_order_can_be_switched_off():
    assert configured(**{"hypernode.binpack.normal-pod.enable": "false"}).scores == ()
    plugin = {"name": "network-topology-aware", "enableHyperNodeOrder": False}
    policy = read_volcano({"tiers": [{"plugins": [plugin]}]})
    assert policy.domain_order == (LeastLeft(), Fullest())


def test_the_plugin_prefers_the_fullest_domain_and_the_default_the_one_with_least_left():
    # s0 is larger and fuller, in s2 no third one would fit.
    lines = (*TREE, "node n0: cpu=64", *taken(n0=54, n1=8, n4=4, n5=4), "gang job: 2x cpu=3, hard 1")
    assert {*nodes_used(cycle(engine_with(*lines)))} == {"n4", "n5"}
    assert {*nodes_used(cycle(engine_with(*lines, policy=configured())))} <= {"n0", "n1"}


def test_pods_without_topology_keep_whole_domains_free():
    engine = engine_with(*TREE, *taken(n0=6, n2=2), "gang job: 2x cpu=3", policy=configured())
    assert nodes_used(cycle(engine)) == ["n1", "n1"], "s0 is the fullest rack, though n2 is fuller than n1"


def test_low_tiers_weigh_most_and_strangers_to_the_tree_come_first():
    engine = engine_with(
        *TREE, "node n9: cpu=4", *taken(n4=8, n5=6, n0=4, n2=6), "gang job: 2x cpu=4", policy=configured()
    )
    assert nodes_used(cycle(engine))[-1] == "n9"


def test_each_tier_weighs_less_than_the_one_below():
    engine = engine_with(*TREE, *taken(n0=6, n1=6, n4=4, n5=4, n6=8, n7=4), policy=configured())
    cycle(engine)
    shape = engine.state.shapes.acquire(ShapeSpec((("cpu", 1000),)))
    score = HyperNodePacking(1.0, (("cpu", 1.0),), 0.5).score(shape, slice(0, 8), 0, View(engine.state))
    rack, block, spine = 13 / 16, 13 / 32, 33 / 64
    assert score[0] == pytest.approx((rack + 0.5 * block + 0.25 * spine) / 1.75)
    rack, block = 9 / 16, 21 / 32
    assert score[4] == pytest.approx((rack + 0.5 * block + 0.25 * spine) / 1.75)
