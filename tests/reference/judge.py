"""Follows an engine step by step and compares: is it this gang's turn, does it fit, is nobody left who could start?"""

from collections.abc import Callable, Iterable

import msgspec

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Event, PodSeen, ShapeSpec, Synced
from tests.reference.cluster import Cluster, asks, is_best_effort, waits
from tests.reference.quota import over_limit
from tests.reference.rules import Reference
from tests.reference.search import Need, Nodes

STEPS = 400


class Disagreement(AssertionError):
    """The engine and the reference see it differently."""


class Judge:
    """One engine and one reference over the same facts."""

    def __init__(self, facts: Iterable[Event], engine: Engine | None = None) -> None:
        self.facts = list(facts)
        self.cluster = Cluster(self.facts)
        self.reference = Reference(self.cluster)
        self.engine = engine or Engine(validate=True)
        self.engine.observe([*self.facts, Synced()])
        self.reference.settle()
        self.now = 1_000
        #: Gangs in the order in which they started, and everything that was bound, in order.
        self.started: list[str] = []
        self.bound: list[tuple[str, str]] = []

    def run(self) -> None:
        """Cycles of one attempt each, judged one by one, until nothing is left to do."""
        for _ in range(STEPS):
            plan = self.engine.cycle(Tick(self.now, 1))
            binds = [each for each in plan.decisions if isinstance(each, Bind)]
            rooms = self._rooms()
            if binds or rooms != self.cluster.rooms:
                moved = [
                    gang for gang in {**rooms, **self.cluster.rooms} if rooms.get(gang) != self.cluster.rooms.get(gang)
                ]
                self._step(str([*(bind.gang for bind in binds), *moved][0]), binds, rooms)
            if not plan.more:
                break
        else:
            raise Disagreement("the engine never comes to rest")
        self._end()

    def happen(self, events: Callable[[], list[Event]]) -> None:
        """Everything bound runs, and then something else is so; `events` tells the cluster itself."""
        for uid, _ in self.bound:
            pod = self.cluster.pods.get(uid)
            if pod is not None and pod.phase == "Pending":
                self.cluster.tell(msgspec.structs.replace(pod, phase="Running"))
        self.engine.observe([self.cluster.pods[uid] for uid, _ in self.bound if uid in self.cluster.pods])
        self.engine.observe(events())
        # Nothing is tried yet, but what follows from facts alone is: phases, and room that is held no longer.
        self.engine.cycle(Tick(self.now, 0))
        for gang in self.cluster.gangs:
            self.cluster.set_phase(gang, self.engine.state.gangs[gang].phase)
        self.cluster.rooms = self._rooms()
        self.reference.divide()

    def _rooms(self) -> dict[str, list[tuple[str, ShapeSpec]]]:
        """Room that the engine holds for members to come: its decision, which the reference only checks."""
        state = self.engine.state
        return {
            gang.id: [
                (state.node_at[row].name, held.shape.spec)
                for held in gang.reservations
                for row, count in zip(held.rows.tolist(), held.counts.tolist(), strict=True)
                for _ in range(count)
            ]
            for gang in state.gangs.values()
            if gang.reservations
        }

    def _step(self, gang: str, binds: list[Bind], rooms: dict[str, list[tuple[str, ShapeSpec]]]) -> None:
        self.reference.open_gate()
        before = self.cluster.rooms.get(gang, [])
        if not binds and len(rooms.get(gang, ())) < len(before):
            self.cluster.rooms = rooms  # it lets go of what it no longer needs
            return
        need = Need(self.cluster, gang)
        placed = [self.cluster.pods[bind.uid] for bind in binds]
        bare = bool(binds) and all(is_best_effort(pod.shape) for pod in placed)
        if not need.nothing and not bare and not self.reference.in_repair(gang):
            self._start(gang, need, placed)
        elif not need.incomplete or not self.reference.in_repair(gang):
            self._grow(gang)
        self.cluster.rooms.pop(gang, None)
        for bind, pod in zip(binds, placed, strict=True):
            self._put(pod, bind.node)
            self.cluster.served[self.cluster.gangs[gang].queue] = len(self.bound) + 1
            self.bound.append((bind.uid, bind.node))
        if gang in rooms:
            if rooms[gang] != before:
                self._hold(rooms[gang])
            self.cluster.rooms[gang] = rooms[gang]
        if self.cluster.ready(gang) >= max(1, self.cluster.gangs[gang].min_members):
            self.cluster.set_phase(gang, "Running")

    def _start(self, gang: str, need: Need, placed: list[PodSeen]) -> None:
        turn = self.reference.turn()
        if turn != gang:
            raise Disagreement(f"{gang} starts, but it is the turn of {turn}")
        full = [pod for pod in placed if not is_best_effort(pod.shape)]
        if sorted(repr(pod.shape) for pod in full) not in [sorted(map(repr, each)) for each in need.choices()]:
            raise Disagreement(f"{gang} starts with {[pod.name for pod in full]}, which is not its minimum")
        self.started.append(gang)

    def _grow(self, gang: str) -> None:
        """Surplus has its turn in the same order."""
        turn = self.reference.turn()
        if turn is not None and self.reference.key(turn) < self.reference.key(gang):
            raise Disagreement(f"{gang} grows, but it is the turn of {turn}")

    def _put(self, pod: PodSeen, node: str) -> None:
        nodes = Nodes(self.cluster)
        names = [fact.name for fact in nodes.facts]
        if not waits(pod) or pod.gated or node not in names or not nodes.fits(pod.shape, names.index(node)):
            raise Disagreement(f"{pod.name} may not be put on {node}")
        gang = self.cluster.gangs[str(pod.gang)]
        limited = over_limit(self.cluster, gang.queue, asks(pod.shape), {})
        if limited:
            raise Disagreement(f"{pod.name} is above a limit: {limited}")
        self.cluster.place(pod.uid, node)

    def _hold(self, rooms: list[tuple[str, ShapeSpec]]) -> None:
        nodes = Nodes(self.cluster)
        names = [fact.name for fact in nodes.facts]
        for node, shape in rooms:
            if node not in names or not nodes.fits(shape, names.index(node)):
                raise Disagreement(f"room for {shape} may not be held on {node}")
            nodes.put(shape, names.index(node))

    def _end(self) -> None:
        """Nobody is left who could start, or grow; and those who wait are where the reference has them."""
        self.reference.open_gate()
        turn = self.reference.turn()
        if turn is not None:
            way = self.reference.way(turn)
            raise Disagreement(f"{turn} is left waiting, but it fits: {way}; it is told {self.why(turn)}")
        for gang in self.cluster.gangs:
            if self.cluster.gangs[gang].queue in self.cluster.queues and self.reference.can_grow(gang):
                raise Disagreement(f"{gang} could have one more of its pods placed; it is told {self.why(gang)}")
        for gang, fact in self.cluster.gangs.items():
            phase = self.engine.state.gangs[gang].phase
            if (phase == "Pending") != (fact.phase == "Pending") and fact.queue in self.cluster.queues:
                raise Disagreement(f"{gang} is {phase} here, and {fact.phase} by the rules")

    def why(self, gang: str) -> str:
        """What the engine says."""
        explanation = self.engine.explain(gang)
        return explanation.message if explanation else "nothing"


def crowded_out(judge: Judge) -> list[str]:
    """Gangs left waiting for room only because those that started stand where they stand.

    All that has started could have been put elsewhere so that one more gang would fit: what is lost by placing one gang
    after the other, each where it packs best.
    """
    cluster = Cluster(judge.facts)
    new = [cluster.pods[uid].shape for uid, _ in judge.bound]
    new += [shape for rooms in judge.cluster.rooms.values() for _, shape in rooms]
    lost = []
    for gang in judge.cluster.gangs:
        fact = judge.cluster.gangs[gang]
        need = Need(judge.cluster, gang)
        waits_for_room = fact.phase == "Inqueue" and not need.nothing and not need.incomplete
        if waits_for_room and fact.queue in judge.cluster.queues and judge.reference.within_limits(gang):
            ways = ([*new, *pods, *need.reserve] for pods in need.choices())
            if any(Nodes(cluster).pack(shapes) is not None for shapes in ways):
                lost.append(gang)
    return lost


def at_once(facts: list[Event]) -> list[tuple[str, str]]:
    """What another engine binds in one go: it must be the same as step by step."""
    engine = Engine(validate=True)
    engine.observe([*facts, Synced()])
    bound: list[tuple[str, str]] = []
    plan = engine.cycle(Tick(1_000, 10_000))
    while plan.decisions or plan.more:
        bound += [(each.uid, each.node) for each in plan.decisions if isinstance(each, Bind)]
        plan = engine.cycle(Tick(1_000, 10_000))
    return bound
