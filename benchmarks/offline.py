"""The engine at thousands of nodes, offline: many small gangs, many that wait. `python -m benchmarks offline`.

o1_decisions_per_s: 10,000 single pods onto 500 to 5,000 nodes, as in YuniKorn's BenchmarkScheduling: of as many
applications as there are shapes, in two queues, each pod for itself (a minimum of one), from the facts to the bindings.
It is given for 5,000 nodes with 10 shapes, and with 2,000.
o1_lone_decisions_per_s: the same pods, each in a PodGroup of its own with a stated minimum, fed in batches: two facts,
the gate, quota, filters, scores and a report for each. How they are fed must not matter: batches of 1, 10 and 1,000
give the same placements, or the benchmark fails.
o3_ms_per_gang: 1,000 to 3,000 gangs of three onto 5,000 nodes; the worst counts.
wake_ms: 10,000 gangs of 200 shapes wait for room, for the gate or for their queue; one pod ends: until the next binding
is out.
growth: what ten times the nodes, or ten times the gangs, does to the cost of a decision: its exponent (0: no growth).

Times are of the CPU, because others use the machine too; of equal runs the best counts. Inputs come from a fixed seed.
"""

import gc
import math
from collections.abc import Iterator
from time import process_time

import msgspec

from benchmarks.engine import GIB, NODE, amounts, binds, cluster, job
from benchmarks.figure import Figure
from flowbatch.engine.decisions import Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangSeen, NodeSeen, PodSeen, QueueSeen, ShapeSpec, Synced
from flowbatch.model.ids import Amounts, Instant, NodeName, PodUid, QueueName

NODES = (500, 1_000, 2_000, 5_000)
PODS = 10_000
BATCH = 1_000
GANGS = (1_000, 2_000, 3_000)
PARKED, PARKED_SHAPES, ENDS = 10_000, 200, 50
RUNS = 3

Jobs = list[list[Event]]


def ready(nodes: int) -> Engine:
    """An engine that knows that many nodes and has nothing to do."""
    engine = Engine()
    engine.observe([*cluster(nodes=nodes), Synced()])
    engine.cycle(Tick(Instant(0)))
    return engine


def shape(number: int, shapes: int) -> Amounts:
    """One of so many requests; small ones, so that all of them fit."""
    number %= shapes
    return amounts(cpu=100 + 10 * (number % 50), memory=GIB // 4 + (number // 50) * (GIB // 64))


def jobs(count: int, shapes: int, pods: int = 1) -> Jobs:
    """Gangs in the order of their creation, their shapes in turn."""
    return [job(number, pods, shape(number, shapes)) for number in range(count)]


def placements(engine: Engine, work: Jobs, batch: int = BATCH) -> dict[str, str]:
    """Feed the work in batches; pod -> node."""
    placed: dict[str, str] = {}
    for start in range(0, len(work), batch):
        engine.observe([event for each in work[start : start + batch] for event in each])
        for bind in binds(engine.cycle(Tick(Instant(start + 1), PODS * 3))):
            placed[bind.uid] = bind.node
    return placed


def seconds(nodes: int, work: Jobs, runs: int = RUNS) -> float:
    """The best of several runs."""
    best = math.inf
    for _ in range(runs):
        engine = ready(nodes)
        gc.collect()
        gc.freeze()
        start = process_time()
        placed = placements(engine, work)
        best = min(best, process_time() - start)
        assert len(placed) == sum(isinstance(event, PodSeen) for each in work for event in each)
        gc.unfreeze()
    return best


def applications(shapes: int) -> Jobs:
    """As many applications as shapes, whose pods do not need each other; half of them in each of two queues."""
    work: Jobs = []
    for number in range(shapes):
        head, *pods = job(number, PODS // shapes, shape(number, shapes))
        queue = QueueName(("left", "right")[number % 2])
        single = {"min_members": 1, "min_resources": shape(number, shapes), "queue": queue}
        work.append([msgspec.structs.replace(head, **single), *pods])  # type: ignore[arg-type]
    return [[QueueSeen(QueueName("left")), QueueSeen(QueueName("right"))], *work]


def decisions() -> Iterator[Figure]:
    """O1: pods of applications, pods on their own, and that no result depends on the size of batches."""
    for shapes, must, suffix in ((10, 30_000, ""), (2_000, 4_000, "_2000_shapes")):
        yield _rate(f"o1_decisions_per_s{suffix}", applications(shapes), must, f"{shapes} applications")
    for shapes, suffix in ((10, ""), (2_000, "_2000_shapes")):
        yield _rate(f"o1_lone_decisions_per_s{suffix}", jobs(PODS, shapes), None, f"{shapes} shapes, a PodGroup each")
    work = jobs(2_000, 10)
    at_once, *others = (placements(ready(2_000), work, batch) for batch in (1_000, 10, 1))
    assert all(each == at_once for each in others), "a result depends on the size of batches"


def _rate(name: str, work: Jobs, must: int | None, what: str) -> Figure:
    rates = {nodes: PODS / seconds(nodes, work) for nodes in NODES}
    note = ", ".join(f"{nodes} nodes: {rate:,.0f}" for nodes, rate in rates.items())
    return Figure(name, rates[NODES[-1]], "1/s", must, note=f"{what}; {note}")


def small_gangs() -> Iterator[Figure]:
    """O3."""
    each = {count: seconds(5_000, jobs(count, 10, pods=3)) / count * 1e3 for count in GANGS}
    note = ", ".join(f"{count} gangs: {ms:.3f}" for count, ms in each.items())
    yield Figure("o3_ms_per_gang", max(each.values()), "ms", 0.3, "lower", note=note)


def full(nodes: int) -> list[Event]:
    """Nodes without any room: eight pods on each, which take all of it."""
    events: list[Event] = [QueueSeen(QueueName("root")), QueueSeen(QueueName("default"))]
    whole = dict(NODE, pods=8)
    eighth = ShapeSpec(tuple(sorted((name, units // 8) for name, units in whole.items() if name != "pods")))
    for i in range(nodes):
        name = NodeName(f"node-{i:05d}")
        events.append(NodeSeen(name, tuple(sorted(whole.items())), (("kubernetes.io/hostname", name),)))
        events.extend(
            PodSeen(PodUid(f"{name}-{k}"), "other", f"{name}-{k}", eighth, node=name, phase="Running") for k in range(8)
        )
    return events


def backlog(*, stated: bool) -> Jobs:
    """Gangs of two pods that have a chance only where somebody ends; `stated`: they say so before they have pods."""
    work = []
    for number in range(PARKED):
        kind = number % PARKED_SHAPES
        request = amounts(cpu=4_000 + 20 * kind, memory=16 * GIB, gpu=kind % 2)
        head, *pods = job(number, 1, request)
        minimum = request if stated else None
        work.append([msgspec.structs.replace(head, min_resources=minimum), *pods])  # type: ignore[type-var]
    return work


def waiting(where: str) -> tuple[list[Event], list[PodSeen]]:
    """A backlog that waits there, and running pods of which each lets some of it go on when it ends."""
    events = full(1_000 if where == "before the gate" else 5_000)
    work = backlog(stated=where == "before the gate")  # that is above what a thousand nodes can promise
    running = [each for each in events if isinstance(each, PodSeen)]
    if where == "in a queue at its limit":
        queue = QueueName("limited")
        events = [*cluster(), QueueSeen(queue, capability=amounts(cpu=ENDS * 4_000))]
        work = [[_in_queue(each, queue) for each in gang] for gang in work]
        held = [job(PARKED + i, 1, amounts(cpu=4_000)) for i in range(ENDS)]
        running = [
            msgspec.structs.replace(each, node=NodeName(f"node-{i:05d}"), phase="Running")
            for i, gang in enumerate(held)
            for each in gang
            if isinstance(each, PodSeen)
        ]
        events += [*(_in_queue(gang[0], queue) for gang in held), *running]
    return [*events, *(event for each in work for event in each), Synced()], running


def _in_queue(event: Event, queue: QueueName) -> Event:
    return msgspec.structs.replace(event, queue=queue) if isinstance(event, GangSeen) else event


def wake() -> Iterator[Figure]:
    """One pod ends in a full cluster: who is woken, and how soon somebody has its place."""
    worst, notes = 0.0, []
    for where in ("for room", "before the gate", "in a queue at its limit"):
        engine = Engine()
        events, running = waiting(where)
        engine.observe(events)
        assert not binds(engine.cycle(Tick(Instant(0), 10 * PARKED)))
        gc.collect()
        gc.freeze()
        times, before, placed = [], engine.counters.attempts, 0
        for i in range(ENDS):
            old = running[len(running) // ENDS * i]
            start = process_time()
            engine.observe([msgspec.structs.replace(old, phase="Succeeded")])
            plan = engine.cycle(Tick(Instant(i + 1), 10 * PARKED))
            times.append((process_time() - start) * 1e3)
            placed += len(binds(plan))
        assert placed >= ENDS
        gc.unfreeze()
        times.sort()
        worst = max(worst, times[len(times) // 2])
        tried = (engine.counters.attempts - before) / ENDS
        notes.append(f"{where}: {times[len(times) // 2]:.2f} ms, {tried:.1f} gangs tried")
    yield Figure("wake_ms", worst, "ms", 1.0, "lower", note="; ".join(notes))


def growth() -> Iterator[Figure]:
    """How the cost of a decision grows: the exponent between a tenth and the whole."""
    work = jobs(2_000, 10)
    few, many = (seconds(nodes, work) for nodes in (500, 5_000))
    note = f"{few / 2_000 * 1e6:.0f} us at 500 nodes, {many / 2_000 * 1e6:.0f} us at 5,000"
    yield Figure("growth_with_nodes", math.log10(many / few), "exponent", better="lower", note=note)
    few, many = (seconds(2_000, jobs(count, 10)) / count for count in (1_000, 10_000))
    note = f"{few * 1e6:.0f} us with 1,000 gangs, {many * 1e6:.0f} us with 10,000"
    yield Figure("growth_with_gangs", math.log10(many / few), "exponent", better="lower", note=note)


def figures() -> Iterator[Figure]:
    """All of them."""
    yield from decisions()
    yield from small_gangs()
    yield from wake()
    yield from growth()
