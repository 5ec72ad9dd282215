"""Which node is chosen, and does choosing for many at once give what choosing one by one would?"""

import random
from dataclasses import replace

import pytest

from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Synced
from flowbatch.policy.presets import DEFAULT, SPREAD
from flowbatch.policy.scores import Balanced, BinPack, LeastRequested, MostRequested
from tests.textcluster import bound, cycle, engine_with, facts, nodes_used

MIXED = replace(SPREAD, name="mixed", scores=(BinPack(weight=0.7), Balanced(weight=2.0), LeastRequested(weight=0.1)))
POLICIES = [
    DEFAULT,
    SPREAD,
    MIXED,
    replace(DEFAULT, name="most", scores=(MostRequested(),)),
    replace(DEFAULT, scores=()),
]


def test_bin_packing_fills_the_fuller_node_first():
    engine = engine_with("2 nodes: cpu=4", "pod o: cpu=1 on n2", "gang a: 4x cpu=1")
    assert nodes_used(cycle(engine)) == ["n1", "n2", "n2", "n2"]


def test_spreading_takes_the_emptier_nodes_in_turn():
    engine = engine_with("2 nodes: cpu=4 memory=4Gi", "pod o: cpu=1 on n2", "gang a: 4x cpu=1", policy=SPREAD)
    assert nodes_used(cycle(engine)) == ["n1", "n1", "n1", "n2"]


def test_ties_go_to_the_node_seen_first():
    engine = engine_with("3 nodes: cpu=4", "gang a: 1x cpu=1")
    assert bound(cycle(engine)) == {"a-0": "n1"}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("seed", range(6))
def test_many_at_once_is_the_same_as_one_by_one(policy, seed):
    luck = random.Random(seed)
    lines = [f"node n{i}: cpu={luck.randint(2, 16)} memory={luck.randint(2, 16)}Gi" for i in range(12)]
    lines += [f"pod o{i}: cpu=1 memory={luck.randint(0, 1)}Gi on n{i}" for i in range(0, 12, 2)]
    one = ShapeTest(policy, lines)
    size = luck.randint(1, one.total)
    assert one.at_once(size) == one.by_one(size)


class ShapeTest:
    """One shape on one cluster, placed in two ways."""

    def __init__(self, policy, lines):
        from flowbatch.engine.events import ShapeSpec

        self.engine = Engine(policy)
        self.engine.observe([*facts(*lines), Synced()])
        cycle(self.engine)
        self.shape = self.engine.state.shapes.acquire(ShapeSpec((("cpu", 1000), ("memory", 1 << 29))))
        self.kernel = self.engine.placement
        self.total = self.kernel.room(self.shape).total

    def at_once(self, size):
        rows, counts = self.kernel.choose(self.shape, size, self.kernel.room(self.shape))
        return dict(sorted(zip(rows.tolist(), counts.tolist(), strict=True)))

    def by_one(self, size):
        placed: dict[int, int] = {}
        for _ in range(size):
            rows, counts = self.kernel.choose(self.shape, 1, self.kernel.room(self.shape))
            self.engine.state.table.take_rows(rows, counts, self.shape.request)
            row = int(rows[0])
            placed[row] = placed.get(row, 0) + 1
        return dict(sorted(placed.items()))
