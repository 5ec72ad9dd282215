"""Cluster truth, from facts. Each `observe_*` takes in what a thing now is, each `forget_*` that it is gone.

There is one writer, the engine. Facts may come in any order, more than once, and with gaps: the books end up the same.
"""

from flowbatch.model.facts import BudgetSeen, DeclaredTask, GangSeen, PodSeen
from flowbatch.model.gangs import PLACED, Gang, Role, Task
from flowbatch.model.ids import EPOCH, BudgetId, GangId, Instant, NodeName, PodUid
from flowbatch.model.lifecycle import FINISHED, Stimulus, TaskState, next_state
from flowbatch.model.queuefacts import QueueFacts

#: Nodes remembered as having refused one task.
REFUSALS_KEPT = 4


class ClusterState(QueueFacts):
    """Everything known about the cluster. Change it only through its methods; here are gangs, pods and budgets."""

    # -- gangs

    def observe_gang(self, fact: GangSeen) -> None:
        """A PodGroup as it now is."""
        gang = self._gang(fact.id)
        before = gang.fact
        if before == fact:
            return
        self.changes.gangs[gang.id] = gang
        moved = before is not None and before.user != fact.user and gang.queue is not None and gang.queue.limits_owners
        if moved and gang.queue is not None:
            # Another owner: what it holds is counted there.
            self._charge_gang(gang, gang.queue, -1)
        gang.fact = fact
        gang.minimum = tuple(sorted(self.axes.sums(fact.min_resources).items())) if fact.min_resources else ()
        if moved and gang.queue is not None:
            self._charge_gang(gang, gang.queue, 1)
            self.ease(gang.queue)
        if before is None or before.uid != fact.uid:
            # The phase on the wire counts only when we first hear of it: later, ours is newer.
            gang.phase = fact.phase or "Pending"
            gang.short_since = None
            if before is not None:
                self.unreserve(gang)
                self.unclaim(gang)
                self.give_up_berths(gang)
        if gang.queue is None or gang.queue.name != fact.queue:
            self._enqueue(gang, self.queues.named(fact.queue))
        elif before is not None and before.min_resources != fact.min_resources:
            self.ease(gang.queue)
        self._declare(gang, fact)

    def _declare(self, gang: Gang, fact: GangSeen) -> None:
        declared = {task.name: task for task in fact.declared}
        for name in declared:
            self._role(gang, name)
        for name, role in list(gang.roles.items()):
            task = declared.get(name)
            if role.declared == task:
                continue
            self._set_declared(gang, role, task)
            self._drop_role_if_idle(gang, role)

    def _set_declared(self, gang: Gang, role: Role, task: DeclaredTask | None) -> None:
        shape, kind = role.shape, role.kind
        role.declared, role.shape, role.kind = task, None, None
        if task is not None:
            if task.labels:
                role.kind = self.peers.declare(gang.id.partition("/")[0], task.labels)
            role.shape = self.shapes.acquire(task.shape, role.kind)
        if shape is not None:
            self.shapes.release(shape)
        if kind is not None:
            self.peers.undeclare(kind)
        if self.peers.fresh:
            self.reshape()

    def forget_gang(self, gang_id: GangId) -> None:
        """The PodGroup is gone; pods that still name it keep what they hold, on nobody's account."""
        gang = self.gangs.get(gang_id)
        if gang is None or gang.fact is None:
            return
        self.changes.gangs[gang_id] = gang
        self.unreserve(gang)
        self.unclaim(gang)
        self.give_up_berths(gang)
        self.set_promises(gang, {}, {})
        self.set_awaited(gang, {})
        self._enqueue(gang, None)
        gang.fact = None
        gang.minimum = ()
        gang.phase = ""
        gang.short_since = None
        for role in list(gang.roles.values()):
            self._set_declared(gang, role, None)
            self._drop_role_if_idle(gang, role)
        self._drop_gang_if_idle(gang)

    # -- pods

    def observe_pod(self, fact: PodSeen) -> None:
        """A pod as it now is. Without a gang and without a node it is nobody's business here."""
        task = self.tasks.get(fact.uid)
        if task is None:
            if fact.gang is None and fact.node is None:
                return
            task = self._add(fact)
        elif task.fact == fact:
            return
        else:
            self._refresh(task, fact)
        place = task.node if task.state in PLACED else None
        if fact.node is not None:
            self._seen_on(task, fact.node)
            if fact.devices:
                self._hold_devices(task, fact.devices)
            self._hold_cpus(task)
        self._move(task, stimulus_of(fact), task.node)
        if place is not None and task.state is TaskState.SUCCEEDED and task.gang is not None and task.gang.held_back:
            self.bequeath(task, place)
        if fact.deleting and self.budgets:
            self.budgets.settle(fact.uid)
        if task.gang:
            self.changes.gangs[task.gang.id] = task.gang

    def forget_pod(self, uid: PodUid) -> None:
        """The pod is gone, whatever it was doing."""
        task = self.tasks.get(uid)
        if task is not None:
            self._remove(task)

    def refuse(self, uid: PodUid, node: NodeName, *, permanent: bool) -> None:
        """An order to bind failed: take the capacity back; a permanent refusal drops the task until seen again."""
        task = self.tasks.get(uid)
        if task is None or task.confirmed or task.node is None or task.node.name != node:
            return
        if permanent:
            self._remove(task)
            return
        task.refused = (*task.refused, node)[-REFUSALS_KEPT:]
        if task.state is TaskState.RELEASING:
            self._vacate(task)
        self._move(task, Stimulus.REFUSED, None if task.state is not TaskState.RELEASING else task.node)
        if task.gang:
            self.changes.gangs[task.gang.id] = task.gang

    def give_back(self, uid: PodUid) -> None:
        """The engine thought better of a place that it held: the pod waits again, and may be placed anywhere."""
        task = self.tasks.get(uid)
        if task is None or task.confirmed or task.node is None or task.state is TaskState.RELEASING:
            return
        self._move(task, Stimulus.REFUSED, None)
        if task.gang:
            self.changes.gangs[task.gang.id] = task.gang

    def spare(self, uid: PodUid, until: Instant = EPOCH) -> Gang | None:
        """An eviction was refused: the pod stays what its last fact says. Returns whom it should have made room for."""
        task = self.tasks.get(uid)
        if task is None or task.state is not TaskState.RELEASING or task.fact.deleting:
            return None
        self._move(task, Stimulus.SPARED, task.node)
        self._move(task, stimulus_of(task.fact), task.node)
        beneficiary, task.told_at, task.beneficiary = task.beneficiary, None, None
        task.spared_until = until
        if task.gang:
            self.changes.gangs[task.gang.id] = task.gang
        return self.gangs.get(beneficiary) if beneficiary else None

    def _add(self, fact: PodSeen) -> Task:
        kind = self.peers.kind(fact.namespace, fact.labels)
        task = Task(fact, self.shapes.acquire(fact.shape, kind), kind=kind)
        self.tasks[fact.uid] = kind.tasks[fact.uid] = task
        if fact.shape.devices:
            self.census.note(fact.shape)
        self._join(task)
        self.changes.shares = True
        if self.peers.fresh:
            self.reshape()
        return task

    def _refresh(self, task: Task, fact: PodSeen) -> None:
        """Take over a changed pod. What identifies it in the books may have changed too: then out and in again."""
        # Shares follow what queues hold and want together: a pod that is placed moves from one to the other.
        old = task.fact
        if (
            fact.gang == old.gang
            and fact.task == old.task
            and fact.shape == old.shape
            and fact.gated == old.gated
            and fact.labels == old.labels
            and fact.device_claims == old.device_claims
        ):
            task.fact = fact
            return
        node, shape, devices, chosen = task.node, task.shape, task.devices, task.chosen
        decided = self.device_claims.decisions(old.device_claims) if old.device_claims else {}
        self.changes.shares = True
        self._vacate(task)
        self._leave(task)
        self._leave_kind(task)
        task.fact = fact
        kind = task.kind = self.peers.kind(fact.namespace, fact.labels)
        kind.tasks[fact.uid] = task
        task.shape = self.shapes.acquire(fact.shape, kind)
        self.shapes.release(shape)
        self._join(task)
        if self.peers.fresh:
            self.reshape()
        if node is not None:
            task.chosen = chosen
            self._occupy(task, self._node(node.name))
            self._hold_devices(task, devices)
            self.device_claims.restore(decided)

    def _seen_on(self, task: Task, name: NodeName) -> None:
        if task.state in FINISHED:
            return
        if task.node is None or task.node.name != name:
            # First sight of a bound pod, or somebody else bound it elsewhere: the watch is the truth.
            self._vacate(task)
            state = next_state(task.state, Stimulus.SEEN_BOUND, task)
            self._occupy(task, self._node(name))
            self._set_state(task, state)
        task.confirmed = True

    # -- budgets

    def observe_budget(self, fact: BudgetSeen) -> None:
        """A disruption budget as it now is."""
        if self.budgets.observe(fact, (task.fact for task in self.leaving.values())):
            self.changes.budgets = True

    def forget_budget(self, budget: BudgetId) -> None:
        """The budget is gone."""
        if self.budgets.forget(budget):
            self.changes.budgets = True


def stimulus_of(fact: PodSeen) -> Stimulus:
    """What a pod's level says, as a stimulus; the end of a pod matters more than its deletion."""
    match fact.phase:
        case "Succeeded":
            return Stimulus.SUCCEEDED
        case "Failed":
            return Stimulus.FAILED
        case _ if fact.deleting:
            return Stimulus.DELETING
        case _ if fact.node is None:
            return Stimulus.SEEN_UNBOUND
        case "Pending":
            return Stimulus.SEEN_BOUND
        case _:
            return Stimulus.SEEN_RUNNING
