"""Does a gang fit? By trying every way to put its members on nodes, and every choice of members that would do."""

from collections.abc import Iterator
from itertools import product

from flowbatch.engine.events import NodeSeen, ShapeSpec, Toleration
from tests.reference.cluster import Amounts, Cluster, asks, is_best_effort

CORDON = ("node.kubernetes.io/unschedulable", "", "NoSchedule")
EVERYWHERE = ("", "0.0.0.0", "::")


def admits(node: NodeSeen, shape: ShapeSpec) -> bool:
    """Whether a pod of that shape may be on the node at all, full or empty."""
    labels = dict(node.labels)
    taints = [(taint.key, taint.value, taint.effect) for taint in node.taints if taint.effect != "PreferNoSchedule"]
    if node.unschedulable:
        taints.append(CORDON)
    chosen = all(labels.get(key) == value for key, value in shape.selector)
    return chosen and all(any(_tolerates(each, *taint) for each in shape.tolerations) for taint in taints)


def _tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    if toleration.effect not in ("", effect) or toleration.key not in ("", key):
        return False
    return toleration.operator == "Exists" or (toleration.key == key and toleration.value == value)


def is_open(cluster: Cluster, name: str) -> bool:
    """Whether a node takes anything: it is ready, and no more is used than it has."""
    return cluster.nodes[name].ready and all(units >= 0 for units in cluster.free(name).values())


class Nodes:
    """Free room of all open nodes, to try things with."""

    def __init__(self, cluster: Cluster) -> None:
        names = [name for name in cluster.nodes if is_open(cluster, name)]
        self.facts = [cluster.nodes[name] for name in names]
        self.free = [cluster.free(name) for name in names]
        self.ports = [cluster.ports(name) for name in names]

    def fits(self, shape: ShapeSpec, i: int) -> bool:
        """One more of `shape` on node i."""
        room = all(units <= self.free[i].get(name, 0) for name, units in asks(shape).items())
        return room and admits(self.facts[i], shape) and not any(self._clash(port, i) for port in shape.ports)

    def _clash(self, port: tuple[str, str, int], i: int) -> bool:
        protocol, address, number = port
        return any(
            (protocol, number) == (there[0], there[2])
            and (address == there[1] or address in EVERYWHERE or there[1] in EVERYWHERE)
            for there in self.ports[i]
        )

    def put(self, shape: ShapeSpec, i: int, sign: int = 1) -> None:
        """Take room on node i, or give it back."""
        for name, units in asks(shape).items():
            self.free[i][name] = self.free[i].get(name, 0) - sign * units
        for port in shape.ports:
            if sign > 0:
                self.ports[i].append(port)
            else:
                self.ports[i].remove(port)

    def pack(self, shapes: list[ShapeSpec]) -> list[tuple[str, ShapeSpec]] | None:
        """Room for all of `shapes` at once, by trying everything; None where there is none."""
        return self._pack(sorted(shapes, key=repr), 0, 0)

    def _pack(self, shapes: list[ShapeSpec], first: int, least: int) -> list[tuple[str, ShapeSpec]] | None:
        if first == len(shapes):
            return []
        shape = shapes[first]
        # Equal pods are interchangeable: each goes to the same node as the one before it, or to a later one.
        alike = first > 0 and shapes[first - 1] == shape
        for i in range(least if alike else 0, len(self.facts)):
            if self.fits(shape, i):
                self.put(shape, i)
                rest = self._pack(shapes, first + 1, i)
                self.put(shape, i, -1)
                if rest is not None:
                    return [(self.facts[i].name, shape), *rest]
        return None


class Need:
    """What a gang that has passed the gate needs in order to start, or to be whole again."""

    def __init__(self, cluster: Cluster, gang: str) -> None:
        fact = cluster.gangs[gang]
        pending = cluster.pending(gang)
        placeable = [pod for pod in pending if not is_best_effort(pod.shape)]
        free_riders = [pod for pod in pending if is_best_effort(pod.shape)]
        least = max(0, fact.min_members)
        declared = {task.name: task for task in fact.declared}
        minima = dict(fact.min_by_task) or {task.name: task.minimum for task in fact.declared}
        if sum(minima.values()) > least:
            minima = {}
        #: Pods by (task, shape): how many there are to choose from.
        self.groups: dict[tuple[str, ShapeSpec], int] = {}
        for pod in placeable:
            key = (pod.task, pod.shape)
            self.groups[key] = self.groups.get(key, 0) + 1
        there = {task: sum(n for (name, _), n in self.groups.items() if name == task) for task in {*minima, *declared}}
        lack = {
            task: max(0, n - cluster.ready(gang, task) - sum(pod.task == task for pod in free_riders))
            for task, n in minima.items()
        }
        for task in fact.declared:
            # Those for whom room is held have come.
            rooms = sum(shape == task.shape for _, shape in cluster.rooms.get(gang, ()))
            lack[task.name] = max(lack.get(task.name, 0), min(rooms, there[task.name]))
        #: How many pods of each task must be placed, and how many in all.
        self.of_task = {task: min(n, there[task]) for task, n in sorted(lack.items()) if min(n, there[task])}
        need = max(0, least - cluster.ready(gang) - len(free_riders))
        self.pods = max(sum(self.of_task.values()), min(need, len(placeable)))
        lack = {task: n - self.of_task.get(task, 0) for task, n in lack.items()}
        need -= self.pods
        #: Members to come (held back by a dependency) that need room now, and their shapes.
        self.to_come: dict[str, int] = {}
        for task in fact.declared:
            present = sum(pod.task == task.name for pod in cluster.members(gang))
            back = max(0, task.count - present) if task.waits_for else 0
            asked = max(0, task.minimum - present, lack.get(task.name, 0))
            self.to_come[task.name] = min(back, asked)
            need -= self.to_come[task.name]
        for task in fact.declared:
            present = sum(pod.task == task.name for pod in cluster.members(gang))
            back = max(0, task.count - present) if task.waits_for else 0
            more = min(back - self.to_come[task.name], max(0, need))
            self.to_come[task.name] += more
            need -= more
        lack = {task: n - self.to_come.get(task, 0) for task, n in lack.items()}
        #: Members are missing: nothing can be tried.
        self.incomplete = need > 0 or any(n > 0 for n in lack.values())
        self.reserve = [
            declared[name].shape
            for name, count in self.to_come.items()
            for _ in range(count)
            if not is_best_effort(declared[name].shape)
        ]
        held = [shape for _, shape in cluster.rooms.get(gang, ())]
        #: Its minimum is met; what still waits is surplus.
        self.nothing = not self.pods and sorted(map(repr, held)) == sorted(map(repr, self.reserve))

    def choices(self) -> Iterator[list[ShapeSpec]]:
        """Every smallest choice of pods that would do."""
        keys = list(self.groups)
        for counts in product(*(range(self.groups[key] + 1) for key in keys)):
            if sum(counts) != self.pods:
                continue
            by_task: dict[str, int] = {}
            for (task, _), count in zip(keys, counts, strict=True):
                by_task[task] = by_task.get(task, 0) + count
            if all(by_task.get(task, 0) >= n for task, n in self.of_task.items()):
                yield [shape for (_, shape), count in zip(keys, counts, strict=True) for _ in range(count)]


def total_asked(shapes: list[ShapeSpec]) -> Amounts:
    """What they take together."""
    sums: Amounts = {}
    for shape in shapes:
        for name, units in asks(shape).items():
            sums[name] = sums.get(name, 0) + units
    return sums
