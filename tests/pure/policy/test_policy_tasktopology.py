"""Volcano's task-topology plugin: do servers and workers share nodes, or stay apart, as their job says?"""

import msgspec
import pytest

from flowbatch.engine.events import PodGone, TaskTopology
from flowbatch.policy.tasktopology import Kinships, SideBySide
from flowbatch.policy.volcano import read_volcano
from tests.textcluster import bound, confirm, cycle, engine_with, facts

CONFIGURATION = {
    "tiers": [
        {
            "plugins": [
                {"name": "gang"},
                {"name": "predicates"},
                {"name": "nodeorder"},
                {"name": "task-topology", "arguments": {"task-topology.weight": 10}},
            ]
        }
    ]
}
POLICY = read_volcano(CONFIGURATION)


def groups(text):
    return tuple(tuple(group.split(",")) for group in text.split(";")) if text else ()


def engine_of(*lines, together="", apart="", order="", policy=POLICY):
    said = TaskTopology(groups(together), groups(apart), tuple(order.split(",")) if order else ())
    engine = engine_with(policy=policy)
    for fact in facts(*lines):
        engine.observe([msgspec.structs.replace(fact, topology=said) if hasattr(fact, "min_members") else fact])
    return engine


def by_node(plan):
    """Task letters by node: {"n1": "pww"}."""
    found = {}
    for name, node in sorted(bound(plan).items()):
        found[node] = found.get(node, "") + name.split("-")[1][0]
    return dict(sorted(found.items()))


JOB = "gang g: 2x ps cpu=1, 4x worker cpu=1"


def test_each_server_gets_its_workers_on_its_node():
    """The example of Volcano's design: two servers that shun each other, workers that stay with one."""
    engine = engine_of("4 nodes: cpu=4", JOB, together="ps,worker", apart="ps")
    assert sorted(by_node(cycle(engine)).values()) == ["pww", "pww"]


def test_without_a_word_they_are_spread_as_the_other_scores_say():
    assert sorted(by_node(cycle(engine_of("4 nodes: cpu=4", JOB))).values()) == ["ppww", "ww"]


def test_friends_of_their_own_kind_gather_on_one_node():
    plan = cycle(engine_of("4 nodes: cpu=4", "gang g: 4x worker cpu=1", together="worker"))
    assert sorted(by_node(plan).values()) == ["wwww"]


def test_foes_keep_apart_as_long_as_there_are_nodes():
    plan = cycle(engine_of("3 nodes: cpu=8", "gang g: 3x ps cpu=1, 1x worker cpu=1", apart="ps"))
    assert sorted(each.count("p") for each in by_node(plan).values()) == [1, 1, 1]
    plan = cycle(engine_of("2 nodes: cpu=8", "gang g: 3x ps cpu=1", apart="ps"))
    assert sorted(by_node(plan).values()) == ["p", "pp"]


def test_it_is_a_wish_and_never_keeps_a_gang_from_starting():
    plan = cycle(engine_of("6 nodes: cpu=1", JOB, together="ps,worker", apart="ps"))
    assert len(bound(plan)) == 6
    plan = cycle(
        engine_of("node a: cpu=3", "node b: cpu=4", "gang g: 2x ps cpu=2, 3x worker cpu=1", together="ps,worker")
    )
    assert len(bound(plan)) == 5


def test_a_bucket_goes_where_all_of_it_fits():
    engine = engine_of(
        "node small: cpu=2", "node large: cpu=3", "gang g: 1x ps cpu=1, 2x worker cpu=1", together="ps,worker"
    )
    assert by_node(cycle(engine)) == {"large": "pww"}


def test_a_member_that_is_replaced_comes_back_to_its_bucket():
    engine = engine_of("4 nodes: cpu=4", JOB, together="ps,worker", apart="ps")
    plan = cycle(engine)
    confirm(engine, plan)
    lost = bound(plan)["g-worker-0"]
    fact = engine.state.tasks["g-worker-0"].fact

    engine.observe(
        [
            PodGone("g-worker-0"),
            msgspec.structs.replace(fact, uid="again", name="g-worker-0", node=None, phase="Pending"),
        ]
    )
    assert bound(cycle(engine)) == {"g-worker-0": lost}


def test_members_beyond_the_minimum_join_their_bucket_too():
    engine = engine_of("4 nodes: cpu=4", f"{JOB}, min 2", together="ps,worker", apart="ps")
    placed = {}
    for _ in range(3):
        plan = cycle(engine)
        confirm(engine, plan)
        placed |= bound(plan)
    nodes = {}
    for name, node in placed.items():
        nodes.setdefault(node, []).append(name.split("-")[1])
    assert sorted(sorted(each) for each in nodes.values()) == [["ps", "worker", "worker"]] * 2


def test_the_order_of_tasks_decides_who_is_dealt_first():
    said = TaskTopology(together=(("a", "b"),), apart=(("b",),), order=("b", "a"))
    order = Kinships.of(said).order
    assert order["b"] > order["a"]
    assert Kinships.of(TaskTopology(apart=(("a", "b"), ("c",)))).order == {"a": (0, 1), "b": (0, 1), "c": (0, 4)}


@pytest.mark.parametrize(
    ("together", "apart", "sizes"),
    [("a,b", "", [6]), ("", "a", [1, 1]), ("a;b", "a,b", [2, 4]), ("a,b", "a", [3, 3])],
)
def test_the_table_of_buckets(together, apart, sizes):
    engine = engine_of("gang g: 2x a cpu=1, 4x b cpu=1", together=together, apart=apart)
    buckets = SideBySide().build(engine.state.gangs["ns/g"])
    assert sorted(bucket.size for bucket in buckets.all) == sizes
