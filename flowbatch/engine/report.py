"""Why a gang waits, in words and numbers: for PodGroup conditions, pod conditions and `flowbatch why`.

Texts follow Volcano ("x/y tasks in gang unschedulable: ...") and kube-scheduler ("0/12 nodes are available: ..."),
because people search for those; what they leave out (how much is short, which limit, whether it can ever fit) is added.
"""

import msgspec
import numpy as np

from flowbatch.engine.decisions import NOWHERE, Report, TaskReport
from flowbatch.engine.domains import placed_rows
from flowbatch.engine.fits import Fits
from flowbatch.engine.moment import Moment
from flowbatch.engine.reasons import Reasons, format_amount, format_amounts, opening
from flowbatch.model.blockers import (
    Behind,
    Blocker,
    Gated,
    NeedsAnswer,
    NeedsCapacity,
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
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Amounts, GangId, HyperNodeName, PodUid, QueueName, Row
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.resources import AMOUNT_MAX, PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState

#: Broken HyperNodes that one reason names.
PROBLEMS_TOLD = 3


#: Nodes of a reservation that are told by name.
NAMED = 4


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything `flowbatch why` can say about a gang, current at the moment of asking."""

    gang: GangId
    phase: str
    queue: QueueName | None
    blocker: str
    message: str
    #: What would start it, in words; empty if it runs or only needs its turn.
    cure: str = ""
    #: It cannot start whatever ends: nodes or limits would have to change.
    hopeless: bool = False
    #: What it lacks, by resource, where that is known.
    short: Amounts = ()
    #: Gangs of its queue that come first and wait too.
    behind: tuple[GangId, ...] = ()
    members: int = 0
    ready: int = 0
    pending: int = 0
    gated: int = 0
    held_back: int = 0
    min_members: int = 0
    #: Per task of the gang: what nodes say about its shape.
    tasks: tuple[TaskReport, ...] = ()


class Words:
    """Blockers in words. Reads the state, changes nothing."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits
        self._reasons = Reasons(state, fits)
        self._moment = Moment(state, fits)

    def fresh(self) -> None:
        """Counts of nodes are current only for one moment."""
        self._reasons = Reasons(self._state, self._fits)

    def why(self, blocker: Blocker, gang: Gang) -> str:
        """One sentence with numbers, and another where it was looked for pods to evict."""
        return self._why(blocker, gang) + _spared(getattr(blocker, "spared", ()))

    def _why(self, blocker: Blocker, gang: Gang) -> str:
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
                who = "volumes leave" if isinstance(blocker, NeedsVolume) else "other pods (affinity, spread) leave"
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
        return f"{whole}; {best} for {blocker.fits} of {blocker.needs} pods{wrong}"

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
        return self._reasons.text(shape, gang) if shape is not None else ""

    def message(self, gang: Gang, blocker: Blocker) -> str:
        """The PodGroup condition's message."""
        waiting = len(gang.pending) + gang.gated
        total = max(len(gang.tasks), gang.min_members)
        return f"{waiting or total}/{total} tasks in gang unschedulable: {self.why(blocker, gang)}"

    def tasks(self, gang: Gang, blocker: Blocker) -> tuple[TaskReport, ...]:
        """Pending pods by task and shape, each with what it should say."""
        placing = isinstance(blocker, NeedsCapacity | NeedsNode | NeedsPeers)
        groups: dict[tuple[str, int], list[Task]] = {}
        for task in gang.pending.values():
            groups.setdefault((task.fact.task, task.shape.id), []).append(task)
        reports: list[TaskReport] = []
        for (name, _), tasks in sorted(groups.items()):
            text = self._reasons.text(tasks[0].shape, gang) if placing else self.why(blocker, gang)
            pods: list[tuple[PodUid, str, str]] = [
                (task.fact.uid, task.fact.namespace, task.fact.name)
                for task in sorted(tasks, key=lambda task: (task.fact.index, task.fact.uid))
            ]
            reports.append(TaskReport(name, text, tuple(pods)))
        return tuple(reports)

    def explain(self, gang: Gang, blocker: Blocker | None, behind: tuple[GangId, ...]) -> Explanation:
        """Everything there is to say."""
        blocker = self._moment.current(blocker, gang) if blocker else None
        return Explanation(
            gang=gang.id,
            phase=gang.phase,
            queue=gang.fact.queue if gang.fact else None,
            blocker=blocker.name if blocker else "",
            message=self._message(gang, blocker, behind) if blocker else self._fine(gang),
            cure=self.cure(blocker) if blocker else "",
            hopeless=getattr(blocker, "hopeless", isinstance(blocker, NeedsNode)),
            short=self._short(gang, blocker),
            behind=behind,
            members=len(gang.tasks),
            ready=gang.ready,
            pending=len(gang.pending),
            gated=gang.gated,
            held_back=gang.held_back,
            min_members=gang.min_members,
            tasks=self.tasks(gang, blocker) if blocker else (),
        )

    def _message(self, gang: Gang, blocker: Blocker, behind: tuple[GangId, ...]) -> str:
        first = f" (the first is {behind[0]})" if isinstance(blocker, Behind) and behind else ""
        return self.message(gang, blocker) + first

    def _short(self, gang: Gang, blocker: Blocker | None) -> Amounts:
        if not isinstance(blocker, NeedsCapacity):
            return tuple(getattr(blocker, "short", ()))
        shape = tight_shape(gang, blocker)
        missing = blocker.needs - blocker.fits
        return self._state.axes.amounts({a: n * missing for a, n in shape.request if a != PODS}) if shape else ()

    @staticmethod
    def _fine(gang: Gang) -> str:
        return f"{gang.ready} of {max(len(gang.tasks), gang.min_members)} members have their place"

    def cure(self, blocker: Blocker) -> str:
        """What would start it."""
        match blocker:
            case NeedsGang():
                return "create the PodGroup"
            case NeedsMembers(have=have, need=need):
                return f"{need - have} more pods"
            case Gated():
                return "removal of scheduling gates"
            case NeedsNamespaceQuota(quota=quota, short=short, hopeless=hopeless):
                what = "more in" if hopeless else "jobs that end, or more in,"
                return f'{what} ResourceQuota "{quota}": {format_amounts(short)}'
            case NeedsHeadroom(short=short, hopeless=hopeless):
                return "larger or more nodes" if hopeless else f"jobs that end and free {format_amounts(short)}"
            case NeedsTime(until=until):
                return f"time: {until} ms"
            case _:
                return self._cure_of_nodes(blocker) or self._queue_cure(blocker)

    @staticmethod
    def _cure_of_nodes(blocker: Blocker) -> str:
        """What nodes, or those on them, would have to do."""
        match blocker:
            case NeedsNode():
                return "a node that admits the pods (labels, taints, cordon)"
            case (
                NeedsCapacity(fits=fits, needs=needs, hopeless=hopeless)
                | NeedsTopology(fits=fits, needs=needs, hopeless=hopeless)
            ):
                where = f" {blocker.limit}" if isinstance(blocker, NeedsTopology) else ""
                return f"{'larger or more nodes with room' if hopeless else 'room'} for {needs - fits} more pods{where}"
            case NeedsVolume():
                return "a claim, volume or storage class that comes or changes"
            case NeedsPeers(fits=fits, needs=needs):
                return f"pods that come or go as the affinity and spread rules of {needs - fits} more pods ask"
            case NeedsRoom(pods=pods):
                return f"the end of {pods} pods that were told to go; their room is kept for it"
            case NeedsTime(until=until):
                return f"time: {until} ms"
            case _:
                return ""

    @staticmethod
    def _queue_cure(blocker: Blocker) -> str:
        match blocker:
            case QueueMissing(queue=queue):
                return f'create queue "{queue}"'
            case QueueClosed(queue=queue):
                return f'open queue "{queue}"'
            case Behind():
                return "the gangs before it to start or to leave"
            case QueueNotLeaf(queue=queue):
                return f'a queue below "{queue}" to go to'
            case NeedsQuota(queue=queue, short=short, hopeless=hopeless):
                what = "a higher limit" if hopeless else "a higher limit, or jobs that end,"
                return f'{what} in queue "{queue}" by {format_amounts(short)}'
            case _:
                return ""

    def report(self, gang: Gang, blocker: Blocker | None) -> Report:
        """What the PodGroup should say now."""
        if blocker is None:
            text = name = reason = ""
        else:
            blocker = self._moment.current(blocker, gang)
            text, name, reason = self.message(gang, blocker), blocker.name, condition_reason(blocker)
        return Report(
            gang.id,
            gang.phase,
            name,
            reason,
            text,
            self.tasks(gang, blocker) if blocker else (),
            gang.count(TaskState.RUNNING),
            gang.count(TaskState.SUCCEEDED),
            gang.count(TaskState.FAILED),
            self._home(gang),
        )

    def _home(self, gang: Gang) -> HyperNodeName:
        """The lowest domain with all that have their place; the old one while nobody has."""
        fact, index = gang.fact, self._state.topology.index
        if fact is None or not (fact.reach or fact.sub_groups):
            return NOWHERE
        rows = placed_rows(gang.tasks.values())
        holding = np.flatnonzero(index.holding(rows, self._state.table.size)) if rows.size else rows
        return index.domains[int(holding[0])].name if holding.size else fact.home


def shapes_of(gang: Gang) -> list[Shape]:
    """Shapes of what waits, and of members to come."""
    shapes = {task.shape.id: task.shape for task in gang.pending.values()}
    for role in gang.roles.values():
        if role.shape is not None:
            shapes.setdefault(role.shape.id, role.shape)
    return list(shapes.values())


def tight_shape(gang: Gang, blocker: Blocker) -> Shape | None:
    """The shape that the blocker's numbers are about: the first it names."""
    named = getattr(blocker, "shapes", (getattr(blocker, "shape", None),))
    known = {shape.id: shape for shape in shapes_of(gang)}
    return next((known[shape] for shape in named if shape in known), None)


def condition_reason(blocker: Blocker) -> str:
    """The PodGroup condition's reason, in Volcano's words."""
    if isinstance(blocker, NeedsMembers):
        return "NotEnoughPodsOfTask" if blocker.task else "NotEnoughTasks"
    return "NotEnoughResources"


def _spared(spared: Spared) -> str:
    """Why those who run are not evicted for it; nothing where nobody looked."""
    counts = ", ".join(f"{count} {reason}" for reason, count in spared)
    return f" (nobody may be evicted for it: {counts})" if counts else ""
