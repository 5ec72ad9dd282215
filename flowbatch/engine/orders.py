"""Orders out: who is bound where, with which steps before, and who is to go."""

import msgspec

from flowbatch.engine.counters import Counters
from flowbatch.engine.decisions import Bind, Evict, Release, Step, Ungate
from flowbatch.engine.guard import Guard
from flowbatch.engine.outbox import Outbox
from flowbatch.engine.standing import Part
from flowbatch.model.asks import DeviceAsk
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsNode, NeedsPeers, NeedsTopology
from flowbatch.model.devices import Bank, fullest
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import GangId, PodUid
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.steps import QUEUE_GATE
from flowbatch.model.table import Floats
from flowbatch.model.view import View
from flowbatch.policy import cpuids, deviceids
from flowbatch.policy.policy import Policy

#: What nodes lack, and not what queues allow: limits are asked first.
LACKING_NODES = NeedsCapacity | NeedsNode | NeedsPeers | NeedsTopology
#: Pods that are remembered as having been let go through their queue's gate.
REMEMBERED = 100_000


class Orders:
    """Writes orders, and notes in the state that they are out."""

    def __init__(self, state: ClusterState, view: View, guard: Guard, counters: Counters, outbox: Outbox) -> None:
        self._state = state
        self._view = view
        self._guard = guard
        self._counters = counters
        self._outbox = outbox
        self._ungated: dict[PodUid, None] = {}

    def adopt(self, policy: Policy) -> None:
        """Under another policy there may be other steps before a pod is bound, and other devices are better."""
        self._policy = policy
        self._state.devices.order = self._rank_devices

    def bind(self, gang: Gang, task: Task) -> None:
        """Its place is decided: tell it."""
        self._counters.binds += 1
        if gang.queue is not None:
            self._state.serve(gang.queue)
        node = task.node
        assert node is not None
        steps: list[Step] = []
        for source in self._policy.steps:
            steps.extend(self._guard.call(source, source.steps, (), task, node, self._view))
        if said := self._pieces(task, node):
            patch = {"metadata": {"uid": task.fact.uid, "annotations": said}}
            steps.append(Step("patch", "devices" if task.devices else "cpus", msgspec.json.encode(patch).decode()))
        fact = task.fact
        if fact.queue_gate:
            steps.append(Step("gate", QUEUE_GATE))
        self._outbox.bind(Bind(fact.uid, fact.namespace, fact.name, node.name, gang.id, tuple(steps)))

    def evict(self, task: Task, reason: str, beneficiary: GangId | None) -> None:
        """It is to go, for the sake of `beneficiary` if there is one."""
        self._counters.evictions += 1
        self._state.move(task, Stimulus.EVICT)
        task.told_at, task.beneficiary = self._view.now, beneficiary
        if task.gang is not None:
            self._state.changes.gangs[task.gang.id] = task.gang
        fact = task.fact
        self._outbox.evict(Evict(fact.uid, fact.namespace, fact.name, reason, beneficiary))

    def let_wait(self, gang: Gang, parts: list[Part], blocker: Blocker | None) -> None:
        """A gang that found no place: what others must know of that, or must do."""
        if isinstance(blocker, LACKING_NODES):
            self._ungate(gang, parts)
        if blocker is not None and self._state.device_claims.claims:
            self._release(gang)

    def _ungate(self, gang: Gang, parts: list[Part]) -> None:
        """Their queue has room for them and no node has: those who bring nodes may see them (Volcano: gate removal)."""
        if len(self._ungated) > REMEMBERED:
            self._ungated.clear()
        for part in parts:
            for task in part.tasks[: part.must or 1]:
                fact = task.fact
                if fact.queue_gate and fact.uid not in self._ungated:
                    self._ungated[fact.uid] = None
                    self._outbox.ungate(Ungate(fact.uid, fact.namespace, fact.name, gang.id))

    def gate_stayed(self, task: Task) -> None:
        """It could not be taken off: once more, when its gang is tried again."""
        if self._ungated.pop(task.uid, True) is None and task.gang is not None:
            self._state.changes.gangs[task.gang.id] = task.gang

    def _release(self, gang: Gang) -> None:
        """It waits: what its claims were given for a place that came to nothing must not keep it from others."""
        claims, tasks = self._state.device_claims, self._state.tasks
        for claim in dict.fromkeys(claim for task in gang.pending.values() for claim in task.fact.device_claims):
            fact = claims.claims.get(claim)
            if fact is None or fact.given is None or claim in claims.users or claim in claims.releasing:
                continue
            waiting = [tasks[uid] for uid in fact.reserved if uid in tasks and tasks[uid].node is None]
            if len(waiting) == len(fact.reserved):
                claims.releasing[claim] = None
                self._outbox.release(Release(claim, fact.uid, tuple((each.uid, each.fact.name) for each in waiting)))

    def _pieces(self, task: Task, node: Node) -> dict[str, str]:
        """The pod must know its devices before its node sees it, and a restarted scheduler must read them there.

        Its kubelet chooses cpus by itself, in the same way; they are written for whoever counts or pins them.
        """
        said: dict[str, str] = {}
        if task.devices:
            said |= deviceids.written(task.shape.spec.devices, task.devices, node.name, self._view.now)
        if task.cpus and (layout := self._state.numa.layout(node.row)) is not None:
            said |= cpuids.decision(layout, task.cpus)
        return said

    def _rank_devices(self, shape: Shape, ask: DeviceAsk, bank: Bank) -> Floats:
        """The policy's word on which device of a node is better, or best fit."""
        order = self._policy.devices
        keys = self._guard.call(order, order.key, None, shape, ask, bank, self._view) if order is not None else None
        return fullest(shape, ask, bank) if keys is None else keys
