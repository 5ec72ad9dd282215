"""Why a gang waits, in words and numbers: for PodGroup conditions, pod conditions and `flowbatch why`.

Texts follow Volcano ("x/y tasks in gang unschedulable: ...") and kube-scheduler ("0/12 nodes are available: ..."),
because people search for those; what they leave out (how much is short, which limit, whether it can ever fit) is added.
"""

import msgspec
import numpy as np

from flowbatch.engine.cures import cure
from flowbatch.engine.decisions import NOWHERE, Report, TaskReport
from flowbatch.engine.domains import placed_rows
from flowbatch.engine.fits import Fits
from flowbatch.engine.moment import Moment
from flowbatch.engine.why import Why, tight_shape
from flowbatch.model.blockers import Behind, Blocker, NeedsCapacity, NeedsMembers, NeedsNode, NeedsPeers
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Amounts, GangId, HyperNodeName, PodUid, QueueName
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.resources import PODS
from flowbatch.model.state import ClusterState


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
    """What there is to say about gangs. Reads the state, changes nothing."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._why = Why(state, fits)
        self._moment = Moment(state, fits)

    def fresh(self) -> None:
        """Counts of nodes are current only for one moment."""
        self._why.fresh()

    def message(self, gang: Gang, blocker: Blocker) -> str:
        """The PodGroup condition's message."""
        waiting = len(gang.pending) + gang.gated
        total = max(len(gang.tasks), gang.min_members)
        return f"{waiting or total}/{total} tasks in gang unschedulable: {self._why.text(blocker, gang)}"

    def tasks(self, gang: Gang, blocker: Blocker) -> tuple[TaskReport, ...]:
        """Pending pods by task and shape, each with what it should say."""
        placing = isinstance(blocker, NeedsCapacity | NeedsNode | NeedsPeers)
        groups: dict[tuple[str, int], list[Task]] = {}
        for task in gang.pending.values():
            groups.setdefault((task.fact.task, task.shape.id), []).append(task)
        reports: list[TaskReport] = []
        for (name, _), tasks in sorted(groups.items()):
            text = self._why.reasons.text(tasks[0].shape, gang) if placing else self._why.text(blocker, gang)
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
            cure=cure(blocker) if blocker else "",
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

    def _fine(self, gang: Gang) -> str:
        text = f"{gang.ready} of {max(len(gang.tasks), gang.min_members)} members have their place"
        nodes = ", ".join(self._state.node_at[berth.row].name for berth in gang.berths)
        return f"{text}; {len(gang.berths)} that move have theirs kept: {nodes}" if nodes else text

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


def condition_reason(blocker: Blocker) -> str:
    """The PodGroup condition's reason, in Volcano's words."""
    if isinstance(blocker, NeedsMembers):
        return "NotEnoughPodsOfTask" if blocker.task else "NotEnoughTasks"
    return "NotEnoughResources"
