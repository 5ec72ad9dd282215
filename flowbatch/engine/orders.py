"""Orders out: who is bound where, with which steps before, and who is to go."""

import msgspec

from flowbatch.engine.counters import Counters
from flowbatch.engine.decisions import Bind, Evict, Release, Step
from flowbatch.engine.guard import Guard
from flowbatch.engine.outbox import Outbox
from flowbatch.model.asks import DeviceAsk
from flowbatch.model.devices import Bank, fullest
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import GangId
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Floats
from flowbatch.model.view import View
from flowbatch.policy import cpuids, deviceids
from flowbatch.policy.policy import Policy


class Orders:
    """Writes orders, and notes in the state that they are out."""

    def __init__(self, state: ClusterState, view: View, guard: Guard, counters: Counters, outbox: Outbox) -> None:
        self._state = state
        self._view = view
        self._guard = guard
        self._counters = counters
        self._outbox = outbox

    def adopt(self, policy: Policy) -> None:
        """Under another policy there may be other steps before a pod is bound, and other devices are better."""
        self._policy = policy
        self._state.devices.order = self._rank_devices

    def bind(self, gang: Gang, task: Task) -> None:
        """Its place is decided: tell it."""
        self._counters.binds += 1
        node = task.node
        assert node is not None
        steps: list[Step] = []
        for source in self._policy.steps:
            steps.extend(self._guard.call(source, source.steps, (), task, node, self._view))
        if said := self._pieces(task, node):
            patch = {"metadata": {"uid": task.fact.uid, "annotations": said}}
            steps.append(Step("patch", "devices" if task.devices else "cpus", msgspec.json.encode(patch).decode()))
        fact = task.fact
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

    def release(self, gang: Gang) -> None:
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
