"""Whose turn it is, who passes the gate, and who can start: the order rule of the default policy."""

from tests.reference.cluster import Amounts, Cluster, asks, holds, is_best_effort, plus, total_of
from tests.reference.quota import below, capability, over_limit, own, path, shares, short
from tests.reference.search import Need, Nodes, total_asked

#: Promises may go so far beyond what there is (Volcano: overcommit plugin).
OVERCOMMIT_PERMILLE = 1_200


def dominant(part: Amounts, whole: Amounts) -> float:
    """The largest part of anything; all of nothing is one."""
    return max((units / whole[axis] if whole.get(axis) else 1.0 for axis, units in part.items()), default=0.0)


class Reference:
    """The rules, over one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.share: dict[str, Amounts] = {}
        self.divide()

    def divide(self) -> None:
        """Shares as they are now. They do not move while gangs start: what is got is no longer asked for."""
        awaited = {gang: self._awaited(gang) for gang in self.cluster.gangs if self._admitted(gang)}
        self.share = shares(self.cluster, awaited)

    def settle(self) -> None:
        """A gang of which somebody runs has passed the gate, whatever was written about it."""
        for gang, fact in self.cluster.gangs.items():
            ready = self.cluster.ready(gang)
            if ready and fact.queue in self.cluster.queues and fact.phase in ("Pending", "Inqueue"):
                self.cluster.set_phase(gang, "Running" if ready >= max(1, fact.min_members) else "Inqueue")
        self.divide()

    def _awaited(self, gang: str) -> Amounts:
        need = Need(self.cluster, gang)
        if need.incomplete or self.cluster.rooms.get(gang):
            return {}
        return total_of(asks(shape) for shape in need.reserve)

    def _admitted(self, gang: str) -> bool:
        fact = self.cluster.gangs[gang]
        return fact.queue in self.cluster.queues and fact.phase in ("Inqueue", "Running", "Unknown")

    # -- order

    def urgent(self, gang: str) -> bool:
        """It runs in part, or the members to come have lost the room that was held for them."""
        if not self._admitted(gang):
            return False
        return self.in_repair(gang) or (self.cluster.ready(gang) > 0 and bool(Need(self.cluster, gang).reserve))

    def key(self, gang: str) -> tuple[object, ...]:
        """Sort key of all waiting gangs: those in repair, then by queue, then by gang."""
        fact = self.cluster.gangs[gang]
        return (not self.urgent(gang), *self.queue_key(fact.queue), *self.gang_key(gang))

    def queue_key(self, name: str) -> tuple[object, ...]:
        """Priority, then who has got less of its share, then who has waited longer for its last turn."""
        queue = self.cluster.queues[name]
        served = dominant(own(self.cluster, name), self.share.get(name, self.cluster.total()))
        return (-queue.priority, served, self.cluster.served.get(name, 0), queue.created, name)

    def gang_key(self, gang: str) -> tuple[object, ...]:
        """Priority, then those without their minimum, then who holds less, then the older."""
        fact = self.cluster.gangs[gang]
        complete = self.cluster.ready(gang) >= max(0, fact.min_members)
        holds = dominant(self.cluster.allocated(gang), self.cluster.total())
        return (-fact.priority, complete, holds, fact.created, gang)

    def in_order(self) -> list[str]:
        """All gangs whose queue exists, the next one first."""
        known = [gang.id for gang in self.cluster.gangs.values() if gang.queue in self.cluster.queues]
        return sorted(known, key=self.key)

    # -- the gate

    def promised(self, gang: str) -> Amounts:
        """What is kept for an admitted gang until it has started: its stated minimum, without what waits gated."""
        fact = self.cluster.gangs[gang]
        if fact.phase != "Inqueue" or fact.queue not in self.cluster.queues:
            return {}
        gated = [pod for pod in self.cluster.members(gang) if pod.gated and pod.node is None and pod.phase == "Pending"]
        taken = plus(self.cluster.allocated(gang), total_of(asks(pod.shape) for pod in gated))
        left = plus(dict(fact.min_resources or ()), taken, -1)
        return {axis: units for axis, units in left.items() if units > 0}

    def elastic(self, gang: str) -> Amounts:
        """What a gang holds beyond its stated minimum."""
        least = dict(self.cluster.gangs[gang].min_resources or ())
        more = plus(self.cluster.allocated(gang), least, -1)
        return {axis: units for axis, units in more.items() if units > 0 and least.get(axis)}

    def passes(self, gang: str) -> str | None:
        """None if a gang may go past the gate, else what is in the way."""
        fact = self.cluster.gangs[gang]
        if self.cluster.queues[fact.queue].state != "Open":
            return "QueueClosed"
        least = {axis: units for axis, units in (fact.min_resources or ()) if units > 0}
        for name in path(self.cluster, fact.queue):
            mine = below(self.cluster, name)
            taken = total_of([*map(self.cluster.held, mine), *map(self.promised, mine)])
            taken = plus(taken, total_of(map(self.elastic, mine)), -1)
            if short(least, taken, capability(self.cluster, name)):
                return "NeedsQuota"
        whole = self.cluster.total()
        limit = {axis: whole.get(axis, 0) * OVERCOMMIT_PERMILLE // 1_000 for axis in least}
        taken = plus(self.cluster.used(), total_of(map(self.promised, self.cluster.gangs)))
        return "NeedsHeadroom" if short(least, taken, limit) else None

    def open_gate(self) -> bool:
        """Let in whom the gate lets pass, in order; whether anybody was."""
        anybody = False
        for gang in self.in_order():
            waits = not self._admitted(gang) and self.cluster.gangs[gang].phase != "Completed"
            if waits and self.passes(gang) is None:
                self.cluster.set_phase(gang, "Inqueue")
                anybody = True
        if anybody:
            self.divide()
        return anybody

    # -- starting

    def can_start(self, gang: str) -> bool:
        """Some choice of members fits on nodes and in its queue, and with them room for those to come."""
        return self._admitted(gang) and bool(self.way(gang))

    def way(self, gang: str) -> list[tuple[str, object]] | None:
        """One way to do it; None where its minimum is met already, members are missing, or there is none."""
        need = Need(self.cluster, gang)
        if need.nothing or need.incomplete:
            return None
        rooms = self.cluster.rooms.pop(gang, [])  # what it holds already it may use
        try:
            for pods in need.choices():
                shapes = [*pods, *need.reserve]
                if over_limit(self.cluster, self.cluster.gangs[gang].queue, total_asked(shapes), self.share):
                    continue
                found = Nodes(self.cluster).pack(shapes)
                if found:
                    return list(found)
            return None
        finally:
            if rooms:
                self.cluster.rooms[gang] = rooms

    def within_limits(self, gang: str) -> bool:
        """Its queue may hold one of the choices of its members."""
        need, queue = Need(self.cluster, gang), self.cluster.gangs[gang].queue
        asked = (total_asked([*pods, *need.reserve]) for pods in need.choices())
        return any(over_limit(self.cluster, queue, each, self.share) is None for each in asked)

    def turn(self) -> str | None:
        """Who starts next."""
        return next((gang for gang in self.in_order() if self.can_start(gang)), None)

    def can_grow(self, gang: str) -> bool:
        """One more of its pods could be placed: it has its minimum, or is in repair, or the pod asks for nothing."""
        if not self._admitted(gang):
            return False
        need = Need(self.cluster, gang)
        if need.incomplete:
            return False
        nodes = Nodes(self.cluster)
        useful = set(map(repr, [shape for pods in need.choices() for shape in pods])) if self.in_repair(gang) else set()
        for pod in self.cluster.pending(gang):
            if not need.nothing and not is_best_effort(pod.shape) and repr(pod.shape) not in useful:
                continue
            limited = over_limit(self.cluster, self.cluster.gangs[gang].queue, asks(pod.shape), self.share)
            if not limited and any(nodes.fits(pod.shape, i) for i in range(len(nodes.facts))):
                return True
        return False

    def in_repair(self, gang: str) -> bool:
        """It runs in part: a binding failed, or a member was lost. It takes what it can get."""
        ready, least = self.cluster.ready(gang), max(0, self.cluster.gangs[gang].min_members)
        placed = [pod for pod in self.cluster.members(gang) if holds(pod) and not pod.deleting]
        return 0 < ready < least and any(not is_best_effort(pod.shape) for pod in placed)
