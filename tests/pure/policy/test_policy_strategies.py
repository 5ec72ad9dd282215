"""Volcano's resource-strategy-fit plugin: is each resource packed or spread as told, and are scarce ones kept?"""

import msgspec
import pytest

from flowbatch.errors import SpecErrors
from flowbatch.policy.strategies import ResourceStrategies, Strategy
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import bound, confirm, cycle, engine_with, facts, finish, nodes_used, why

GPU = "nvidia.com/gpu"


def policy(**arguments):
    plugins = [{"name": "resource-strategy-fit", "arguments": arguments}, {"name": "predicates"}]
    return read_volcano({"tiers": [{"plugins": plugins}]})


def strategies(**kinds):
    return {"resources": {name.replace("gpu", GPU): {"type": kind, "weight": 1} for name, kind in kinds.items()}}


NODES = ("node a: cpu=8 nvidia.com/gpu=8", "node b: cpu=8 nvidia.com/gpu=8", "pod x: cpu=2 nvidia.com/gpu=2 on b")


def test_each_resource_has_its_own_strategy():
    for kinds, expected in (({"cpu": "MostAllocated"}, "b"), ({"cpu": "LeastAllocated"}, "a")):
        engine = engine_with(*NODES, "gang g: 1x cpu=1", policy=policy(**strategies(**kinds)))
        assert nodes_used(cycle(engine)) == [expected]
    mixed = policy(resources={GPU: {"type": "MostAllocated", "weight": 3}, "cpu": {"type": "LeastAllocated"}})
    engine = engine_with(*NODES, "gang g: 1x cpu=1 nvidia.com/gpu=1", policy=mixed)
    assert nodes_used(cycle(engine)) == ["b"]


def test_spreading_follows_every_pod_and_packing_stays():
    spread = engine_with("2 nodes: cpu=8", "gang g: 4x cpu=1", policy=policy(**strategies(cpu="LeastAllocated")))
    assert nodes_used(cycle(spread)) == ["n1", "n1", "n2", "n2"]
    packed = engine_with("2 nodes: cpu=8", "gang g: 4x cpu=1", policy=policy(**strategies(cpu="MostAllocated")))
    assert nodes_used(cycle(packed)) == ["n1"] * 4


def test_patterns_match_by_their_beginning_the_longest_first_and_the_exact_name_before_them():
    patterns = (Strategy("nvidia.com/*", weight=1), Strategy("nvidia.com/gpu-*", weight=2), Strategy(GPU, weight=3))
    ranked = {
        name: max(patterns, key=lambda each, name=name: each.rank(name)).weight
        for name in (GPU, "nvidia.com/gpu-a100", "nvidia.com/x")
    }
    assert ranked == {GPU: 3, "nvidia.com/gpu-a100": 2, "nvidia.com/x": 1}
    assert Strategy("amd.com/*").rank(GPU) == 0


def test_without_resources_cpu_and_memory_are_spread():
    (score,) = policy().scores
    assert score == ResourceStrategies(10, (Strategy("cpu"), Strategy("memory")))


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"volcano.sh/resource-strategy-scoring-type": "MostAllocated"}, "b"),
        ({"volcano.sh/resource-strategy-weight": '{"memory": 1}'}, "a"),
        ({"volcano.sh/resource-strategy-weight": "{"}, "a"),
    ],
)
def test_a_pod_may_have_its_own_strategy_and_weights(marks, expected):
    engine = engine_with(*NODES, policy=policy())
    for fact in facts("gang g: 1x cpu=1"):
        if getattr(fact, "gang", None):
            fact = msgspec.structs.replace(fact, shape=msgspec.structs.replace(fact.shape, marks=tuple(marks.items())))
        engine.observe([fact])
    assert nodes_used(cycle(engine)) == [expected]


def test_scarce_resources_are_avoided_by_those_who_need_none_of_them():
    scarce = {"sra": {"enable": True, "resources": f"{GPU}, x/y", "weight": 10, "resourceWeight": {GPU: 2}}}
    engine = engine_with(
        "node both: cpu=8 nvidia.com/gpu=8 x/y=1",
        "node gpu: cpu=8 nvidia.com/gpu=8",
        "node y: cpu=8 x/y=1",
        "node plain: cpu=8",
        *[f"gang g{i}: 1x cpu=8" for i in range(4)],
        policy=policy(**scarce),
    )
    plan = cycle(engine)
    assert list(bound(plan).values()) == ["plain", "y", "gpu", "both"]


def test_cpu_and_memory_stay_in_proportion_to_idle_scarce_units():
    """The example of Volcano's design: 8 GPUs keep 64 of 74 cores."""
    kept = {"enable": True, "resources": GPU, "resourceProportion": {f"{GPU}.cpu": 8, f"{GPU}.memory": 8}}
    engine = engine_with(
        "node n: cpu=74 memory=128Gi nvidia.com/gpu=8",
        "gang one: 2x cpu=8 memory=8Gi, min 1",
        policy=policy(proportional=kept),
    )
    first = cycle(engine)
    assert len(bound(first)) == 1
    assert "1 node(s) keep cpu and memory in proportion to idle scarce resources" in why(engine, "one")
    confirm(engine, first)
    engine.observe(facts("gang gpus: 1x cpu=8 memory=8Gi nvidia.com/gpu=4"))
    second = cycle(engine)
    assert len(bound(second)) == 2
    confirm(engine, second)
    finish(engine, ["gpus-0"])
    assert bound(cycle(engine)) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"resources": {"*": {"type": "MostAllocated"}}},
        {"resources": {"*.com/gpu": {"type": "MostAllocated"}}},
        {"resources": {"cpu": {"type": "Most"}}},
        {"resources": {"cpu": 3}},
        {"sra": {"resourceWeight": {"cpu": 1}}},
        {"proportional": {"enabled": True}},
    ],
)
def test_what_makes_no_sense_is_a_problem(arguments):
    with pytest.raises(SpecErrors):
        policy(**arguments)
