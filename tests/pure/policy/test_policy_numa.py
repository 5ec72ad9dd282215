"""The numa-aware plugin of a Volcano configuration, and its parts in flowbatch's own words."""

import numpy as np
import pytest

from flowbatch.errors import SpecErrors
from flowbatch.model.ids import GangId
from flowbatch.policy.conf import read_policy
from flowbatch.policy.numa import FewNumaNodes, NumaAlignment
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import engine_with


def configured(**plugin):
    return read_volcano({"tiers": [{"plugins": [{"name": "numa-aware", **plugin}]}]})


@pytest.mark.parametrize(("arguments", "weight"), [({}, 1), ({"weight": 10}, 10), ({"weight": "10"}, 10)])
def test_the_weight_is_read(arguments, weight):
    policy = configured(arguments=arguments)
    assert policy.filters == (NumaAlignment(),)
    assert policy.scores == (FewNumaNodes(weight),)


def test_a_weight_of_zero_scores_nobody():
    assert configured(arguments={"weight": 0}).scores == ()


def test_the_switches_take_their_parts_away():
    assert configured(enablePredicate=False).filters == ()
    assert configured(enableNodeOrder=False).scores == ()


@pytest.mark.parametrize("arguments", [{"weigth": 10}, {"weight": "much"}, {"weight": -1}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(SpecErrors, match="weig"):
        configured(arguments=arguments)


def test_flowbatchs_own_words_for_the_same():
    policy = read_policy({"filters": ["numaAlignment"], "scores": [{"name": "fewNumaNodes", "weight": 2}]})
    assert policy.filters == (NumaAlignment(),)
    assert policy.scores == (FewNumaNodes(2),)


def test_only_a_policy_with_the_filter_takes_cpus():
    lines = ("node n1: cpu=8", "numa n1: restricted 2x 4", "gang g: 1x cpu=2 own 2")
    assert not engine_with(*lines).state.numa.on
    assert engine_with(*lines, policy=configured()).state.numa.on
    assert not engine_with(*lines, policy=configured(enablePredicate=False)).state.numa.on


def points(*lines, extra=0, rows=slice(None)):
    engine = engine_with(*lines, policy=configured())
    (task,) = engine.state.gangs[GangId("ns/g")].pending.values()
    return FewNumaNodes().score(task.shape, rows, extra, engine._view).tolist()


NODES = (
    "4 nodes: cpu=16",
    "numa n1: best-effort 2x 4",
    "numa n2: best-effort 2x 4, taken 0-1,4-5",
    "numa n3: best-effort 4x 4, taken 0-2,4-6,8-10",
)


def test_fewer_numa_nodes_are_worth_more():
    assert points(*NODES, "gang g: 1x cpu=4 own 4 like best-effort") == [0.75, 0.5, 0.75, 1.0]


def test_pods_placed_before_count_as_placed():
    found = points(*NODES, "gang g: 1x cpu=3 own 3 like best-effort", extra=np.array([0, 1, 1, 2]))
    # n2 has one cpu left after one pod of three, n3 one on each NUMA node after one, and too few after two.
    assert found == [0.75, 1.0, 0.25, 1.0]


def test_rows_are_scored_as_asked():
    assert points(*NODES, "gang g: 1x cpu=4 own 4 like best-effort", rows=np.array([1, 0])) == [0.5, 0.75]


def test_without_a_policy_of_its_own_a_pod_is_scored_nowhere():
    assert points(*NODES, "gang g: 1x cpu=4 own 4") == [0.0] * 4
