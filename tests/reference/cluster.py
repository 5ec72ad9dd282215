"""What is where: facts, and the places that pods have or have been given."""

from collections.abc import Iterable

import msgspec

from flowbatch.engine.events import Event, GangGone, GangSeen, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec

DONE = ("Succeeded", "Failed")
Amounts = dict[str, int]


def asks(shape: ShapeSpec, count: int = 1) -> Amounts:
    """What `count` pods of a shape take; each is one of its node's pods."""
    sums = {name: units * count for name, units in shape.requests if units > 0}
    sums["pods"] = count
    return sums


def plus(one: Amounts, other: Amounts, sign: int = 1) -> Amounts:
    """The sum, without zeros."""
    names = sorted({*one, *other})
    return {name: total for name in names if (total := one.get(name, 0) + sign * other.get(name, 0))}


def total_of(amounts: Iterable[Amounts]) -> Amounts:
    """The sum of all."""
    total: Amounts = {}
    for each in amounts:
        for name, units in each.items():
            total[name] = total.get(name, 0) + units
    return {name: units for name, units in sorted(total.items()) if units}


def is_best_effort(shape: ShapeSpec) -> bool:
    """It asks for nothing but a place."""
    return all(name == "pods" or units <= 0 for name, units in shape.requests)


class Cluster:
    """All levels as last told, and decisions since."""

    def __init__(self, facts: Iterable[Event]) -> None:
        self.nodes: dict[str, NodeSeen] = {}
        self.queues: dict[str, QueueSeen] = {}
        self.gangs: dict[str, GangSeen] = {}
        self.pods: dict[str, PodSeen] = {}
        #: Room held for members to come: gang -> (node, shape) for each of them.
        self.rooms: dict[str, list[tuple[str, ShapeSpec]]] = {}
        #: Queue -> the number of the last placement of one of its pods.
        self.served: dict[str, int] = {}
        for fact in facts:
            self.tell(fact)

    def tell(self, fact: Event) -> None:
        """Something now is so."""
        match fact:
            case NodeSeen():
                self.nodes[fact.name] = fact
            case QueueSeen():
                self.queues[fact.name] = fact
            case GangSeen():
                self.gangs[fact.id] = fact
            case PodSeen():
                self.pods[fact.uid] = fact
            case GangGone():
                self.gangs.pop(fact.id, None)
            case PodGone():
                self.pods.pop(fact.uid, None)

    def place(self, uid: str, node: str) -> None:
        """A pod gets its place."""
        self.pods[uid] = msgspec.structs.replace(self.pods[uid], node=node)

    def set_phase(self, gang: str, phase: str) -> None:
        """A gang passes the gate, or has started."""
        self.gangs[gang] = msgspec.structs.replace(self.gangs[gang], phase=phase)

    # -- pods of a gang

    def members(self, gang: str) -> list[PodSeen]:
        """All its pods."""
        return [pod for pod in self.pods.values() if pod.gang == gang]

    def ready(self, gang: str, task: str | None = None) -> int:
        """Members that have their place, or have had it and succeeded."""
        mine = [pod for pod in self.members(gang) if task in (None, pod.task)]
        return sum(pod.phase == "Succeeded" or (holds(pod) and not pod.deleting) for pod in mine)

    def pending(self, gang: str) -> list[PodSeen]:
        """Members that wait for a place and may have one."""
        return [pod for pod in self.members(gang) if waits(pod) and not pod.gated]

    # -- sums

    def allocated(self, gang: str) -> Amounts:
        """What its pods hold."""
        return total_of(asks(pod.shape) for pod in self.members(gang) if holds(pod))

    def held(self, gang: str) -> Amounts:
        """What its pods hold, and what is held for those to come."""
        return plus(self.allocated(gang), total_of(asks(shape) for _, shape in self.rooms.get(gang, ())))

    def total(self) -> Amounts:
        """Capacity of the nodes that are ready."""
        return total_of(dict(node.allocatable) for node in self.nodes.values() if node.ready)

    def used(self) -> Amounts:
        """Held by everybody, anywhere."""
        rooms = [asks(shape) for held in self.rooms.values() for _, shape in held]
        return total_of([*(asks(pod.shape) for pod in self.pods.values() if holds(pod)), *rooms])

    def free(self, node: str) -> Amounts:
        """What is left of a node; below zero where it has shrunk."""
        left = dict(self.nodes[node].allocatable)
        for pod in self.pods.values():
            if holds(pod) and pod.node == node:
                left = _less(left, asks(pod.shape))
        for held in self.rooms.values():
            for where, shape in held:
                if where == node:
                    left = _less(left, asks(shape))
        return left

    def ports(self, node: str) -> list[tuple[str, str, int]]:
        """Host ports in use there."""
        there = [pod for pod in self.pods.values() if holds(pod) and pod.node == node]
        return [port for pod in there for port in pod.shape.ports]


def _less(left: Amounts, taken: Amounts) -> Amounts:
    return {name: left.get(name, 0) - taken.get(name, 0) for name in sorted({*left, *taken})}


def holds(pod: PodSeen) -> bool:
    """It takes up its node, until it has ended or is gone."""
    return pod.node is not None and pod.phase not in DONE


def waits(pod: PodSeen) -> bool:
    """It has no node yet."""
    return pod.node is None and pod.phase not in DONE and not pod.deleting
