"""Fairness offline (F4 of reference/performance.md), on virtual time: how far is each queue from its share, and when?

A cluster of 3,200 cores and queues of weights 4:2:1:1. At 0 s the first fills all of it with gangs of 8 pods that run
for 60 s, at 20 s the others ask for twice their share, at 80 s the first asks again. What each should hold is worked
out here by filling up by weight, from what each asks for at that moment. By waiting alone and with reclaim:

- `f4_share_error`: of the cluster, the part that is in the wrong hands, on average from 20 s to 140 s.
- `f4_time_to_fair_s`: from 20 s until each queue is within a twentieth, or one gang, of what it should hold.
- `f4_lost_pod_s`: work thrown away by evictions, in pods times seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

import msgspec

from benchmarks.figure import Figure
from flowbatch.engine.decisions import Bind, Evict, Plan, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangGone, GangSeen, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec, Synced
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT

NODES, CPUS = 100, 32
CORES = NODES * CPUS
PODS, LIFE_S = 8, 60
WEIGHTS = {"a": 4, "b": 2, "c": 1, "d": 1}
#: When who asks for how many gangs more.
WAVES = {0: {"a": 400}, 20: {"b": 200, "c": 100, "d": 100}, 80: {"a": 400}}
FIRST_S, LAST_S = 20, 140
ONE_CORE = ShapeSpec((("cpu", 1000), ("pods", 1)))


@dataclass
class Town:
    """One engine, gangs that come and end, and a clock that only the benchmark moves."""

    engine: Engine
    now_s: int = 0
    count: int = 0
    lost_pod_s: int = 0
    evicted: int = 0
    #: Gangs that wait, and those that run with the second at which they began, by queue.
    waiting: dict[str, dict[str, None]] = field(default_factory=lambda: {name: {} for name in WEIGHTS})
    running: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in WEIGHTS})
    ends: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        facts: list[Event] = [QueueSeen(QueueName("root")), QueueSeen(QueueName("default"))]
        facts += [QueueSeen(QueueName(name), weight=weight) for name, weight in WEIGHTS.items()]
        room = (("cpu", CPUS * 1000), ("pods", 110))
        facts += [NodeSeen(NodeName(f"n{index}"), room) for index in range(NODES)]
        self.engine.observe([*facts, Synced()])

    def second(self) -> None:
        """Ends, arrivals, and decisions until nothing more follows from them; then a second passes."""
        while self.ends and self.ends[0][0] <= self.now_s:
            end, name = heappop(self.ends)
            if self.running[name[0]].get(name) == end - LIFE_S:
                self.leave(name)
        for queue, number in WAVES.get(self.now_s, {}).items():
            for _ in range(number):
                self.arrive(queue)
        for _ in range(20):
            if not self.carry_out(self.engine.cycle(Tick(Instant(self.now_s * 1000), 100_000))):
                break
        self.now_s += 1

    def arrive(self, queue: str) -> None:
        """One gang more in `queue`."""
        self.count += 1
        name, created = f"{queue}{self.count}", Instant(self.now_s * 1000)
        gang = GangId(f"ns/{name}")
        facts: list[Event] = [GangSeen(gang, name, QueueName(queue), created, min_members=PODS, phase="Inqueue")]
        facts += [
            PodSeen(PodUid(f"{name}-{i}"), "ns", f"{name}-{i}", ONE_CORE, gang, "task", i, created=created)
            for i in range(PODS)
        ]
        self.waiting[queue][name] = None
        self.engine.observe(facts)

    def leave(self, name: str) -> None:
        """A gang is gone, with its pods."""
        self.running[name[0]].pop(name, None)
        pods: list[Event] = [PodGone(PodUid(f"{name}-{i}")) for i in range(PODS)]
        self.engine.observe([*pods, GangGone(GangId(f"ns/{name}"))])

    def carry_out(self, plan: Plan) -> bool:
        """Bindings and evictions succeed at once; an evicted gang starts anew, from nothing. Whether there were any."""
        facts: list[Event] = []
        started: dict[str, None] = {}
        gone: dict[str, None] = {}
        for order in plan.decisions:
            if isinstance(order, Bind):
                pod = self.engine.state.tasks[order.uid].fact
                facts.append(msgspec.structs.replace(pod, node=order.node, phase="Running"))
                started[str(order.gang).partition("/")[2]] = None
            elif isinstance(order, Evict):
                gone[order.name.rpartition("-")[0]] = None
        self.engine.observe(facts)
        for name in started:
            self.waiting[name[0]].pop(name, None)
            self.running[name[0]][name] = self.now_s
            heappush(self.ends, (self.now_s + LIFE_S, name))
        for name in gone:
            self.evicted += 1
            self.lost_pod_s += PODS * (self.now_s - self.running[name[0]][name])
            self.leave(name)
            self.arrive(name[0])
        return bool(started or gone)

    def held(self) -> dict[str, int]:
        """Cores by queue."""
        return {name: PODS * len(gangs) for name, gangs in self.running.items()}

    def ideal(self) -> dict[str, float]:
        """Cores that each queue should hold now: filled up by weight, none beyond what it asks for."""
        asks = {name: PODS * (len(self.running[name]) + len(self.waiting[name])) for name in WEIGHTS}
        parts = dict.fromkeys(WEIGHTS, 0.0)
        left, open_ = float(CORES), [name for name in WEIGHTS if asks[name]]
        while open_ and left > 1e-6:
            whole = sum(WEIGHTS[name] for name in open_)
            step = min(left / whole, *((asks[name] - parts[name]) / WEIGHTS[name] for name in open_))
            for name in open_:
                parts[name] += step * WEIGHTS[name]
            left -= step * whole
            open_ = [name for name in open_ if asks[name] - parts[name] > 1e-6]
        return parts


def live(policy: Policy) -> tuple[float, int, Town]:
    """The mean share error, the seconds until all was fair, and the town as it then is."""
    town = Town(Engine(policy))
    errors: list[float] = []
    fair_s: int | None = None
    while town.now_s < LAST_S:
        town.second()
        if town.now_s <= FIRST_S:
            continue
        held, ideal = town.held(), town.ideal()
        errors.append(sum(abs(held[name] - ideal[name]) for name in WEIGHTS) / 2 / CORES)
        near = all(abs(held[name] - ideal[name]) <= max(PODS, ideal[name] / 20) for name in WEIGHTS)
        if near and fair_s is None:
            fair_s = town.now_s - 1 - FIRST_S
    return sum(errors) / len(errors), LAST_S if fair_s is None else fair_s, town


def figures() -> Iterator[Figure]:
    """F4 with reclaim, and by waiting alone."""
    note = f"{CORES} cores, weights 4:2:1:1, gangs of {PODS} for {LIFE_S} s; with reclaim"
    error, seconds, town = live(replace(DEFAULT, actions=(*DEFAULT.actions, "reclaim")))
    yield Figure("f4_share_error", error, "part", better="lower", note=note)
    yield Figure("f4_time_to_fair_s", seconds, "s", better="lower", note="virtual seconds from the second wave on")
    yield Figure("f4_lost_pod_s", town.lost_pod_s, "pod s", better="lower", note=f"{town.evicted} gangs evicted")
    error, seconds, _ = live(DEFAULT)
    yield Figure("f4_share_error_waiting", error, "part", better="lower", note="by waiting alone")
    yield Figure("f4_time_to_fair_waiting_s", seconds, "s", better="lower", note="by waiting alone")
