"""Fairness offline (F4 of reference/performance.md), on virtual time: how far from its share is each queue, and when?

Three queues of weights 1, 2 and 3 ask for more than there is, each from a moment of its own: the first finds the
cluster empty and takes what it may. Gangs end after their time and new ones come, so shares can be put right by
waiting; where the policy reclaims, also by eviction. Two figures:

- `f4_share_error`: the integral over time of the mean distance between what queues hold and what they should, as a part
  of the cluster, divided by the time: 0 is perfect, at every moment.
- `f4_time_to_fair_s`: from the moment the last queue asks until all are within one gang of their share, for good.
"""

from collections.abc import Iterator
from dataclasses import replace
from heapq import heappop, heappush

import msgspec

from benchmarks.figure import Figure
from flowbatch.engine.decisions import Bind, Evict, Plan, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, GangGone, GangSeen, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec, Synced
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT

NODES, CPUS = 50, 16
PODS = 4
#: A gang's life, a step of the clock and the whole run, in seconds.
LIFE_S, STEP_S, RUN_S = 600, 10, 3_600
WEIGHTS = {"one": 1, "two": 2, "three": 3}
#: When each queue begins to ask; the last one in a cluster that is full.
BEGINS_S = {"one": 0, "two": 300, "three": 900}
#: Gangs of a queue that wait at any moment.
BACKLOG = 12


class Town:
    """Three queues that always want more, one engine, and a clock that only the benchmark moves."""

    def __init__(self, policy: Policy) -> None:
        self.engine = Engine(policy)
        self.now_s = 0
        self.count = 0
        self.waiting: dict[str, set[str]] = {name: set() for name in WEIGHTS}
        #: Pods of each gang that runs, and when it ends.
        self.members: dict[str, list[PodSeen]] = {}
        self.ends: list[tuple[int, str]] = []
        self.evicted = 0
        facts: list[Event] = [QueueSeen(QueueName("root")), QueueSeen(QueueName("default"))]
        facts += [QueueSeen(QueueName(name), weight=weight) for name, weight in WEIGHTS.items()]
        room = (("cpu", CPUS * 1000), ("pods", 110))
        facts += [NodeSeen(NodeName(f"n{index}"), room) for index in range(NODES)]
        self.engine.observe([*facts, Synced()])

    def step(self) -> None:
        """One step of the clock: ends, arrivals, and decisions until nothing more follows from them."""
        self.now_s += STEP_S
        while self.ends and self.ends[0][0] <= self.now_s:
            self.end(heappop(self.ends)[1])
        for name, waiting in self.waiting.items():
            while self.now_s >= BEGINS_S[name] and len(waiting) < BACKLOG:
                self.arrive(name)
        for _ in range(20):
            if not self.carry_out(self.engine.cycle(Tick(Instant(self.now_s * 1000), 100_000))):
                return

    def arrive(self, queue: str) -> None:
        """One gang more in `queue`."""
        self.count += 1
        name = f"{queue}-{self.count}"
        gang = GangId(f"ns/{name}")
        shape = ShapeSpec((("cpu", 1000), ("pods", 1)))
        created = Instant(self.now_s * 1000)
        seen = GangSeen(gang, name, QueueName(queue), created, min_members=PODS, phase="Inqueue")
        pods = [
            PodSeen(PodUid(f"{name}-{index}"), "ns", f"{name}-{index}", shape, gang, "task", index, created=created)
            for index in range(PODS)
        ]
        self.members[name] = pods
        self.waiting[queue].add(name)
        self.engine.observe([seen, *pods])

    def end(self, name: str) -> None:
        """A gang is gone, with its pods."""
        pods = self.members.pop(name, [])
        self.engine.observe([*(PodGone(pod.uid) for pod in pods), GangGone(GangId(f"ns/{name}"))])

    def carry_out(self, plan: Plan) -> bool:
        """Bindings and evictions succeed at once; an evicted gang comes back as a new one. Whether there were any."""
        facts: list[Event] = []
        started: dict[str, str] = {}
        gone: dict[str, None] = {}
        for order in plan.decisions:
            if isinstance(order, Bind):
                pod = self.engine.state.tasks[order.uid].fact
                facts.append(msgspec.structs.replace(pod, node=order.node, phase="Running"))
                started[str(order.gang).partition("/")[2]] = pod.uid
            elif isinstance(order, Evict):
                gone[order.name.rpartition("-")[0]] = None
        self.engine.observe(facts)
        for name in started:
            self.waiting[name.partition("-")[0]].discard(name)
            heappush(self.ends, (self.now_s + LIFE_S, name))
        for name in gone:
            self.evicted += 1
            self.end(name)
        return bool(started or gone)

    def held(self) -> dict[str, int]:
        """Cores by queue."""
        queues = self.engine.state.queues.by_name
        return {name: queues[QueueName(name)].allocated.get(1, 0) // 1000 for name in WEIGHTS}

    def fair(self) -> dict[str, float]:
        """Cores that each queue should hold now: by weight among those that ask."""
        asking = {name: weight for name, weight in WEIGHTS.items() if self.now_s >= BEGINS_S[name]}
        whole = sum(asking.values())
        return {name: NODES * CPUS * asking.get(name, 0) / whole for name in WEIGHTS}


def live(policy: Policy) -> tuple[float, float, int]:
    """Mean share error, seconds to fair after the last queue came, and gangs evicted."""
    town = Town(policy)
    errors: list[float] = []
    unfair_s = 0
    while town.now_s < RUN_S:
        town.step()
        held, fair = town.held(), town.fair()
        errors.append(sum(abs(held[name] - fair[name]) for name in WEIGHTS) / len(WEIGHTS) / (NODES * CPUS))
        if any(abs(held[name] - fair[name]) > PODS for name in WEIGHTS):
            unfair_s = town.now_s
    return sum(errors) / len(errors), max(0.0, unfair_s - BEGINS_S["three"]), town.evicted


def figures() -> Iterator[Figure]:
    """F4 without and with reclaim."""
    error, seconds, _ = live(DEFAULT)
    note = f"{NODES * CPUS} cores, weights 1:2:3, gangs of {PODS} for {LIFE_S} s; by waiting alone"
    yield Figure("f4_share_error", error, "part", better="lower", note=note)
    yield Figure("f4_time_to_fair_s", seconds, "s", better="lower", note="from the last queue's first gang on")
    error, seconds, evicted = live(replace(DEFAULT, actions=(*DEFAULT.actions, "reclaim")))
    yield Figure("f4_share_error_reclaim", error, "part", better="lower", note=f"with reclaim: {evicted} gangs evicted")
    yield Figure("f4_time_to_fair_reclaim_s", seconds, "s", better="lower", note="with reclaim")
