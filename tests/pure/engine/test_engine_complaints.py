"""Bad input on queues: is it said on that queue, and does everybody else go on?"""

import msgspec
import pytest

from flowbatch.engine.decisions import QueueReport
from flowbatch.engine.events import NodeGone, QueueSeen
from tests.pure.policy.test_policy_capacity import FLAT, TREE
from tests.pure.policy.test_policy_hierarchy import DIVIDED, HDRF
from tests.textcluster import cycle, engine_with, gangs_bound, node, queue, why


def told(plan):
    return {each.queue: each.problems for each in plan.decisions if isinstance(each, QueueReport) and each.problems}


def complaints(*lines, policy=TREE):
    engine = engine_with("1 nodes: cpu=9 memory=9Gi", *lines, "gang a: 1x cpu=1", policy=policy)
    plan = cycle(engine)
    assert gangs_bound(plan)["a"] == 1, "the default queue goes on"
    return told(plan)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("queue q: parent=nowhere", 'spec.parent "nowhere" does not exist: the queue hangs under root'),
        ("queue q: parent=q", 'spec.parent "q" is, by way of others, below this queue: the queue hangs under root'),
        (
            "queue q: deserved(cpu=4) capability(cpu=2)",
            "spec.deserved of 4 cpu is above spec.capability of 2 cpu: no more than that can be had",
        ),
        (
            "queue q: guarantee(cpu=4) deserved(cpu=2)",
            "spec.guarantee of 4 cpu is above spec.deserved of 2 cpu: it counts as deserved",
        ),
        (
            "queue q: guarantee(cpu=4) deserved(memory=1Gi) capability(cpu=2)",
            "spec.guarantee of 4 cpu is above spec.capability of 2 cpu: no more than that can be had",
        ),
        ("queue q: capability(nvida.com/gpu=4)", "no node has nvida.com/gpu"),
        ("queue q: lend(gpu=1)", "no node has gpu"),
    ],
)
def test_a_contradiction_is_said_on_its_queue(line, problem):
    assert complaints(line) == {"q": (problem,)}


def test_a_circle_is_said_on_each_of_its_queues():
    found = complaints("queue x: parent=y", "queue y: parent=x", "queue z:")
    assert sorted(found) == ["x", "y"]


def test_children_that_claim_more_than_their_parent_are_said_on_the_parent():
    found = complaints(
        "queue p: deserved(cpu=3) guarantee(cpu=1) capability(cpu=4)",
        "queue c: parent=p deserved(cpu=2) guarantee(cpu=2) capability(cpu=5)",
        "queue d: parent=p deserved(cpu=2)",
    )
    assert found == {
        "p": (
            "what its children are guaranteed of 2 cpu is above its own of 1 cpu: their sum counts",
            "what its children deserve of 4 cpu is above its own of 3 cpu: their sum counts",
        ),
        "c": ('spec.capability of 5 cpu is above that of its parent "p" of 4 cpu: the smaller one counts',),
    }


def test_guarantees_above_the_cluster_are_said_on_the_root():
    engine = engine_with("1 nodes: cpu=9", "queue v: guarantee(cpu=9) deserved(cpu=9)", "queue w: guarantee(cpu=2)")
    found = told(cycle(engine))
    assert found == {"root": ("what queues are guaranteed of 11 cpu is above the cluster of 9 cpu: first come",)}
    engine.observe([node("n2", "cpu=9")])
    reports = {each.queue: each.problems for each in cycle(engine).decisions if isinstance(each, QueueReport)}
    assert reports["root"] == (), "mended, and said"


def test_one_branch_has_one_weight():
    found = complaints("queue a: hierarchy root/x/a:1/2/1", "queue b: hierarchy root/x/b:1/3/1", policy=HDRF)
    assert found == {
        "a": ('its branch "x" has weight 2 here and 3 in queue "b"',),
        "b": ('its branch "x" has weight 3 here and 2 in queue "a"',),
    }


def test_resources_are_unknown_only_while_no_node_has_them():
    engine = engine_with("1 nodes: cpu=9", "queue q: capability(gpu=4)")
    assert told(cycle(engine)) == {"q": ("no node has gpu",)}
    engine.observe([node("n2", "cpu=1 gpu=1")])
    assert QueueReport("q", ()) in cycle(engine).decisions
    engine.observe([NodeGone("n1"), NodeGone("n2")])
    assert told(cycle(engine)) == {}, "a cluster without nodes is no mistake of its queues"


@pytest.mark.parametrize("policy", [FLAT, TREE, DIVIDED, HDRF], ids=lambda policy: policy.name)
@pytest.mark.parametrize(
    "fact",
    [
        QueueSeen("q", weight=0),
        QueueSeen("q", weight=-5),
        QueueSeen("q", weight=10**18),
        QueueSeen("q", capability=(("cpu", -1),)),
        QueueSeen("q", deserved=(("cpu", 1 << 200),), guarantee=(("cpu", 1 << 200),)),
        QueueSeen("q", guarantee=(("cpu", -7),), deserved=(("cpu", -7),)),
        QueueSeen("q", borrowing=(("cpu", -7),), lending=(("cpu", 1 << 90),)),
        QueueSeen("q", parent="q"),
        QueueSeen("root", parent="q"),
        QueueSeen("q", hierarchy=(("root", 1e-300), ("a", 1e300))),
        QueueSeen("root", capability=(("cpu", 0),), deserved=(("cpu", 1),)),
    ],
)
def test_no_number_stops_the_others(policy, fact):
    engine = engine_with("1 nodes: cpu=9", "queue q:", "gang a: 1x cpu=1", "gang b: 1x cpu=1, queue q", policy=policy)
    engine.observe([fact])
    placed = gangs_bound(cycle(engine))
    nothing_left = fact.guarantee == (("cpu", 1 << 200),) or fact.capability == (("cpu", 0),)
    assert placed.get("a", 0) == (0 if nothing_left and policy.limits else 1)


def test_a_queue_that_cannot_be_read_says_so_to_its_gangs():
    engine = engine_with("1 nodes: cpu=9", "queue q:", "gang a: 1x cpu=1, queue q")
    engine.observe([QueueSeen("q", state="Unknown", problems=("spec.capability.cpu is not a quantity",))])
    plan = cycle(engine)
    assert told(plan) == {"q": ("spec.capability.cpu is not a quantity",)}
    assert 'queue "q" is Unknown and admits nothing new (spec.capability.cpu is not a quantity)' in why(engine, "a")


def test_what_was_said_is_not_said_again():
    engine = engine_with("1 nodes: cpu=9", "queue q: parent=nowhere")
    assert "q" in told(cycle(engine))
    engine.observe([node("n2", "cpu=1")])
    assert told(cycle(engine)) == {}
    engine.observe([msgspec.structs.replace(queue("q", "parent=nowhere"), uid="another")])
    assert "q" in told(cycle(engine)), "a namesake has heard nothing yet"
