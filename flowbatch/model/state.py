"""Cluster truth, from facts. Each `observe_*` takes in what a thing now is, each `forget_*` that it is gone.

There is one writer, the engine. Facts may come in any order, more than once, and with gaps: the books end up the same.
"""

import msgspec

from flowbatch.model.asks import Device
from flowbatch.model.changes import StateChanges
from flowbatch.model.facts import (
    AttachSeen,
    BudgetSeen,
    ClaimGone,
    ClaimSeen,
    ClaimsHidden,
    ClassGone,
    ClassSeen,
    DeclaredTask,
    GangSeen,
    HyperNodeGone,
    HyperNodeSeen,
    NamespaceGone,
    NamespaceSeen,
    NodeSeen,
    PodSeen,
    QueueSeen,
    QuotaGone,
    QuotaSeen,
    VolumeGone,
    VolumeSeen,
)
from flowbatch.model.gangs import Gang, Role, Task
from flowbatch.model.ids import EPOCH, BudgetId, GangId, Instant, NodeName, PodUid, QueueName, Row
from flowbatch.model.lifecycle import FINISHED, Stimulus, TaskState, next_state
from flowbatch.model.nodes import Node
from flowbatch.model.owners import Accounts, Kind
from flowbatch.model.queues import Queue
from flowbatch.model.quotas import namespace_of
from flowbatch.model.whereabouts import Whereabouts

#: Nodes remembered as having refused one task.
REFUSALS_KEPT = 4


class ClusterState(Whereabouts):
    """Everything known about the cluster. Change it only through its methods."""

    # -- nodes

    def observe_node(self, fact: NodeSeen) -> None:
        """A node as it now is."""
        node = self._node(fact.name)
        before = node.fact
        if before == fact:
            return
        node.fact = fact
        self._static(node, before, fact)
        ready_before = bool(before and before.ready)
        if before is None or before.allocatable != fact.allocatable:
            self.table.set_capacity(node.row, self.axes.sums(fact.allocatable))
        if fact.devices != (before.devices if before else ()):
            self._devices_changed(node, fact.devices)
        self.table.ready[node.row] = fact.ready
        if ready_before != fact.ready or before is None or before.allocatable != fact.allocatable:
            self._retotal(node.row)
        if not fact.ready or fact.unschedulable or self.table.over[node.row]:
            self._drop_reservations(node.row)

    def _static(self, node: Node, before: NodeSeen | None, fact: NodeSeen) -> None:
        if before and (before.labels, before.taints, before.unschedulable, before.images) == (
            fact.labels,
            fact.taints,
            fact.unschedulable,
            fact.images,
        ):
            return
        self.columns.images.set(node.row, fact.images or None)
        node.labels = dict(fact.labels)
        if self.group_use is not None:
            self.group_use.stale = True
        self.columns.set(node.row, node.labels, fact.taints, cordoned=fact.unschedulable)
        self._touch_topology(node)
        self.changes.nodes[node.row] = None
        self.changes.freed[node.row] = None

    def _devices_changed(self, node: Node, devices: tuple[Device, ...]) -> None:
        """Room held for others is given up first: it is in terms of devices that may no longer be there."""
        self._drop_reservations(node.row)
        self.devices.set(node.row, devices, [task.devices for task in node.tasks.values()])
        self.changes.nodes[node.row] = None
        self.changes.freed[node.row] = None

    def _retotal(self, row: Row) -> None:
        # Totals are summed anew when somebody asks: nodes change in bursts.
        self.changes.total = self.changes.headroom = self.changes.shares = True
        self.changes.nodes[row] = None
        self.changes.freed[row] = None

    def forget_node(self, name: NodeName) -> None:
        """The node is gone. Pods that claim to be on it still hold what they hold until they are gone too."""
        node = self.nodes.get(name)
        if node is None or node.fact is None:
            return
        self._drop_reservations(node.row)
        node.fact = None
        if self.group_use is not None:
            self.group_use.stale = True
        node.labels = {}
        self._touch_topology(node)
        self.columns.set(node.row, {}, (), cordoned=False)
        self.columns.images.set(node.row, None)
        self.table.set_capacity(node.row, {})
        self.devices.set(node.row, (), ())
        self.table.ready[node.row] = False
        self._retotal(node.row)
        self._drop_node_if_idle(node)

    # -- network domains

    def observe_hyper_node(self, fact: HyperNodeSeen | HyperNodeGone) -> None:
        """A HyperNode as it now is, or that it is gone."""
        if isinstance(fact, HyperNodeSeen):
            self.topology.observe(fact)
        else:
            self.topology.forget(fact.name)
        self.changes.topology = self.topology.stale

    def _touch_topology(self, node: Node) -> None:
        self.topology.touch(node.name)
        self.changes.topology = self.topology.stale

    # -- queues

    def observe_queue(self, fact: QueueSeen) -> None:
        """A queue as it now is."""
        queue = self.queues.named(fact.name)
        before = queue.fact
        if before == fact:
            return
        queue.fact = fact
        if before is not None and msgspec.structs.replace(before, past_use=fact.past_use) == fact:
            # Our own note of what it used, come back: nobody has to look at anything anew.
            return
        self._limits(queue, fact)
        if before is not None and (before.affinity, before.group_limits) != (fact.affinity, fact.group_limits):
            # Queues below it may inherit that, and wait for nodes that now will do.
            self.changes.freed.update(dict.fromkeys(self.node_at))
        joined = self.queues.join(queue) if before is None else before.parent == fact.parent
        if not joined:
            self._relink()
        if not joined or _claims(before) != _claims(fact):
            self.changes.claims = True
        if (before.limits if before else ()) != fact.limits or (before is None and self.tracked_owners):
            self._reopen_accounts(queue)
        self._queue_changed(queue)

    def _limits(self, queue: Queue, fact: QueueSeen) -> None:
        sums = self.axes.sums
        queue.capability = sums(fact.capability)
        queue.guarantee = sums(fact.guarantee)
        queue.deserved = sums(fact.deserved)
        queue.borrowing = sums(fact.borrowing or ())
        queue.lending = sums(fact.lending or ())

    def forget_queue(self, name: QueueName) -> None:
        """The queue is gone; its gangs stay and wait for it."""
        queue = self.queues.by_name.get(name)
        if queue is None or queue.fact is None:
            return
        queue.fact = queue.accounts = queue.memory = None
        self._limits(queue, QueueSeen(name))
        self.queues.forget(queue)
        self._relink()
        self.changes.claims = True
        self._queue_changed(queue)

    def _queue_changed(self, queue: Queue) -> None:
        self.queues.version += 1
        self.queues.worked_out.clear()
        self.changes.shares = True
        self.changes.queues[queue.name] = None
        for gang in queue.gangs.values():
            self.changes.gangs[gang.id] = gang

    def retally(self, changes: StateChanges) -> None:
        """What one queue is guaranteed or lends is what others may not, or may, have: all are looked at.

        The engine calls it once per cycle in which claims changed: queues come in bursts.
        """
        self.queues.tally()
        changes.queues.update(dict.fromkeys(self.queues.by_name))

    def track_owners(self, kinds: tuple[Kind, ...]) -> None:
        """Count what owners of these kinds hold in every queue, from now on."""
        if kinds != self.tracked_owners:
            self.tracked_owners = kinds
            for queue in self.queues.by_name.values():
                self._reopen_accounts(queue)

    def _accounts(self, queue: Queue) -> Accounts | None:
        """New accounts for a queue in which anything is counted by owner; what owners have used is not forgotten."""
        limits = queue.fact.limits if queue.fact else ()
        if queue.fact is None or not (limits or self.tracked_owners):
            return None
        accounts = Accounts.of(limits, self.axes, self.tracked_owners)
        accounts.memories = queue.accounts.memories if queue.accounts else {}
        return accounts

    def _reopen_accounts(self, queue: Queue) -> None:
        """The queue limits other owners than before: count what they hold anew, and line its gangs up by them."""
        queue.accounts = self._accounts(queue)
        self.queues.note_owners()
        for gang in self.gangs.values():
            if gang.queue is not None and queue in gang.queue.path:
                self.changes.gangs[gang.id] = gang
                if queue.accounts is not None:
                    for held in (gang.allocated, gang.reserved):
                        queue.accounts.charge(gang.id, gang.owners, held.items(), 1)

    def _relink(self) -> None:
        """Paths changed: charge every gang's sums along its new path. Rare, so from scratch."""
        if self.group_use is not None:
            self.group_use.stale = True
        queues = self.queues
        queues.link()
        for queue in queues.by_name.values():
            queue.own, queue.allocated, queue.reserved, queue.inqueue, queue.elastic = {}, {}, {}, {}, {}
            queue.own_leaving, queue.leaving, queue.own_claimed, queue.claimed = {}, {}, {}, {}
            queue.accounts = self._accounts(queue)
            self.changes.queues[queue.name] = None
        for gang in self.gangs.values():
            if gang.queue:
                self._charge_gang(gang, gang.queue, 1)

    # -- quotas of namespaces

    def observe_quota(self, fact: QuotaSeen) -> None:
        """A ResourceQuota as it now is."""
        if self.quotas.observe(fact):
            self.changes.quotas[fact.namespace] = None

    def forget_quota(self, fact: QuotaGone) -> None:
        """The quota is gone: one limit less."""
        self.quotas.forget(fact)
        self.changes.quotas[fact.namespace] = None

    def promise_quota(self, gang: GangId, amounts: dict[str, int]) -> None:
        """What `gang` will still make in its namespace; where that is less than before, others may come in."""
        if self.quotas.promise(gang, amounts):
            self.changes.quotas[namespace_of(gang)] = None

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

    # -- storage

    def observe_storage(
        self, fact: ClaimSeen | ClaimsHidden | ClaimGone | VolumeSeen | VolumeGone | ClassSeen | ClassGone | AttachSeen
    ) -> None:
        """A claim, a volume, a class of them, or a node's limits: those who wait for storage are tried again."""
        self.changes.storage = True
        volumes = self.volumes
        match fact:
            case ClaimsHidden():
                volumes.hidden = not volumes.claims
            case ClaimSeen():
                volumes.claims[fact.id] = fact
                volumes.hidden = False
            case ClaimGone():
                volumes.claims.pop(fact.id, None)
            case VolumeSeen():
                volumes.volumes[fact.name] = fact
            case VolumeGone():
                volumes.volumes.pop(fact.name, None)
            case ClassSeen():
                volumes.classes[fact.name] = fact
            case ClassGone():
                volumes.classes.pop(fact.name, None)
            case AttachSeen():
                volumes.see_limits(fact)

    # -- namespaces

    def observe_namespace(self, fact: NamespaceSeen | NamespaceGone) -> None:
        """A namespace as it now is, or that it is gone."""
        labels = dict(fact.labels) if isinstance(fact, NamespaceSeen) else None
        for kind, group, sign in self.peers.namespace(fact.name, labels):
            self.changes.note((*group.members.values(), *group.staying.values()), sign)
            for task in kind.tasks.values():
                if task.gang is not None and task.state is TaskState.PENDING:
                    self.changes.gangs[task.gang.id] = task.gang
        if self.peers.fresh:
            self.reshape()

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
        if fact.node is not None:
            self._seen_on(task, fact.node)
            if fact.devices:
                self._hold_devices(task, fact.devices)
        self._move(task, stimulus_of(fact), task.node)
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

    # -- budgets

    def observe_budget(self, fact: BudgetSeen) -> None:
        """A disruption budget as it now is."""
        if self.budgets.observe(fact, (task.fact for task in self.leaving.values())):
            self.changes.budgets = True

    def forget_budget(self, budget: BudgetId) -> None:
        """The budget is gone."""
        if self.budgets.forget(budget):
            self.changes.budgets = True

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
        ):
            task.fact = fact
            return
        node, shape, devices = task.node, task.shape, task.devices
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
            self._occupy(task, self._node(node.name))
            self._hold_devices(task, devices)

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


def _claims(fact: QueueSeen | None) -> tuple[object, ...]:
    """What a queue says about amounts that concern others; a queue that was not there claims nothing."""
    return (fact.guarantee, fact.deserved, fact.borrowing, fact.lending) if fact else ((), (), None, None)
