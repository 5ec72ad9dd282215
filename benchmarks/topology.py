"""Gangs that must stay inside one network domain. `python -m benchmarks topology`.

o6_ms_per_gang: 5,000 nodes in racks of 32, blocks of 8 racks and spines of 4 blocks, filled at random; 750 gangs of
four pods, each inside one rack, fed in batches; per gang, from its facts to its bindings.
o6_soft_ms_per_gang: the same with a wish only. o6_sub_gangs_ms_per_gang: gangs of 8 in two sub-gangs, each inside a
rack, both inside a block. o6_none_ms_per_gang: the same gangs without topology, on the same nodes.
topology_refresh_ms: a node changes its rack, until all domains are up to date.

Times are of the CPU, because others use the machine too; of equal runs the best counts. Inputs come from a fixed seed.
"""

import gc
import random
from collections.abc import Iterator
from time import process_time

import msgspec

from benchmarks.engine import GIB, amounts, binds, cluster, job
from benchmarks.figure import Figure
from flowbatch.engine.decisions import Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    Event,
    GangSeen,
    HyperNodeSeen,
    LabelTest,
    Members,
    NodeSeen,
    PodSeen,
    Reach,
    SubGroups,
    Synced,
)
from flowbatch.model.ids import HyperNodeName, Instant

NODES, RACK, BLOCK, SPINE = 5_000, 32, 8, 4
GANGS, PODS, BATCH = 750, 4, 50
RUNS = 3
HARD = Reach(highest=1)
PARTITION = "volcano.sh/partition-id"


def racked(events: list[Event]) -> list[Event]:
    """The same events; every node says its rack in a label."""
    place = iter(range(NODES))
    return [
        msgspec.structs.replace(each, labels=(*each.labels, ("rack", f"r{next(place) // RACK}")))
        if isinstance(each, NodeSeen)
        else each
        for each in events
    ]


def tree() -> list[Event]:
    """Racks by label, blocks and spines by name."""
    events: list[Event] = []
    racks = -(-NODES // RACK)
    for at in range(racks):
        members = (Members(labels=(LabelTest("rack", "In", (f"r{at}",)),)),)
        events.append(HyperNodeSeen(HyperNodeName(f"rack-{at}"), 1, "rack", members))
    blocks = _above(events, "rack", "block", racks, BLOCK, 2)
    _above(events, "block", "spine", blocks, SPINE, 3)
    return events


def _above(events: list[Event], below: str, name: str, count: int, size: int, tier: int) -> int:
    groups = -(-count // size)
    for at in range(groups):
        inside = range(at * size, min(count, (at + 1) * size))
        members = tuple(Members("HyperNode", f"{below}-{each}") for each in inside)
        events.append(HyperNodeSeen(HyperNodeName(f"{name}-{at}"), tier, name, members))
    return groups


def ready() -> Engine:
    """An engine that knows nodes and tree and has nothing to do."""
    engine = Engine()
    engine.observe([*racked(cluster(nodes=NODES)), *tree(), Synced()])
    engine.cycle(Tick(Instant(0)))
    return engine


def gangs(reach: Reach | None, pods: int, groups: tuple[SubGroups, ...] = ()) -> list[list[Event]]:
    """Gangs of ten shapes in turn; with groups, pods say which half they are of."""
    luck = random.Random(6)
    work = []
    for number in range(GANGS):
        events = job(number, pods, amounts(cpu=2000 + 100 * luck.randrange(10), memory=8 * GIB))
        work.append([_near(each, reach, groups, pods) for each in events])
    return work


def _near(event: Event, reach: Reach | None, groups: tuple[SubGroups, ...], pods: int) -> Event:
    if isinstance(event, GangSeen):
        return msgspec.structs.replace(event, reach=reach, sub_groups=groups)
    if isinstance(event, PodSeen) and groups:
        return msgspec.structs.replace(event, labels=((PARTITION, str(event.index * 2 // pods)),))
    return event


def ms_per_gang(reach: Reach | None, pods: int = PODS, groups: tuple[SubGroups, ...] = ()) -> float:
    """The best of several runs."""
    times = []
    for _ in range(RUNS):
        engine, work = ready(), gangs(reach, pods, groups)
        gc.collect()
        start = process_time()
        placed = 0
        for first in range(0, GANGS, BATCH):
            engine.observe([event for events in work[first : first + BATCH] for event in events])
            placed += len(binds(engine.cycle(Tick(Instant(first), 100_000))))
        times.append((process_time() - start) / GANGS * 1e3)
        assert placed == GANGS * pods, placed
    return min(times)


def refresh_ms() -> float:
    """One node moves to the next rack and back."""
    engine = ready()
    node = next(iter(engine.state.nodes.values())).fact
    assert node is not None
    times = []
    for move in range(20):
        labels = tuple((key, f"r{move % 2}" if key == "rack" else value) for key, value in node.labels)
        engine.observe([msgspec.structs.replace(node, labels=labels)])
        start = process_time()
        engine.cycle(Tick(Instant(move)))
        times.append((process_time() - start) * 1e3)
    return min(times[2:])


def figures() -> Iterator[Figure]:
    """What closeness costs."""
    gc.collect()
    gc.freeze()
    yield Figure("o6_ms_per_gang", ms_per_gang(HARD), "ms", 1, "lower")
    yield Figure("o6_none_ms_per_gang", ms_per_gang(None), "ms", better="lower")
    yield Figure("o6_soft_ms_per_gang", ms_per_gang(Reach(soft=True)), "ms", better="lower")
    halves = SubGroups("half", PODS, 2, (), (PARTITION,), HARD)
    yield Figure("o6_sub_gangs_ms_per_gang", ms_per_gang(Reach(highest=2), 2 * PODS, (halves,)), "ms", better="lower")
    yield Figure("topology_refresh_ms", refresh_ms(), "ms", better="lower")
