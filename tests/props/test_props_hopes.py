"""Sleeping lanes are not woken where there may be room for one of many. An engine that wakes everybody, all the time,
decides exactly the same."""

import random
from collections.abc import Callable

import msgspec
import pytest

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangSeen, NodeSeen, PodSeen, QueueSeen, ShapeSpec, Synced, Taint
from tests.reference.cases import SHAPES

CASES, BLOCK, EVENTS = 48, 12, 25


class Crowd:
    """A full cluster of a few nodes, and many gangs of many kinds that wait; pods end, nodes and gangs come and go."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.pods: dict[str, PodSeen] = {}
        self.nodes = [self.node(i) for i in range(self.luck.randint(2, 5))]
        self.gangs = 0

    def node(self, number: int) -> NodeSeen:
        luck = self.luck
        amounts = (("cpu", luck.randint(2, 6) * 1000), ("gpu", luck.choice([0, 2])), ("memory", 9), ("pods", 10))
        taints = (Taint("dedicated"),) if luck.random() < 0.2 else ()
        return NodeSeen(f"n{number}", amounts, (("zone", luck.choice("ab")),), taints)

    def facts(self) -> list[Event]:
        quota = (("cpu", self.luck.randint(2, 12) * 1000),) if self.luck.random() < 0.6 else ()
        queues = [
            QueueSeen("root"),
            QueueSeen("default"),
            QueueSeen("ads", capability=quota),
            QueueSeen("lab", parent="ads"),
        ]
        return [*queues, *self.nodes, *self.strangers(), *(each for _ in range(24) for each in self.gang()), Synced()]

    def strangers(self) -> list[Event]:
        for node in self.nodes:
            for number in range(2):
                uid = f"{node.name}-{number}"
                shape = ShapeSpec((("cpu", 1000),))
                self.pods[uid] = PodSeen(uid, "x", uid, shape, node=node.name, phase="Running")
        return list(self.pods.values())

    def gang(self) -> list[Event]:
        luck, self.gangs = self.luck, self.gangs + 1
        count, name = luck.randint(1, 4), f"ns/g{self.gangs}"
        shapes = luck.choices([shape for shape in SHAPES if shape.requests], k=luck.choice([1, 1, 2]))
        made = [shapes[i % len(shapes)] for i in range(count)]
        sums: dict[str, int] = {}
        for shape in made:
            for resource, units in shape.requests:
                sums[resource] = sums.get(resource, 0) + units
        pods = [PodSeen(f"{name}-{i}", "ns", f"{name}-{i}", shape, name, "w", i) for i, shape in enumerate(made)]
        self.pods |= {pod.uid: pod for pod in pods}
        stated = tuple(sorted(sums.items())) if luck.random() < 0.5 else None
        queue = luck.choice(["default", "default", "ads", "lab"])
        return [
            GangSeen(name, name, queue, self.gangs, luck.choice([0, 0, 5]), count, (), stated, phase="Pending"),
            *pods,
        ]

    def happen(self) -> list[Event]:
        luck = self.luck
        running = [pod for pod in self.pods.values() if pod.node]
        if luck.random() < 0.12:
            return self.gang()
        if luck.random() < 0.12 or not running:
            at = luck.randrange(len(self.nodes))
            labels = (("zone", luck.choice("ab")),)
            self.nodes[at] = msgspec.structs.replace(self.nodes[at], labels=labels, taints=())
            return [self.nodes[at]]
        ended = luck.sample(running, min(len(running), luck.choice([1, 1, 1, 2, 4])))
        for pod in ended:
            del self.pods[pod.uid]
        return [msgspec.structs.replace(pod, phase="Succeeded") for pod in ended]

    def bound(self, binds: list[tuple[str, str]]) -> list[Event]:
        placed = [msgspec.structs.replace(self.pods[uid], node=node, phase="Running") for uid, node in binds]
        self.pods |= {pod.uid: pod for pod in placed}
        return list(placed)


def binds(engine: Engine, moment: int, budget: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    while True:
        plan = engine.cycle(Tick(moment, budget))
        found += [(each.uid, each.node) for each in plan.decisions if isinstance(each, Bind)]
        if not plan.more:
            return found


def wake_everybody(engine: Engine) -> None:
    for stage in (engine._lineup.gate, engine._lineup.place):
        for lane in stage.lanes():
            engine._lineup.wake_up(lane)


def let_sleep(engine: Engine) -> None:
    del engine


def course(seed: int, prepare: Callable[[Engine], None], budget: int) -> list[list[tuple[str, str]]]:
    """Who is bound where after each of many happenings."""
    crowd, engine = Crowd(seed), Engine(validate=True)
    engine.observe(crowd.facts())
    history = [binds(engine, 1, budget)]
    for moment in range(EVENTS):
        engine.observe(crowd.bound(history[-1]))
        engine.observe(crowd.happen())
        prepare(engine)
        history.append(binds(engine, 2 + moment, budget))
    return history


@pytest.fixture(params=[2, 16], ids=["line by line", "the few that may"], autouse=True)
def few(request, monkeypatch) -> None:
    """Either way of finding the first of those who may hope."""
    monkeypatch.setattr("flowbatch.engine.room.FEW", request.param)
    monkeypatch.setattr("flowbatch.engine.headroom.FEW", request.param)


@pytest.mark.parametrize("block", range(0, CASES, BLOCK))
def test_whoever_sleeps_on_would_have_been_refused(block: int) -> None:
    placed = 0
    for seed in range(block, block + BLOCK):
        slept, woken = course(seed, let_sleep, 10_000), course(seed, wake_everybody, 10_000)
        assert slept == woken, f"seed {seed}"
        placed += sum(map(len, slept[1:]))
    assert placed > 10 * BLOCK, "hardly anybody was placed later"


@pytest.mark.parametrize("block", range(0, CASES, BLOCK))
def test_how_many_are_tried_at_a_time_does_not_matter_to_those_who_hope(block: int) -> None:
    for seed in range(block, block + BLOCK // 2):
        assert course(seed, let_sleep, 3) == course(seed, let_sleep, 10_000), f"seed {seed}"
