"""Making room, offline: no I/O, one process. `python -m benchmarks evictions`.

o5_reclaim_s_N: N nodes of 8 GPUs are full of pods of one GPU each, every one a gang of its own in a queue above its
share; a gang of N/2 pods of 8 GPUs each comes to a queue that has nothing. Counted: the cycle that decides who goes
(KAI's "reclaim of a large job"). Everything is checked: the victims leave, and the gang binds whole.
f9_victims_over_min: 500 nodes of 4 cpu with four low pods of 900m each; 40 gangs of 5 pods of 3 cpu come, for each of
which three must go. Pods told to go, by the fewest that would do.
consolidate_ms_N: N nodes of 8 GPUs have one free each, the others are held by members of elastic gangs; a gang of two
pods of 8 GPUs each comes, and fourteen pods have to move. KAI-scheduler gives 187.5 ms for 50 nodes (on its machine).
"""

import gc
from collections.abc import Iterator
from time import process_time

from msgspec.structs import replace

from benchmarks.figure import Figure
from flowbatch.engine.decisions import Bind, Evict, Plan, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangSeen, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec, Synced
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.policy.presets import CONSOLIDATING, PREEMPTING

GPU = "nvidia.com/gpu"
#: Nodes, and seconds that must do.
SIZES = ((100, 0.1), (200, 0.2), (500, 0.5), (1_000, 1.2))
RUNS = 3


def gang(
    name: str, queue: str, pods: int, shape: ShapeSpec, priority: int = 0, nodes: tuple[str, ...] = ()
) -> list[Event]:
    """A gang whose pods must all run; on `nodes`, if they run already."""
    gang_id = GangId(f"bench/{name}")
    events: list[Event] = [
        GangSeen(gang_id, f"uid-{name}", QueueName(queue), Instant(1), priority, pods, phase="Inqueue")
    ]
    events.extend(
        PodSeen(
            PodUid(f"{name}-{i}"),
            "bench",
            f"{name}-{i}",
            shape,
            gang_id,
            "task",
            i,
            priority,
            phase="Running" if nodes else "Pending",
            node=NodeName(nodes[i]) if nodes else None,
        )
        for i in range(pods)
    )
    return events


def full(nodes: int) -> Engine:
    """Nodes of 8 GPUs, each with eight gangs of one pod."""
    engine = Engine(PREEMPTING)
    events: list[Event] = [QueueSeen(QueueName(name)) for name in ("root", "rich", "poor")]
    one = ShapeSpec(((GPU, 1),))
    for i in range(nodes):
        name = f"node-{i:04d}"
        events.append(NodeSeen(NodeName(name), ((GPU, 8), ("pods", 110)), (("kubernetes.io/hostname", name),)))
        for j in range(8):
            events.extend(gang(f"old-{i}-{j}", "rich", 1, one, nodes=(name,)))
    engine.observe([*events, Synced()])
    engine.cycle(Tick(Instant(1_000), 100_000))
    return engine


def victims(plan: Plan) -> list[PodUid]:
    """Who is told to go."""
    return [each.uid for each in plan.decisions if isinstance(each, Evict)]


def reclaim(nodes: int) -> float:
    """CPU seconds of the decision."""
    engine = full(nodes)
    engine.observe(gang("large", "poor", nodes // 2, ShapeSpec(((GPU, 8),))))
    gc.collect()
    gc.disable()
    start = process_time()
    plan = engine.cycle(Tick(Instant(2_000), 100_000))
    spent = process_time() - start
    gc.enable()
    gone = victims(plan)
    assert len(gone) == 4 * nodes, len(gone)
    engine.observe([PodGone(uid) for uid in gone])
    after = engine.cycle(Tick(Instant(3_000), 100_000))
    assert sum(isinstance(each, Bind) for each in after.decisions) == nodes // 2
    return spent


def over_minimum() -> tuple[float, float]:
    """Victims over the fewest that would do, and CPU milliseconds for each gang."""
    engine = Engine(PREEMPTING)
    events: list[Event] = [QueueSeen(QueueName("root")), QueueSeen(QueueName("default"))]
    low = ShapeSpec((("cpu", 900),))
    for i in range(500):
        name = f"node-{i:04d}"
        events.append(NodeSeen(NodeName(name), (("cpu", 4_000), ("pods", 110))))
        events.extend(gang(f"low-{i}", "default", 4, low, nodes=(name,) * 4))
    engine.observe([*events, Synced()])
    engine.cycle(Tick(Instant(1_000), 100_000))
    engine.observe([each for i in range(500) for each in singles(i)])
    engine.cycle(Tick(Instant(1_500), 100_000))
    for i in range(40):
        engine.observe(gang(f"high-{i}", "default", 5, ShapeSpec((("cpu", 3_000),)), 10))
    start = process_time()
    plan = engine.cycle(Tick(Instant(2_000), 100_000))
    spent = process_time() - start
    gone = victims(plan)
    engine.observe([PodGone(uid) for uid in gone])
    after = engine.cycle(Tick(Instant(3_000), 100_000))
    assert sum(isinstance(each, Bind) for each in after.decisions) == 200
    return len(gone) / 600, spent / 40 * 1000


def singles(number: int) -> list[Event]:
    """The low gang of one node needs none of its members, as pods without a controller do."""
    return [GangSeen(GangId(f"bench/low-{number}"), f"uid-low-{number}", QueueName("default"), Instant(1), 0, 0)]


def consolidate(nodes: int) -> float:
    """CPU milliseconds of the decision who moves, and where to."""
    engine = Engine(CONSOLIDATING)
    events: list[Event] = [QueueSeen(QueueName(name)) for name in ("root", "default")]
    names = [f"node-{i:04d}" for i in range(nodes)]
    events.extend(NodeSeen(NodeName(name), ((GPU, 8), ("pods", 110))) for name in names)
    for j in range(7):
        seen, *pods = gang(f"elastic-{j}", "default", nodes, ShapeSpec(((GPU, 1),)), nodes=tuple(names))
        assert isinstance(seen, GangSeen)
        events.extend([replace(seen, min_members=1), *pods])
    engine.observe([*events, Synced()])
    engine.cycle(Tick(Instant(1_000), 100_000))
    engine.observe(gang("large", "default", 2, ShapeSpec(((GPU, 8),))))
    gc.collect()
    gc.disable()
    start = process_time()
    plan = engine.cycle(Tick(Instant(2_000), 100_000))
    spent = process_time() - start
    gc.enable()
    assert len(victims(plan)) == 14, len(victims(plan))
    return spent * 1000


def figures() -> Iterator[Figure]:
    """All of them."""
    for nodes, most in SIZES:
        seconds = min(reclaim(nodes) for _ in range(RUNS))
        yield Figure(f"o5_reclaim_s_{nodes}", seconds, "s", most, better="lower", note=f"{4 * nodes} victims")
    for nodes in (50, 1_000):
        spent = min(consolidate(nodes) for _ in range(RUNS))
        yield Figure(f"consolidate_ms_{nodes}", spent, "ms", better="lower", note="14 pods move for one gang")
    ratio, each_ms = over_minimum()
    yield Figure("f9_victims_over_min", ratio, "x", 1.1, better="lower", note=f"{each_ms:.1f} ms a gang")
