"""Where shares of devices go so that the rest stays of use; and the tables against a plain sum over all shapes."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowbatch.policy.fragmentation import Fragmentation
from flowbatch.policy.presets import FIFO
from flowbatch.policy.usable import Kind, Tables
from tests.textcluster import bound, confirm, cycle, engine_with, facts, finish

CAREFUL = replace(FIFO, name="careful", enqueue=(), scores=(Fragmentation(),), devices=Fragmentation())


def placed(*lines):
    engine = engine_with(*lines, policy=CAREFUL)
    return bound(cycle(engine)), engine


def held(engine, name):
    return [each.id for each in engine.state.tasks[name].devices]


def test_a_share_goes_where_it_leaves_least_behind():
    where, engine = placed(
        "node n1: cpu=99 [2 gpu]",
        "pod a: cpu=1 [0.3 gpu] on n1 has 0:300",
        "pod b: cpu=1 [0.7 gpu] on n1 has 1:700",
        "gang g: 1x cpu=1 [0.3 gpu]",
    )
    assert where == {"g-0": "n1"}
    assert held(engine, "g-0") == ["1"]


def test_whole_nodes_are_kept_for_those_who_need_them_whole():
    where, _ = placed(
        "node n1: cpu=99 [8 gpu]",
        "node n2: cpu=99 [8 gpu]",
        "pod a: cpu=1 [1 gpu] on n2 has 0:1000",
        "gang eight: 1x cpu=1 [8 gpu], 1x cpu=200 [8 gpu], min 2",
        "gang g: 1x cpu=1 [1 gpu]",
    )
    assert where == {"g-0": "n2"}


def test_others_keep_off_models_that_some_must_have():
    where, engine = placed(
        "node n1: cpu=99 model:t4 [2 gpu]",
        "node n2: cpu=99 model:g2 [8 gpu]",
        "gang t: 1x cpu=1 [1 gpu] @model:t4",
    )
    confirm(engine, cycle(engine))
    assert where == {"t-0": "n1"}
    finish(engine, ["t-0"])
    cycle(engine)
    engine.observe(facts("gang any: 1x cpu=1 [1 gpu]")[2:])
    assert bound(cycle(engine)) == {"any-0": "n2"}


def test_cpu_stays_where_free_devices_are():
    where, _ = placed(
        "node n1: cpu=16 [8 gpu]",
        "node n2: cpu=64 [1 gpu]",
        "pod seen: cpu=4 [1 gpu] on n2 has 0:1000",
        "gang g: 1x cpu=4",
    )
    assert where == {"g-0": "n2"}


def test_without_any_device_in_the_cluster_it_has_no_opinion():
    where, _ = placed("node n1: cpu=4", "gang g: 1x cpu=4")
    assert where == {"g-0": "n1"}


kinds = st.one_of(
    st.builds(Kind, st.sampled_from([0, 2, 5]), st.just(0), st.just(1), st.sampled_from([100, 300, 500, 810, 1000])),
    st.builds(Kind, st.sampled_from([0, 2, 5]), st.just(0), st.sampled_from([2, 3]), st.just(1000)),
)
lefts = st.lists(st.sampled_from([0, 90, 100, 299, 500, 810, 999, 1000]), min_size=3, max_size=3)


@given(st.lists(st.tuples(kinds, st.integers(1, 9)), min_size=1, max_size=6), lefts, st.integers(0, 6))
def test_the_tables_say_what_a_sum_over_all_shapes_says(weighed, left, cpu):
    """Of use for a pod: each device that could take its part, if the node could take the pod at all."""
    shapes, weights = [kind for kind, _ in weighed], np.array([weight for _, weight in weighed], np.float64)
    tables = Tables(shapes, weights, np.ones((1, len(shapes)), np.bool_), np.zeros(1, np.int64), 3)
    expected = 0.0
    for kind, weight in weighed:
        fitting = [part for part in left if part >= kind.part]
        if cpu >= kind.cpu and len(fitting) >= kind.count:
            expected += weight * sum(fitting)
    row, here = np.zeros(1, np.int64), np.array([cpu])
    found = tables.at(row, here, np.zeros(1, np.int64)).of(np.array([left]))
    assert abs(float(found[0]) - expected) < 1e-6


def test_a_gang_is_placed_as_its_members_would_be_one_after_the_other():
    nodes = ("2 nodes: cpu=20 [2 gpu]", "pod a: cpu=1 [0.4 gpu] on n2 has 0:400")
    together = engine_with(*nodes, "gang g: 4x cpu=1 [0.3 gpu]", policy=CAREFUL)
    where = bound(cycle(together))
    apart = engine_with(*nodes, policy=CAREFUL)
    one_by_one = {}
    for index in range(4):
        apart.observe(facts(f"gang s{index}: 1x cpu=1 [0.3 gpu]")[2:])
        one_by_one |= bound(cycle(apart))
    assert sorted(where.values()) == sorted(one_by_one.values())
    assert together.state.devices.content() == apart.state.devices.content()
    assert not together.guard.failures
