"""How much does the engine look at? Counters of work, which a slow machine does not change."""

import msgspec
import pytest

from benchmarks.engine import GIB, amounts, cluster, job
from benchmarks.offline import PARKED, backlog, full, jobs, placements, ready
from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangSeen, PodSeen, QueueSeen, Synced
from flowbatch.model.ids import Instant, QueueName


def settled() -> Engine:
    """An engine that knows the benchmark's 5,000 nodes and has nothing to do."""
    engine = Engine()
    engine.observe([*cluster(), Synced()])
    engine.cycle(Tick(Instant(0)))
    return engine


def test_a_gang_of_equal_pods_is_one_search():
    engine = settled()
    engine.observe(job(1, 100, amounts(cpu=1000, memory=GIB)))
    before = engine.counters.as_dict()
    plan = engine.cycle(Tick(Instant(1)))
    after = engine.counters.as_dict()
    assert sum(isinstance(each, Bind) for each in plan.decisions) == 100
    assert after["shapes_evaluated"] - before["shapes_evaluated"] == 1
    assert after["nodes_examined"] - before["nodes_examined"] <= 5_000


def test_an_engine_with_nothing_new_tries_nothing():
    engine = settled()
    engine.observe(job(1, 4, amounts(cpu=1_000_000)))
    engine.cycle(Tick(Instant(1)))
    before = engine.counters.attempts
    for moment in range(2, 50):
        engine.cycle(Tick(Instant(moment)))
    assert engine.counters.attempts == before


@pytest.mark.parametrize(("stated", "tried"), [(False, 1), (True, 3)], ids=["for room", "before the gate"])
def test_an_event_that_lets_one_gang_go_on_tries_no_other(*, stated: bool, tried: int):
    engine = Engine()
    events = full(200)
    work = [event for each in backlog(stated=stated)[:2_000] for event in each]
    engine.observe([*events, *work, Synced()])
    engine.cycle(Tick(Instant(0), 100_000))
    before = engine.counters.as_dict()
    ended = next(each for each in events if isinstance(each, PodSeen))
    engine.observe([msgspec.structs.replace(ended, phase="Succeeded")])
    plan = engine.cycle(Tick(Instant(1), 100_000))
    did = {name: count - before[name] for name, count in engine.counters.as_dict().items()}
    assert sum(isinstance(each, Bind) for each in plan.decisions) == 1
    # Before the gate: two that are half as large as the pod that ended are let in, and another one has its place.
    assert did["attempts"] <= tried
    assert did["gangs_sorted"] <= 2 + tried
    assert did["reports"] <= tried
    # 200 shapes wait; of those that sleep on, hardly any is looked at.
    assert did["lanes_woken"] == 0
    assert did["lanes_asked"] <= 10


@pytest.mark.parametrize("stated", [False, True], ids=["to be placed", "before the gate"])
def test_less_in_a_queue_at_its_limit_tries_only_gangs_that_it_lets_go_on(*, stated: bool):
    engine = ready(100)
    queue = QueueName("full")
    engine.observe([QueueSeen(queue, capability=amounts(cpu=40_000))])
    held = [
        each for i in range(10) for each in in_queue(job(PARKED + i, 1, amounts(cpu=4_000)), queue, phase="Running")
    ]
    held = [msgspec.structs.replace(each, node="node-00000") if isinstance(each, PodSeen) else each for each in held]
    engine.observe(held)
    for each in backlog(stated=stated)[:1_000]:
        engine.observe(in_queue(each, queue))
    engine.cycle(Tick(Instant(1), 100_000))
    assert engine.parked() == {"NeedsQuota": 1_000}
    before = engine.counters.as_dict()
    ended = next(each for each in held if isinstance(each, PodSeen))
    engine.observe([msgspec.structs.replace(ended, phase="Succeeded")])
    plan = engine.cycle(Tick(Instant(2), 100_000))
    did = {name: count - before[name] for name, count in engine.counters.as_dict().items()}
    assert sum(isinstance(each, Bind) for each in plan.decisions) == 1
    assert did["attempts"] == (2 if stated else 1)
    assert did["lanes_woken"] == 0
    assert did["lanes_asked"] <= 10


def in_queue(work: list[Event], queue: QueueName, phase: str = "") -> list[Event]:
    """A benchmark's gang, somewhere else."""
    changes = {"queue": queue, "phase": phase} if phase else {"queue": queue}
    return [msgspec.structs.replace(each, **changes) if isinstance(each, GangSeen) else each for each in work]


def test_how_gangs_are_fed_does_not_matter():
    work = jobs(300, 10)
    at_once, in_tens, one_by_one = (placements(ready(200), work, batch) for batch in (300, 10, 1))
    assert at_once == in_tens == one_by_one
    assert len(at_once) == 300


def test_a_gang_of_one_is_tried_once_at_the_gate_and_once_for_room():
    engine = ready(200)
    before = engine.counters.as_dict()
    placements(engine, jobs(100, 10))
    after = engine.counters.as_dict()
    assert after["attempts"] - before["attempts"] == 200
    assert after["gangs_sorted"] - before["gangs_sorted"] <= 300
    assert after["shapes_evaluated"] - before["shapes_evaluated"] <= 100
