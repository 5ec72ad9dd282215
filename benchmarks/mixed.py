"""Gangs of all sizes on GPU nodes, on virtual time, through the real engine: `python -m benchmarks mixed`.

F3 of the performance research: 200 nodes of 8 GPUs; 600 gangs of 1 to 64 pods of 1 to 8 GPUs each, that live 10 s and
an exponential 20 s, and come as a Poisson stream at 0.95 of what the nodes can bear. Every gang says how long it runs.

f3_makespan_ratio: when the last gang has ended, against a lower bound that no schedule can beat: after any moment, all
that comes later still has to be worked off; and every gang ends no sooner than it comes plus its own time.
f3_wait_p50_s_SIZE, f3_wait_p99_s_SIZE: how long gangs of that many pods wait, with reservations, and the longest wait
without them for comparison. Seeds are fixed; a gang is kept room for once it has waited RESERVE_MS.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import msgspec

from benchmarks.engine import GPU, binds
from benchmarks.figure import Figure
from flowbatch.engine.decisions import Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangGone, GangSeen, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec, Synced
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import BACKFILL, DEFAULT
from flowbatch.policy.sla import WaitingTime

NODES, GPUS, GANGS = 200, 8, 600
SIZES, SIZE_ODDS = (1, 2, 4, 8, 16, 32, 64), (0.35, 0.2, 0.15, 0.12, 0.1, 0.05, 0.03)
PER_POD = (1, 2, 4, 8)
LOAD = 0.95
RESERVE_MS = 5_000
SEEDS = (1, 2, 3, 4, 5)
#: Virtual time starts here, so that no instant is zero.
EPOCH_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Work:
    """One gang: when it comes, how many pods of how many GPUs, for how long."""

    number: int
    at: int
    pods: int
    gpus: int
    lasts: int


def works(seed: int) -> list[Work]:
    """The stream of one seed."""
    luck = random.Random(seed)
    shapes = [(luck.choices(SIZES, SIZE_ODDS)[0], luck.choice(PER_POD)) for _ in range(GANGS)]
    lasts = [10_000 + int(luck.expovariate(1 / 20_000)) for _ in range(GANGS)]
    area = sum(pods * gpus * last for (pods, gpus), last in zip(shapes, lasts, strict=True)) / GANGS
    between = area / (LOAD * NODES * GPUS)
    made: list[Work] = []
    now = float(EPOCH_MS)
    for number, ((pods, gpus), last) in enumerate(zip(shapes, lasts, strict=True)):
        now += luck.expovariate(1 / between)
        made.append(Work(number, int(now), pods, gpus, last))
    return made


def lower_bound(stream: list[Work]) -> float:
    """When the last gang has ended at the earliest."""
    bound = float(max(work.at + work.lasts for work in stream))
    left = 0
    for work in reversed(stream):
        left += work.pods * work.gpus * work.lasts
        bound = max(bound, work.at + left / (NODES * GPUS))
    return bound - stream[0].at


def gang_of(work: Work) -> list[Event]:
    gang = GangId(f"f3/g{work.number}")
    requests = (("cpu", 1_000), (GPU, work.gpus))
    needs = tuple((name, units * work.pods) for name, units in requests)
    seen = GangSeen(
        gang,
        f"u{work.number}",
        QueueName("default"),
        Instant(work.at),
        min_members=work.pods,
        min_resources=needs,
        phase="Pending",
        estimate_ms=work.lasts,
    )
    shape = ShapeSpec(requests)
    pods = (pod_of(work, index, shape) for index in range(work.pods))
    return [seen, *pods]


def pod_of(work: Work, index: int, shape: ShapeSpec) -> PodSeen:
    name = f"g{work.number}-{index}"
    return PodSeen(PodUid(name), "f3", name, shape, GangId(f"f3/g{work.number}"), "worker", index)


def simulate(stream: list[Work], policy: Policy) -> tuple[float, dict[int, int]]:
    """The makespan and the wait of each gang, in milliseconds. An end is known at once, as is a start."""
    engine = Engine(policy)
    gpu_nodes = [
        NodeSeen(NodeName(f"n{i:03d}"), tuple(sorted({"cpu": 64_000, GPU: GPUS, "pods": 110}.items())))
        for i in range(NODES)
    ]
    engine.observe([QueueSeen(QueueName("root")), QueueSeen(QueueName("default")), *gpu_nodes, Synced()])
    moments: list[tuple[int, int, int]] = []
    for work in stream:
        heappush(moments, (work.at, 1, work.number))
    waits: dict[int, int] = {}
    now = end = stream[0].at
    while moments:
        now, kind, number = heappop(moments)
        if kind == 0:
            engine.observe(gone(stream[number]))
            end = now
        elif kind == 1:
            engine.observe(gang_of(stream[number]))
        if moments and moments[0][0] == now:
            continue
        plan = engine.cycle(Tick(Instant(now), 100_000))
        started = dict.fromkeys(int(str(bind.gang).removeprefix("f3/g")) for bind in binds(plan))
        engine.observe(
            [
                msgspec.structs.replace(
                    engine.state.tasks[bind.uid].fact, node=bind.node, phase="Running", started=Instant(now)
                )
                for bind in binds(plan)
            ]
        )
        for started_number in started:
            waits[started_number] = now - stream[started_number].at
            heappush(moments, (now + stream[started_number].lasts, 0, started_number))
        wake_at = engine.cycle(Tick(Instant(now), 100_000)).wake_at if started else plan.wake_at
        if wake_at is not None and (not moments or wake_at < moments[0][0]):
            heappush(moments, (max(wake_at, now + 1), 2, -1))
    assert len(waits) == len(stream), f"{len(stream) - len(waits)} gangs never started"
    return float(end - stream[0].at), waits


def gone(work: Work) -> list[Event]:
    pods: list[Event] = [PodGone(PodUid(f"g{work.number}-{index}")) for index in range(work.pods)]
    return [*pods, GangGone(GangId(f"f3/g{work.number}"))]


def percentile(values: list[int], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] / 1000


def figures() -> Iterator[Figure]:
    """Makespans as the worst of the seeds, waits over all of them."""
    patience = WaitingTime(RESERVE_MS)
    kept = replace(BACKFILL, permits=(patience,), reserving=(patience,))
    ratios: dict[str, list[float]] = {"kept": [], "plain": []}
    waits: dict[str, dict[int, list[int]]] = {name: {size: [] for size in SIZES} for name in ratios}
    for seed in SEEDS:
        stream = works(seed)
        bound = lower_bound(stream)
        for name, policy in (("kept", kept), ("plain", DEFAULT)):
            makespan, found = simulate(stream, policy)
            ratios[name].append(makespan / bound)
            for number, wait in found.items():
                waits[name][stream[number].pods].append(wait)
    mean = sum(ratios["kept"]) / len(SEEDS)
    spread = ", ".join(f"{ratio:.3f}" for ratio in ratios["kept"])
    without = ", ".join(f"{ratio:.3f}" for ratio in ratios["plain"])
    note = f"mean of seeds: {spread}; without reservations {without}"
    yield Figure("f3_makespan_ratio", mean, "x", 1.05, "lower", note=note)
    for size in SIZES:
        mine, others = waits["kept"][size], waits["plain"][size]
        note = f"longest {max(mine) / 1000:.1f}, without reservations {max(others) / 1000:.1f}; {len(mine)} gangs"
        yield Figure(f"f3_wait_p50_s_{size}", percentile(mine, 0.5), "s", note=note)
        yield Figure(f"f3_wait_p99_s_{size}", percentile(mine, 0.99), "s")
