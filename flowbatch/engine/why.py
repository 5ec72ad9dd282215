"""Why a gang waits, in one sentence with numbers."""

from flowbatch.engine.fits import Fits
from flowbatch.engine.reasons import Reasons, format_amount, format_amounts, opening
from flowbatch.model.blockers import (
    Behind,
    Blocker,
    Gated,
    NeedsAnswer,
    NeedsCapacity,
    NeedsDevices,
    NeedsGang,
    NeedsHeadroom,
    NeedsMembers,
    NeedsNamespaceQuota,
    NeedsNode,
    NeedsPeers,
    NeedsQuota,
    NeedsRoom,
    NeedsTime,
    NeedsTopology,
    NeedsVolume,
    QueueClosed,
    QueueMissing,
    QueueNotLeaf,
    Refused,
    Spared,
)
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import QueueName, Row, ShapeId
from flowbatch.model.resources import AMOUNT_MAX, PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState

#: Broken HyperNodes that one reason names.
PROBLEMS_TOLD = 3
#: Nodes of a reservation that are told by name.
NAMED = 4


class Why:
    """Blockers in words. Reads the state, changes nothing."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits
        self.reasons = Reasons(state, fits)

    def fresh(self) -> None:
        """Counts of nodes are current only for one moment."""
        self.reasons = Reasons(self._state, self._fits)

    def text(self, blocker: Blocker, gang: Gang) -> str:
        """One sentence with numbers, and another where it was looked for pods to evict."""
        return self._sentence(blocker, gang) + _spared(getattr(blocker, "spared", ()))

    def _sentence(self, blocker: Blocker, gang: Gang) -> str:
        match blocker:
            case NeedsQuota():
                return self._quota(blocker)
            case NeedsHeadroom():
                return self._headroom(blocker, gang)
            case NeedsNamespaceQuota():
                return self._namespace_quota(blocker)
            case NeedsNode():
                return f"no node will do, even empty. {self._nodes(gang, blocker)}"
            case NeedsCapacity():
                return self._capacity(blocker, gang)
            case NeedsTopology():
                return self._topology(blocker, gang)
            case NeedsPeers(fits=fits, needs=needs):
                who = _who_leaves(blocker)
                return f"{who} a place for {fits} of {needs} pods. {self._nodes(gang, blocker)}"
            case NeedsRoom(pods=pods, nodes=nodes):
                return f"waits for {pods} pods to leave on {nodes} nodes"
            case NeedsTime(until=until, why=why):
                return why or f"not before {until} ms"
            case NeedsAnswer(question=question):
                return f"waits for an answer to: {question}"
            case Refused(policy=policy, why=why):
                return f"policy {policy} refuses: {why}"
            case _:
                return self._absent(blocker)

    def _absent(self, blocker: Blocker) -> str:
        """Something that must exist does not."""
        match blocker:
            case NeedsGang():
                return "its PodGroup does not exist"
            case QueueMissing(queue=queue):
                return f'queue "{queue}" does not exist'
            case QueueClosed(queue=queue, state=state):
                return f'queue "{queue}" is {state} and admits nothing new{self._misread(queue)}'
            case Behind(queue=queue):
                return f'it waits behind others: queue "{queue}" is fifo, and one that comes first cannot go on'
            case QueueNotLeaf(queue=queue, child=child):
                return f'queue "{queue}" has queues below it ("{child}"): gangs belong in those'
            case NeedsMembers(have=have, need=need, task=task):
                of = f' of task "{task}"' if task else ""
                return f"only {have} of the {need} pods{of} that must start together exist"
            case Gated(gated=gated, ungated=ungated, need=need):
                return f"{gated} pods have scheduling gates, {ungated} have none; {need} must start together"
            case _:
                return blocker.name

    def _misread(self, name: QueueName) -> str:
        """What could not be understood of a queue, where that is why it is shut."""
        queue = self._state.queues.by_name.get(name)
        problems = queue.fact.problems if queue and queue.fact else ()
        return f" ({'; '.join(problems)})" if problems else ""

    def _quota(self, blocker: NeedsQuota) -> str:
        axes, queue = self._state.axes, self._state.queues.by_name.get(blocker.queue)
        held = blocker.holds or (axes.amounts(queue.held()) if queue else ())
        named = dict(blocker.short)
        holds = format_amounts(tuple((name, units) for name, units in held if name in named and units))
        whose = f"limit of {blocker.owner}" if blocker.owner else blocker.limit
        text = f'short {format_amounts(blocker.short)} in queue "{blocker.queue}" ({whose}; it holds {holds})'
        return f"it can never fit the limits of its queue: {text}" if blocker.hopeless else text

    @staticmethod
    def _namespace_quota(blocker: NeedsNamespaceQuota) -> str:
        needs, hard, taken = (format_amounts(each) for each in (blocker.needs, blocker.hard, blocker.taken))
        where = f'ResourceQuota "{blocker.quota}" of namespace "{blocker.namespace}"'
        if blocker.hopeless:
            return f"it can never fit {where}: it asks for {needs}, hard is {hard}"
        return (
            f"short {format_amounts(blocker.short)} in {where}: it asks for {needs}; of hard {hard}, {taken} is taken"
        )

    def _headroom(self, blocker: NeedsHeadroom, gang: Gang) -> str:
        needs, total = format_amounts(blocker.needs), format_amounts(blocker.total) or "none of it"
        if not blocker.hopeless:
            short, taken = format_amounts(blocker.short), format_amounts(blocker.taken)
            return f"short {short}: it asks for {needs}; of the cluster's {total}, {taken} is taken"
        if not any(self._state.table.largest().values()):
            return f"short {needs}: the cluster has no nodes"
        for shape in shapes_of(gang):
            if self._above_every_node(shape):
                return f"it can never fit: {self._larger_than_any(shape)}"
        return f"it can never fit: it asks for {needs}, the whole cluster has {total}"

    def _above_every_node(self, shape: Shape) -> bool:
        most = self._state.table.largest()
        return any(amount > most.get(axis, 0) for axis, amount in shape.request)

    def _capacity(self, blocker: NeedsCapacity, gang: Gang) -> str:
        nodes = self._nodes(gang, blocker)
        if not blocker.hopeless:
            return f"room for {blocker.fits} of {blocker.needs} pods. {nodes}{self._reserved(gang)}"
        if not blocker.most:
            shape = tight_shape(gang, blocker)
            if shape is not None and not self._above_every_node(shape):
                return f"it can never fit: no node that is ready and admits it is large enough. {nodes}"
            return f"it can never fit: {self._larger_than_any(shape)}. {nodes}"
        return f"it can never fit: empty nodes would hold {blocker.most} of {blocker.needs} pods. {nodes}"

    def _topology(self, blocker: NeedsTopology, gang: Gang) -> str:
        """Which domain comes closest, and what is wrong with the tree where something is."""
        whole = f"sub-group {blocker.group} must be {blocker.limit}" if blocker.group else f"must be {blocker.limit}"
        wrong = self._wrong()
        if not blocker.domain:
            there = "; none holds the members that run" if gang.live else "; there is none with nodes"
            return f"{whole}{there}{wrong}"
        best = f"the fullest-fitting domain {blocker.domain} of tier {blocker.tier} has room"
        if blocker.hopeless:
            return f"{whole}; it can never fit: the largest would hold {blocker.most} of {blocker.needs} pods{wrong}"
        return f"{whole}; {best} for {blocker.fits} of {blocker.needs} pods{wrong}{self._reserved(gang)}"

    def _wrong(self) -> str:
        """What is wrong with the tree of HyperNodes; the first few of it."""
        problems = [f"HyperNode {name}: {text}" for name, text in self._state.topology.problems().items()]
        more = f"; and {len(problems) - PROBLEMS_TOLD} more" if len(problems) > PROBLEMS_TOLD else ""
        return f" ({'; '.join(problems[:PROBLEMS_TOLD])}{more})" if problems else ""

    def _reserved(self, gang: Gang) -> str:
        """What is kept for it, and from when on."""
        window = self._state.windows.by_gang.get(gang.id)
        if window is None:
            return ""
        names = [str(self._state.node_at[Row(row)].name) for row in window.rows[:NAMED].tolist()]
        if window.rows.size > NAMED:
            names.append("...")
        return f" It has {window.rows.size} nodes reserved {opening(window)}: {', '.join(names)}."

    def _larger_than_any(self, shape: Shape | None) -> str:
        names, most = self._state.axes.names, self._state.table.largest()
        asked = [(axis, amount) for axis, amount in shape.request if axis != PODS] if shape else []
        above = [(axis, amount) for axis, amount in asked if amount > most.get(axis, 0)] or asked
        pod = format_amounts(tuple((names[axis], min(amount, AMOUNT_MAX)) for axis, amount in above))
        node = ", ".join(format_amount(names[axis], most.get(axis, 0)) for axis, _ in above)
        return f"one pod asks for {pod}, the largest node has {node}"

    def _nodes(self, gang: Gang, blocker: Blocker) -> str:
        shape = tight_shape(gang, blocker)
        return self.reasons.text(shape, gang) if shape is not None else ""


def shapes_of(gang: Gang) -> list[Shape]:
    """Shapes of what waits, and of members to come."""
    shapes = {task.shape.id: task.shape for task in gang.pending.values()}
    for role in gang.roles.values():
        if role.shape is not None:
            shapes.setdefault(role.shape.id, role.shape)
    return list(shapes.values())


def tight_shape(gang: Gang, blocker: Blocker) -> Shape | None:
    """The shape that the blocker's numbers are about: the first it names."""
    named: tuple[ShapeId, ...] = getattr(blocker, "shapes", ()) or (getattr(blocker, "shape", ShapeId(-1)),)
    known = {shape.id: shape for shape in shapes_of(gang)}
    return next((known[shape] for shape in named if shape in known), None)


def _who_leaves(blocker: NeedsPeers) -> str:
    """What decides where there is a place, as the subject of a sentence."""
    if isinstance(blocker, NeedsDevices):
        return "claims to devices leave"
    return "volumes leave" if isinstance(blocker, NeedsVolume) else "other pods (affinity, spread) leave"


def _spared(spared: Spared) -> str:
    """Why those who run are not evicted for it; nothing where nobody looked."""
    counts = ", ".join(f"{count} {reason}" for reason, count in spared)
    return f" (nobody may be evicted for it: {counts})" if counts else ""
