"""Random small clusters by seed: up to five nodes, four gangs and three queues, with what makes scheduling hard."""

import random

from msgspec import structs

from flowbatch.engine.events import (
    DeclaredTask,
    Event,
    GangGone,
    GangSeen,
    NodeSeen,
    PodGone,
    PodSeen,
    QueueSeen,
    ShapeSpec,
    Taint,
    Toleration,
)
from tests.reference.cluster import Cluster

SHAPES = (
    ShapeSpec((("cpu", 1000),)),
    ShapeSpec((("cpu", 2000), ("memory", 1))),
    ShapeSpec((("cpu", 3000),)),
    ShapeSpec((("cpu", 1000), ("gpu", 1))),
    ShapeSpec((("cpu", 1000), ("memory", 3))),
    ShapeSpec((("cpu", 1000),), (("zone", "a"),)),
    ShapeSpec((("cpu", 2000),), (("zone", "a"),)),
    ShapeSpec((("cpu", 1000),), tolerations=(Toleration("dedicated", "Exists"),)),
    ShapeSpec((("cpu", 1000),), ports=(("TCP", "", 80),)),
    ShapeSpec((("cpu", 2000),), ports=(("TCP", "", 80),)),
    ShapeSpec((("gpu", 2),)),
    ShapeSpec(()),
)


class Case:
    """One random cluster as facts."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)
        self.facts: list[Event] = [*self._queues(), *self._nodes()]
        for number in range(self.luck.randint(1, 4)):
            self.facts.extend(self._gang(number))
        self.facts.extend(self._strangers())

    def _maybe(self, chance: float) -> bool:
        return self.luck.random() < chance

    def _nodes(self) -> list[NodeSeen]:
        luck = self.luck
        self.names = [f"n{i}" for i in range(1, luck.randint(1, 5) + 1)]
        return [
            NodeSeen(
                name,
                (
                    ("cpu", luck.choice([1, 2, 3, 3, 4, 5]) * 1000),
                    ("gpu", luck.choice([0, 0, 1, 2])),
                    ("memory", luck.choice([2, 4, 9])),
                    ("pods", luck.choice([2, 10, 10])),
                ),
                (("zone", luck.choice("ab")),),
                (Taint("dedicated"),) if self._maybe(0.15) else (),
                unschedulable=self._maybe(0.05),
                ready=not self._maybe(0.05),
            )
            for name in self.names
        ]

    def _queues(self) -> list[QueueSeen]:
        self.queues = ["default", *(["ads"] if self._maybe(0.6) else []), *(["lab"] if self._maybe(0.3) else [])]
        return [QueueSeen("root"), *(self._queue(name) for name in self.queues)]

    def _queue(self, name: str) -> QueueSeen:
        luck = self.luck
        return QueueSeen(
            name,
            parent="ads" if name == "lab" and "ads" in self.queues and self._maybe(0.5) else "",
            weight=luck.choice([1, 1, 2, 3]),
            priority=luck.choice([0, 0, 0, 5]),
            capability=luck.choice([(), (), (), (("cpu", 3000),), (("cpu", 6000),), (("pods", 4),), (("gpu", 1),)]),
            guarantee=(("cpu", 2000),) if self._maybe(0.12) else (),
            state="Closed" if self._maybe(0.05) else "Open",
        )

    def _strangers(self) -> list[PodSeen]:
        return [
            PodSeen(name, "other", name, self.luck.choice(SHAPES), node=self.luck.choice(self.names), phase="Running")
            for name in (f"s{i}" for i in range(self.luck.choice([0, 0, 1, 2, 4])))
        ]

    def _gang(self, number: int) -> list[Event]:
        luck, name = self.luck, f"g{number}"
        tasks = [f"t{i}" for i in range(luck.choice([1, 1, 2, 2, 3]))]
        pods = [pod for task in tasks for pod in self._pods(name, task)]
        declared = self._declared(tasks) if self._maybe(0.15) else ()
        size = len(pods) + sum(task.count for task in declared)
        by_task = tuple((task, 1) for task in tasks if self._maybe(0.5)) if self._maybe(0.2) else ()
        least = self._least(pods) if self._maybe(0.4) else None
        gang = GangSeen(
            name,
            f"uid-{name}",
            luck.choice([*self.queues, *(["nowhere"] if self._maybe(0.03) else [])]),
            luck.choice([number, number, 7]),
            luck.choice([0, 0, 0, 5]),
            luck.choice([size, size, size, len(pods), max(1, size - 1), max(1, size - 2), 1, 0, size + 1]),
            by_task,
            least,
            declared,
            phase=luck.choice(["Pending", "Inqueue", "Inqueue"]),
        )
        return [gang, *pods]

    def _least(self, pods: list[PodSeen]) -> tuple[tuple[str, int], ...]:
        cpu = sum(dict(pod.shape.requests).get("cpu", 0) for pod in pods)
        return (("cpu", self.luck.choice([cpu, cpu, cpu, cpu + 2000, 1000])),)

    def _declared(self, tasks: list[str]) -> tuple[DeclaredTask, ...]:
        count = self.luck.randint(1, 2)
        return (DeclaredTask("late", count, self.luck.randint(0, count), self.luck.choice(SHAPES[:6]), (tasks[0],)),)

    def _pods(self, gang: str, task: str) -> list[PodSeen]:
        shape = self.luck.choice(SHAPES)
        pods = []
        for i in range(self.luck.choice([1, 1, 2, 2, 3])):
            other = self.luck.choice(SHAPES) if self._maybe(0.1) else shape
            uid = f"{gang}-{task}-{i}"
            gated, priority = self._maybe(0.04), self.luck.choice([0, 0, 0, 3])
            pods.append(PodSeen(uid, "ns", uid, other, gang, task, i, priority=priority, gated=gated))
        if self._maybe(0.06):
            # Half of it was bound when a scheduler died.
            pods[0] = structs.replace(pods[0], node=self.luck.choice(self.names), phase="Running", gated=False)
        return pods


class Happenings:
    """What may happen to a cluster between two decisions; everything that was bound runs by then."""

    def __init__(self, seed: int, cluster: Cluster) -> None:
        self.luck = random.Random(-seed)
        self.cluster = cluster

    def some(self) -> list[Event]:
        """One to four new levels."""
        ways = [
            self._end,
            self._end,
            self._end,
            self._node,
            self._queue,
            self._gate,
            self._late,
            self._gone,
            self._come,
        ]
        events: list[Event] = []
        for _ in range(self.luck.randint(1, 4)):
            for event in self.luck.choice(ways)():
                self.cluster.tell(event)
                events.append(event)
        return events

    def _end(self) -> list[Event]:
        """Somebody else's pod ends, or a whole gang."""
        running = [pod for pod in self.cluster.pods.values() if pod.node and pod.phase == "Running"]
        if not running:
            return []
        one = self.luck.choice(running)
        phase = self.luck.choice(["Succeeded", "Failed"])
        if one.gang is None:
            return [structs.replace(one, phase=phase)]
        return [structs.replace(pod, phase="Succeeded") for pod in self.cluster.members(one.gang)]

    def _node(self) -> list[Event]:
        if not self.cluster.nodes:
            return []
        node = self.luck.choice(list(self.cluster.nodes.values()))
        grown = tuple(
            (name, units + self.luck.choice([0, 1000 if name == "cpu" else 1])) for name, units in node.allocatable
        )
        shrunk = tuple((name, units // 2) for name, units in node.allocatable)
        changes = [{"allocatable": grown}, {"allocatable": grown}, {"allocatable": shrunk}, {"ready": not node.ready}]
        changes += [{"unschedulable": not node.unschedulable}, {"taints": ()}, {"labels": (("zone", "a"),)}]
        return [structs.replace(node, **self.luck.choice(changes))]

    def _queue(self) -> list[Event]:
        queues = [queue for queue in self.cluster.queues.values() if queue.name != "root"]
        if not queues:
            return []
        queue = self.luck.choice(queues)
        limit = self.luck.choice([(), (("cpu", 2000),), (("cpu", 8000),), (("pods", 6),)])
        return [structs.replace(queue, capability=limit, weight=self.luck.choice([1, 4]), state="Open")]

    def _gate(self) -> list[Event]:
        return [structs.replace(pod, gated=False) for pod in self.cluster.pods.values() if pod.gated]

    def _late(self) -> list[Event]:
        """A dependency is met: pods that were held back are made."""
        made: list[Event] = []
        for gang in self.cluster.gangs.values():
            if gang.phase == "Running":
                for task in gang.declared:
                    made += [
                        PodSeen(uid, "ns", uid, task.shape, gang.id, task.name, i)
                        for i in range(task.count)
                        if (uid := f"{gang.id}-{task.name}-{i}") not in self.cluster.pods
                    ]
        return made

    def _gone(self) -> list[Event]:
        """A gang that waits is deleted."""
        idle = [gang for gang in self.cluster.gangs if not any(pod.node for pod in self.cluster.members(gang))]
        if not idle:
            return []
        gang = self.luck.choice(idle)
        return [GangGone(gang), *(PodGone(pod.uid) for pod in self.cluster.members(gang))]

    def _come(self) -> list[Event]:
        """A small gang comes."""
        name = f"new{self.luck.randint(0, 999)}"
        shape = self.luck.choice(SHAPES)
        queue = self.luck.choice([name for name in self.cluster.queues if name != "root"] or ["default"])
        pods = [
            PodSeen(f"{name}-{i}", "ns", f"{name}-{i}", shape, name, "t", i) for i in range(self.luck.randint(1, 2))
        ]
        return [GangSeen(name, name, queue, 9, self.luck.choice([0, 5]), len(pods), phase="Pending"), *pods]
