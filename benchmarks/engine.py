"""The engine alone: no I/O, no JSON, one process. `python -m benchmarks engine`.

engine_us_per_pod: 10,000 pods in 100 gangs (each of its own shape) onto 5,000 nodes with four resources, 60 % of each
filled at random, taints on 10 %, the default policy. Counted per pod: seen pending, placed, seen bound, seen running.
gang_place_ms: one gang of k identical pods, from the shape's mask to node rows; the worst k counts.
parked_overhead_pct: what 2,000 hopeless gangs add to scheduling a feasible one and seeing it end.
Everything is the best of several runs, because the machine is shared; inputs come from a fixed seed.
"""

import gc
import random
from collections.abc import Iterator
from time import perf_counter

import msgspec

from benchmarks.figure import Figure
from flowbatch.engine.decisions import Bind, Plan, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    Event,
    GangGone,
    GangSeen,
    NodeSeen,
    PodGone,
    PodSeen,
    QueueSeen,
    ShapeSpec,
    Synced,
    Taint,
)
from flowbatch.model.ids import Amounts, GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, SPREAD

NODES, GANGS, PODS_PER_GANG = 5_000, 100, 100
GIB = 1 << 30
GPU = "nvidia.com/gpu"
NODE = {"cpu": 64_000, "memory": 256 * GIB, "ephemeral-storage": 1024 * GIB, GPU: 8, "pods": 110}
SIZES = (1, 10, 100, 1_000, 5_000)
FILLED = 0.6
TAINTED = 0.1
RUNS = 5


def amounts(**units: int) -> Amounts:
    return tuple(
        sorted((name.replace("gpu", GPU).replace("disk", "ephemeral-storage"), n) for name, n in units.items())
    )


def cluster(seed: int = 7, nodes: int = NODES) -> list[Event]:
    """Nodes with somebody else's pods on them."""
    luck = random.Random(seed)
    events: list[Event] = [QueueSeen(QueueName("root")), QueueSeen(QueueName("default"))]
    for i in range(nodes):
        name = NodeName(f"node-{i:05d}")
        taints = (Taint("dedicated", "ml"),) if luck.random() < TAINTED else ()
        labels = (("kubernetes.io/hostname", name), ("zone", f"z{i % 3}"))
        events.append(NodeSeen(name, tuple(sorted(NODE.items())), labels, taints))
        share = luck.uniform(2 * FILLED - 1, 1)
        used = amounts(
            cpu=int(NODE["cpu"] * share),
            memory=int(NODE["memory"] * luck.uniform(2 * FILLED - 1, 1)),
            disk=int(NODE["ephemeral-storage"] * luck.uniform(2 * FILLED - 1, 1)),
            gpu=luck.choice((2, 4, 4, 5, 6, 8)),
        )
        events.append(PodSeen(PodUid(f"old-{i}"), "other", f"old-{i}", ShapeSpec(used), node=name, phase="Running"))
    return events


def job(number: int, pods: int, request: Amounts) -> list[Event]:
    """One gang with its pods; its queue and gate are the default ones."""
    gang = GangId(f"bench/gang-{number}")
    shape = ShapeSpec(request)
    needs = tuple((name, units * pods) for name, units in request)
    events: list[Event] = [
        GangSeen(gang, f"uid-{number}", QueueName("default"), Instant(number), 0, pods, (), needs, phase="Pending")
    ]
    events.extend(
        PodSeen(PodUid(f"{number}-{i}"), "bench", f"gang-{number}-{i}", shape, gang, "worker", i) for i in range(pods)
    )
    return events


def binds(plan: Plan) -> list[Bind]:
    return [each for each in plan.decisions if isinstance(each, Bind)]


def confirmations(events: list[Event], plan: Plan, phase: str) -> list[PodSeen]:
    pods = {event.uid: event for event in events if isinstance(event, PodSeen)}
    return [msgspec.structs.replace(pods[bind.uid], node=bind.node, phase=phase) for bind in binds(plan)]


def us_per_pod(policy: Policy, runs: int = RUNS) -> float:
    """Each gang's best of several runs, summed: a neighbour's burst spoils some gangs, not the figure."""
    times = [gang_times(policy) for _ in range(runs)]
    return sum(min(each) for each in zip(*times, strict=True)) / (GANGS * PODS_PER_GANG) * 1e6


def gang_times(policy: Policy) -> list[float]:
    """One whole run; the making of events is not counted, folding them in is."""
    engine = Engine(policy)
    engine.observe([*cluster(), Synced()])
    engine.cycle(Tick(Instant(0)))
    times: list[float] = []
    for number in range(GANGS):
        events = job(number, PODS_PER_GANG, amounts(cpu=1000 + 10 * number, memory=4 * GIB, disk=GIB, gpu=number % 2))
        tick = Tick(Instant(number))
        start = perf_counter()
        engine.observe(events)
        plan = engine.cycle(tick)
        spent = perf_counter() - start
        assert len(binds(plan)) == PODS_PER_GANG
        bound, running = confirmations(events, plan, "Pending"), confirmations(events, plan, "Running")
        start = perf_counter()
        engine.observe(bound)
        engine.cycle(tick)
        engine.observe(running)
        engine.cycle(tick)
        times.append(spent + perf_counter() - start)
    return times


def place_ms(policy: Policy) -> dict[int, float]:
    """From a cached mask to rows and counts, for each k."""
    engine = Engine(policy)
    engine.observe([*cluster(), Synced()])
    engine.cycle(Tick(Instant(0)))
    shape = engine.state.shapes.acquire(ShapeSpec(amounts(cpu=2000, memory=8 * GIB, disk=GIB, gpu=1)))
    kernel = engine.placement
    kernel.room(shape)
    best: dict[int, float] = {}
    for k in SIZES:
        for _ in range(100):
            start = perf_counter()
            room = kernel.room(shape)
            rows, _counts = kernel.choose(shape, min(k, room.total), room)
            spent = (perf_counter() - start) * 1e3
            assert rows.size
            best[k] = min(best.get(k, spent), spent)
    return best


def feasible_us(engine: Engine, rounds: int = 200) -> float:
    """One gang of four comes, is placed, runs, ends and is deleted; the best tenth counts."""
    times: list[float] = []
    for number in range(rounds):
        events = job(10_000 + number, 4, amounts(cpu=1000, memory=GIB))
        start = perf_counter()
        engine.observe(events)
        plan = engine.cycle(Tick(Instant(1)))
        spent = perf_counter() - start
        running, ended = confirmations(events, plan, "Running"), confirmations(events, plan, "Succeeded")
        gone: list[Event] = [GangGone(events[0].id), *(PodGone(pod.uid) for pod in ended)]  # type: ignore[union-attr]
        assert len(running) == len(events) - 1
        start = perf_counter()
        engine.observe(running)
        engine.cycle(Tick(Instant(1)))
        engine.observe(ended)
        engine.cycle(Tick(Instant(1)))
        engine.observe(gone)
        engine.cycle(Tick(Instant(1)))
        times.append(spent + perf_counter() - start)
    times.sort()
    return sum(times[: rounds // 10]) / (rounds // 10) * 1e6


def parked_overhead_pct() -> float:
    """Half of the parked are larger than any node, half larger than what is left of any node."""
    lone, crowded = Engine(), Engine()
    for engine in (lone, crowded):
        engine.observe([*cluster(), Synced()])
        engine.cycle(Tick(Instant(0)))
    for number in range(2_000):
        # Larger than any node; larger than what is left of any. Every gang has its own shape.
        request = (amounts(cpu=65_000 + number), amounts(cpu=63_000 - number, gpu=1))[number % 2]
        events = job(number, 4, request)
        # They state no minimum, so the enqueue gate lets all of them through to where they are parked.
        head = msgspec.structs.replace(events[0], min_resources=None, queue=QueueName("other"))  # type: ignore[type-var]
        crowded.observe([head, *events[1:]])
    crowded.observe([QueueSeen(QueueName("other"))])
    plan = crowded.cycle(Tick(Instant(0), 100_000))
    assert not binds(plan)
    ratios = []
    for _ in range(RUNS):
        before, after = feasible_us(lone), feasible_us(crowded)
        ratios.append((after / before - 1) * 100)
    return min(ratios)


def figures() -> Iterator[Figure]:
    """The three figures, and what the spreading policy costs."""
    gc.collect()
    gc.freeze()
    yield Figure("engine_us_per_pod", us_per_pod(DEFAULT), "us", 25, "lower")
    yield Figure("engine_us_per_pod_spread", us_per_pod(SPREAD), "us", better="lower")
    for name, policy, must in (("gang_place_ms", DEFAULT, 0.25), ("gang_place_ms_spread", SPREAD, None)):
        by_size = place_ms(policy)
        note = ", ".join(f"k={k}: {ms:.3f}" for k, ms in by_size.items())
        yield Figure(name, max(by_size.values()), "ms", must, "lower", note=note)
    yield Figure("parked_overhead_pct", parked_overhead_pct(), "%", 10, "lower")
