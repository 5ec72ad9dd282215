"""Where others are: pod affinity, anti-affinity and topology spread, offline. `python -m benchmarks affinity`.

affinity_decisions_per_s: 5,000 gangs of one pod each onto 5,000 nodes, a fifth of each kind that scheduler_perf
measures: anti-affinity by host, affinity by zone, preferred affinity and anti-affinity, hard and soft spread by zone.
From the two facts of each pod to its binding, all default policies on. The rate of each kind alone is in the note, and
that of gangs of 50, whose pods are placed one after the other on vectors that are kept.

Times are of the CPU, because others use the machine too.
"""

import gc
from collections.abc import Iterator
from time import process_time

import msgspec

from benchmarks.engine import GIB, amounts, binds, job
from benchmarks.figure import Figure
from benchmarks.offline import BATCH, ready
from flowbatch.engine.decisions import Tick
from flowbatch.engine.events import Event, LabelTest, PeerTerm, PodSeen, PodSelector, ShapeSpec, Spread
from flowbatch.model.ids import Instant

NODES, PODS = 5_000, 5_000
HOST, ZONE = "kubernetes.io/hostname", "zone"
REQUEST = amounts(cpu=100, memory=GIB // 2)


def mine(name: str) -> PodSelector:
    """Pods of one application."""
    return PodSelector((LabelTest("app", "In", (name,)),), ("bench",))


def shapes() -> dict[str, ShapeSpec]:
    """By the application that asks for it."""
    of = mine
    return {
        "anti-affinity": ShapeSpec(REQUEST, apart=(PeerTerm(HOST, of("anti-affinity")),)),
        "affinity": ShapeSpec(REQUEST, near=(PeerTerm(ZONE, of("affinity")),)),
        "preferred": ShapeSpec(
            REQUEST, likes=((10, PeerTerm(ZONE, of("preferred"))), (-10, PeerTerm(HOST, of("preferred"))))
        ),
        "spread": ShapeSpec(REQUEST, spreads=(Spread(ZONE, 1, of("spread")),)),
        "soft spread": ShapeSpec(REQUEST, spreads=(Spread(ZONE, 1, of("soft spread"), hard=False),)),
    }


def gang(number: int, pods: int, app: str, shape: ShapeSpec) -> list[Event]:
    """One gang of an application."""
    return [
        msgspec.structs.replace(each, shape=shape, labels=(("app", app),)) if isinstance(each, PodSeen) else each
        for each in job(number, pods, REQUEST)
    ]


def rate(gangs: list[list[Event]], pods: int) -> float:
    """Decisions per second of CPU."""
    engine = ready(NODES)
    gc.collect()
    gc.freeze()
    placed, start = 0, process_time()
    for first in range(0, len(gangs), BATCH):
        engine.observe([event for each in gangs[first : first + BATCH] for event in each])
        placed += len(binds(engine.cycle(Tick(Instant(first + 1), len(gangs) * 3))))
    spent = process_time() - start
    gc.unfreeze()
    assert placed == pods, f"{placed} of {pods} placed"
    return pods / spent


def figures() -> Iterator[Figure]:
    """Measure."""
    kinds = list(shapes().items())
    alone = {app: rate([gang(i, 1, app, shape) for i in range(1_000)], 1_000) for app, shape in kinds}
    mixed = rate([gang(i, 1, *kinds[i % len(kinds)]) for i in range(PODS)], PODS)
    together = rate([gang(i, 50, *kinds[i % len(kinds)]) for i in range(PODS // 50)], PODS)
    note = ", ".join(f"{app} {value:,.0f}" for app, value in alone.items())
    yield Figure("affinity_decisions_per_s", mixed, "1/s", 3_000, note=note)
    yield Figure("affinity_gang_decisions_per_s", together, "1/s", 3_000, note="gangs of 50")
