"""The books: every object by id, every number in its one place, and the few ways in which they change together.

Where a task is and what state it is in changes only through `_move` and `settle_placed`, which keep table, ports, gang,
queue and counts in step. `model.check` recomputes all of it.
"""

from collections.abc import Callable

import numpy as np

from flowbatch.model.asks import DeviceShare
from flowbatch.model.budgets import Budgets
from flowbatch.model.census import Census
from flowbatch.model.changes import StateChanges
from flowbatch.model.columns import NodeColumns
from flowbatch.model.devices import DeviceTable
from flowbatch.model.gangs import PLACED, Gang, Reservation, Role, Task
from flowbatch.model.groupuse import GroupUse
from flowbatch.model.ids import EPOCH, GangId, Instant, NodeName, PodUid, Row
from flowbatch.model.lifecycle import FINISHED, Stimulus, TaskState, next_state
from flowbatch.model.nodes import Node
from flowbatch.model.owners import Kind
from flowbatch.model.peers import Peers
from flowbatch.model.ports import HostPorts
from flowbatch.model.queues import Queue, QueueTree, charge
from flowbatch.model.quotas import Quotas
from flowbatch.model.resources import Axes, Sums, add
from flowbatch.model.shapes import Shape, ShapeTable
from flowbatch.model.table import NodeTable
from flowbatch.model.topology import Topology
from flowbatch.model.volumes import Volumes
from flowbatch.model.windows import Windows


class Books:
    """Identity and numbers of everything. `ClusterState` adds how facts are folded in."""

    def __init__(self) -> None:
        self.axes = Axes()
        self.table = NodeTable(self.axes)
        self.columns = NodeColumns()
        self.peers = Peers(self.columns)
        self.shapes = ShapeTable(self.axes, self.peers)
        self.ports = HostPorts()
        self.volumes = Volumes()
        self.devices = DeviceTable()
        self.census = Census()
        self.nodes: dict[NodeName, Node] = {}
        self.node_at: dict[Row, Node] = {}
        self.topology = Topology(self.nodes)
        self.tasks: dict[PodUid, Task] = {}
        self.gangs: dict[GangId, Gang] = {}
        self.queues = QueueTree()
        self.budgets = Budgets()
        #: Tasks that are about to leave a node.
        self.leaving: dict[PodUid, Task] = {}
        self.quotas = Quotas()
        self.changes = StateChanges()
        #: Capacity of all ready nodes.
        self.total: Sums = {}
        #: Used by every pod that holds capacity, ours or not, and reserved.
        self.used: Sums = {}
        #: Promised to admitted gangs that have not started.
        self.inqueue: Sums = {}
        #: Kinds of owners whose holdings are counted in every queue, because a policy looks at them.
        self.tracked_owners: tuple[Kind, ...] = ()
        #: Told of every placement (gang, shape, +count) and removal (-count), tentative ones included.
        self.listener: Callable[[Gang, Shape, int], None] | None = None
        #: What queues hold of node groups, where a policy limits that.
        self.group_use: GroupUse | None = None
        #: Room that is kept for gangs which have waited long.
        self.windows = Windows(self.table)

    # -- objects by name

    def _node(self, name: NodeName) -> Node:
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = Node(name, self.table.add_row())
            self.node_at[node.row] = node
            self.columns.set(node.row, {}, (), cordoned=False)
        return node

    def _drop_node_if_idle(self, node: Node) -> None:
        if node.fact is None and not node.tasks:
            del self.nodes[node.name]
            del self.node_at[node.row]
            self.devices.set(node.row, (), ())
            self.table.drop_row(node.row)

    def _gang(self, gang_id: GangId) -> Gang:
        gang = self.gangs.get(gang_id)
        if gang is None:
            gang = self.gangs[gang_id] = Gang(gang_id)
        return gang

    @staticmethod
    def _role(gang: Gang, name: str) -> Role:
        role = gang.roles.get(name)
        if role is None:
            role = gang.roles[name] = Role(name)
        return role

    @staticmethod
    def _drop_role_if_idle(gang: Gang, role: Role) -> None:
        if role.declared is None and role.present == 0:
            del gang.roles[role.name]

    def _drop_gang_if_idle(self, gang: Gang) -> None:
        if gang.idle:
            del self.gangs[gang.id]

    # -- where tasks are

    def _join(self, task: Task) -> None:
        fact = task.fact
        if fact.gang is not None:
            gang = task.gang = self._gang(fact.gang)
            role = task.role = self._role(gang, fact.task)
            gang.tasks[fact.uid] = task
            role.counts[task.state] += 1
            gang.counts[task.state] += 1
            if task.state is TaskState.PENDING:
                self._wait(task)
            if task.node:
                self._account(task, 1)

    def _leave(self, task: Task) -> None:
        gang, role = task.gang, task.role
        if gang is not None and role is not None:
            self.changes.gangs[gang.id] = gang
            if task.node:
                self._account(task, -1)
            if task.state is TaskState.PENDING:
                self._unwait(task)
            role.counts[task.state] -= 1
            gang.counts[task.state] -= 1
            del gang.tasks[task.fact.uid]
            self._drop_role_if_idle(gang, role)
            task.gang = task.role = None
            self._drop_gang_if_idle(gang)

    def _remove(self, task: Task) -> None:
        if task.state not in FINISHED:  # those neither hold nor want anything
            self.changes.shares = True
        self._vacate(task)
        self._leave(task)
        self.shapes.release(task.shape)
        self._leave_kind(task)
        del self.tasks[task.fact.uid]

    def _move(self, task: Task, stimulus: Stimulus, node: Node | None) -> None:
        """Follow the table. The task's place follows its state: finished tasks and refused orders give it back."""
        old = task.state
        new = next_state(old, stimulus, task)
        if new is old:
            return
        if new in FINISHED or new is TaskState.PENDING or (old is TaskState.HELD and new is TaskState.RELEASING):
            node = None
        if node is not task.node:
            self._vacate(task)
            if node is not None:
                self._occupy(task, node)
        self._set_state(task, new)

    def _set_state(self, task: Task, new: TaskState) -> None:
        old, role, gang = task.state, task.role, task.gang
        if old is new:
            return
        if role is not None and gang is not None:
            if old is TaskState.PENDING:
                self._unwait(task)
            for counts in (role.counts, gang.counts):
                counts[old] -= 1
                counts[new] += 1
        if (old is TaskState.RELEASING or new is TaskState.RELEASING) and task.node is not None:
            self._account_leaving(task, task.node, 1 if new is TaskState.RELEASING else -1)
        if old is TaskState.PENDING and new not in PLACED:
            self.changes.shares = True
        task.state = new
        if role is not None and new is TaskState.PENDING:
            self._wait(task)

    def _occupy(self, task: Task, node: Node) -> None:
        assert task.node is None, task.story
        self.table.fit_axes()
        self.table.take(node.row, task.shape.request)
        if task.state is TaskState.RELEASING:
            self._account_leaving(task, node, 1)
        if task.shape.stake is not None:
            self.peers.move(task.shape.stake, node.row, 1)
            self.volumes.take(task.shape.spec.claims, node)
        self._settle(task, node)
        self._account(task, 1)
        if self.table.over[node.row] or (self.table.claims and not self.table.kept(node.row)):
            self._drop_reservations(node.row)

    def _hold_devices(self, task: Task, shares: tuple[DeviceShare, ...]) -> None:
        """What a task on a node holds of its devices, instead of what it held before."""
        node = task.node
        if node is None or shares == task.devices:
            return
        self.devices.hold(node.row, task.devices, -1)
        if task.devices:
            self.changes.freed[node.row] = None
        task.devices = shares
        self.devices.hold(node.row, shares)
        if self.devices.over(node.row):
            self._drop_reservations(node.row)

    def _settle(self, task: Task, node: Node) -> None:
        """Identity of being on a node: everything but the numbers in the table and the sums."""
        task.node = node
        node.tasks[task.fact.uid] = task
        if task.shape.spec.ports:
            self.ports.take(node.row, task.shape.spec.ports)
        if task.shape.stake is not None:
            self.changes.note(task.shape.stake.moved(), 1)

    def _vacate(self, task: Task) -> None:
        node = task.node
        if node is None:
            return
        self._account(task, -1)
        self.table.give(node.row, task.shape.request)
        if task.state is TaskState.RELEASING:
            self._account_leaving(task, node, -1)
        if task.shape.spec.ports:
            self.ports.take(node.row, task.shape.spec.ports, -1)
        if task.devices:
            self.devices.hold(node.row, task.devices, -1)
            task.devices = ()
        if task.shape.stake is not None:
            self.peers.move(task.shape.stake, node.row, -1)
            self.changes.note(task.shape.stake.moved(), -1)
            if task.shape.spec.claims:
                self.volumes.give(task.shape.spec.claims, node.row)
                self.changes.storage = True
        task.node = None
        task.confirmed = False
        del node.tasks[task.fact.uid]
        self.changes.freed[node.row] = None
        self.changes.headroom = True
        self._drop_node_if_idle(node)

    @staticmethod
    def _wait(task: Task) -> None:
        """A pending task of a gang joins those that may be placed, or those that are gated."""
        gang, role = task.gang, task.role
        if gang is not None and role is not None:
            if task.fact.gated:
                role.gated += 1
                gang.gated += 1
            else:
                gang.pending[task.fact.uid] = task

    @staticmethod
    def _unwait(task: Task) -> None:
        gang, role = task.gang, task.role
        if gang is not None and role is not None and gang.pending.pop(task.fact.uid, None) is None:
            role.gated -= 1
            gang.gated -= 1

    # -- what tasks are to each other

    def _leave_kind(self, task: Task) -> None:
        if task.kind is not None:
            self.peers.leave_kind(task.kind, task.fact.uid)
            task.kind = None

    def reshape(self) -> None:
        """Tasks of kinds that a selector in use now asks for no longer share a shape with those of others."""
        fresh, self.peers.fresh = self.peers.fresh, []
        for kind in fresh:
            for task in kind.tasks.values():
                self._reshape(task)

    def _reshape(self, task: Task) -> None:
        shape, old = self.shapes.acquire(task.fact.shape, task.kind), task.shape
        if shape is not old and task.gang is not None:
            if task.node is not None and self.listener is not None:
                self.listener(task.gang, old, -1)
                self.listener(task.gang, shape, 1)
            self.changes.gangs[task.gang.id] = task.gang
        task.shape = shape
        self.shapes.release(old)

    # -- accounts

    def _account(self, task: Task, sign: int) -> None:
        """The sums that a task's place counts in: cluster, gang, queue path."""
        request, gang = task.shape.request, task.gang
        self.queues.worked_out.clear()
        add(self.used, request, sign)
        if gang is not None:
            add(gang.allocated, request, sign)
            if self.listener is not None:
                self.listener(gang, task.shape, sign)
            if sign < 0 and self.windows.by_gang:
                self.windows.left(task.fact.uid)
            if self.group_use is not None and task.node is not None:
                self.group_use.move(gang, request, (task.node.row,), (sign,))
            if gang.queue is not None:
                charge(gang, gang.queue, request, sign)
                if sign < 0:
                    self.changes.shares = True
                    self.ease(gang.queue)

    def _account_leaving(self, task: Task, node: Node, sign: int) -> None:
        """What a task on `node` gives back once it has left (sign -1: it has, or it stays)."""
        request, gang, stake = task.shape.request, task.gang, task.shape.stake
        self.table.release(node.row, request, sign)
        if stake is not None:
            self.peers.set_leaving(stake, node.row, sign)
            self.changes.note(stake.moved(), -sign)
        if sign > 0:
            self.leaving[task.fact.uid] = task
        else:
            del self.leaving[task.fact.uid]
        if gang is not None:
            add(gang.leaving, request, sign)
            if gang.queue is not None:
                add(gang.queue.own_leaving, request, sign)
                for each in gang.queue.path:
                    add(each.leaving, request, sign)
        if task.beneficiary is not None and sign < 0:
            self._settle_owed(task, node)
        if self.budgets:
            if sign > 0 and not task.fact.deleting:
                self.budgets.charge(task.fact)
            elif sign < 0:
                self.budgets.settle(task.fact.uid)

    @staticmethod
    def _charge_gang(gang: Gang, queue: Queue, sign: int) -> None:
        add(queue.own, gang.allocated.items(), sign)
        add(queue.own, gang.reserved.items(), sign)
        add(queue.own_leaving, gang.leaving.items(), sign)
        add(queue.own_claimed, gang.claimed.items(), sign)
        for each in queue.path:
            add(each.leaving, gang.leaving.items(), sign)
            add(each.claimed, gang.claimed.items(), sign)
            add(each.allocated, gang.allocated.items(), sign)
            add(each.reserved, gang.reserved.items(), sign)
            add(each.inqueue, gang.inqueue.items(), sign)
            add(each.elastic, gang.elastic.items(), sign)
            if each.accounts is not None:
                each.accounts.charge(gang.id, gang.owners, gang.allocated.items(), sign)
                each.accounts.charge(gang.id, gang.owners, gang.reserved.items(), sign)

    def _enqueue(self, gang: Gang, queue: Queue | None) -> None:
        """Move a gang, and all it is charged for, to another queue; None for no queue."""
        if self.group_use is not None:
            self.group_use.stale = True
        self.queues.worked_out.clear()
        old = gang.queue
        if old is not None:
            self._charge_gang(gang, old, -1)
            add(old.wanted, gang.wanted.items(), -1)
            add(old.wanted, gang.awaited.items(), -1)
            del old.gangs[gang.id]
            self.ease(old)
            self.queues.forget(old)
        gang.queue = queue
        if queue is not None:
            queue.gangs[gang.id] = gang
            self._charge_gang(gang, queue, 1)
            add(queue.wanted, gang.wanted.items())
            add(queue.wanted, gang.awaited.items())
        unknown = queue is not None and queue.share is None
        if unknown or gang.allocated or gang.reserved or gang.wanted or gang.awaited:
            self.changes.shares = True

    def ease(self, queue: Queue | None) -> None:
        """Less is held or promised in `queue` than before: what waits for that may be cured."""
        if queue:
            for each in queue.path:
                self.changes.queues[each.name] = None
        self.changes.headroom = True

    def set_promises(self, gang: Gang, inqueue: Sums, elastic: Sums) -> None:
        """What its queue must keep for a gang that has not started, and what the gang holds beyond its minimum."""
        if gang.inqueue != inqueue:
            path = gang.queue.path if gang.queue else ()
            for sums in (self.inqueue, *(queue.inqueue for queue in path)):
                if gang.inqueue:
                    add(sums, gang.inqueue.items(), -1)
                if inqueue:
                    add(sums, inqueue.items())
            if any(inqueue.get(axis, 0) < amount for axis, amount in gang.inqueue.items()):
                self.ease(gang.queue)
            gang.inqueue = inqueue
        if gang.elastic != elastic:
            for queue in gang.queue.path if gang.queue else ():
                add(queue.elastic, gang.elastic.items(), -1)
                add(queue.elastic, elastic.items())
            self.ease(gang.queue)
            gang.elastic = elastic

    def set_awaited(self, gang: Gang, awaited: Sums) -> None:
        """What members to come will ask for, so that their queue's share counts on them."""
        if gang.awaited != awaited:
            self.queues.worked_out.clear()
            if gang.queue is not None:
                add(gang.queue.wanted, gang.awaited.items(), -1)
                add(gang.queue.wanted, awaited.items())
            gang.awaited = awaited
            self.changes.shares = True

    def count_wanted(self, gang: Gang) -> None:
        """Sum up what a gang's pods wait for, on its queue's account too; once per look at the gang, not per pod."""
        if not gang.pending and not gang.wanted:
            return
        counts: dict[Shape, int] = {}
        for task in gang.pending.values():
            counts[task.shape] = counts.get(task.shape, 0) + 1
        wanted: Sums = {}
        for shape, count in counts.items():
            add(wanted, shape.request, count)
        if gang.wanted != wanted:
            self.queues.worked_out.clear()
            if gang.queue is not None:
                add(gang.queue.wanted, gang.wanted.items(), -1)
                add(gang.queue.wanted, wanted.items())
            gang.wanted = wanted

    def refresh_total(self) -> None:
        """Sum the capacity of ready nodes again; the engine calls it once per cycle in which nodes changed."""
        self.queues.worked_out.clear()
        self.queues.version += 1
        self.table.fit_axes()
        self.total = self.table.total()

    # -- decisions

    def settle_placed(self, task: Task, node: Node, stimulus: Stimulus, devices: tuple[DeviceShare, ...] = ()) -> None:
        """A kept Trial's placement of one task: the numbers are taken already, only identity follows."""
        self._set_state(task, next_state(task.state, stimulus, task))
        self._settle(task, node)
        if devices:
            task.devices = devices

    def move(self, task: Task, stimulus: Stimulus) -> None:
        """A decision about a task that stays where it is."""
        self._move(task, stimulus, task.node)

    def charge(self, gang: Gang, shape: Shape, count: int) -> None:
        """`count` placements of `shape` on the accounts of the cluster, the gang and its queue path."""
        request = shape.request
        self.queues.worked_out.clear()
        if self.listener is not None:
            self.listener(gang, shape, count)
        add(self.used, request, count)
        add(gang.allocated, request, count)
        if gang.queue is not None:
            charge(gang, gang.queue, request, count)

    def charge_reserved(self, gang: Gang, reservation: Reservation, sign: int) -> None:
        """Room for members without pods, on the same accounts as if they had them."""
        count = reservation.total * sign
        queue = gang.queue
        self.queues.worked_out.clear()
        accounts = (queue.own, *(each.reserved for each in queue.path)) if queue else ()
        for sums in (self.used, gang.reserved, *accounts):
            add(sums, reservation.shape.request, count)
        for each in queue.path if queue else ():
            if each.accounts is not None:
                each.accounts.charge(gang.id, gang.owners, reservation.shape.request, count)

    def unreserve(self, gang: Gang) -> None:
        """Let go of all room held for a gang's missing members."""
        for reservation in gang.reservations:
            self.table.reserve_rows(reservation.rows, reservation.counts, reservation.shape.request, -1)
            self.charge_reserved(gang, reservation, -1)
            self.reserve_devices(reservation, -1)
            self.shapes.release(reservation.shape)
            for row in reservation.rows.tolist():
                self.changes.freed[Row(row)] = None
        if gang.reservations:
            gang.reservations = ()
            self.changes.shares = True
            self.ease(gang.queue)
            self.changes.gangs[gang.id] = gang

    def _drop_reservations(self, row: Row) -> None:
        """The node can no longer keep what it holds for others: those gangs look for room again."""
        if not self.table.reserved[:, row].any() and not self.table.claimed[:, row].any():
            return
        for gang in list(self.gangs.values()):
            if any(row in reservation.rows for reservation in gang.reservations):
                self.unreserve(gang)
            if any(row in claim.rows for claim in gang.claims):
                self.unclaim(gang)

    # -- claims

    def claim(self, gang: Gang, claims: tuple[Reservation, ...], until: Instant) -> None:
        """Keep room that others are leaving for `gang`, instead of what it has claimed before."""
        awaited = [task for task in self.leaving.values() if task.beneficiary == gang.id]
        self.unclaim(gang)
        for claim in claims:
            self.shapes.share(claim.shape)
            for row, count in zip(claim.rows.tolist(), claim.counts.tolist(), strict=True):
                add(gang.claimed_at.setdefault(row, {}), claim.shape.request, count)
        for task in awaited:
            assert task.node is not None
            if task.node.row in gang.claimed_at:
                gang.awaits[task.fact.uid] = task
                add(gang.owed_at.setdefault(task.node.row, {}), task.shape.request)
        gang.claims, gang.claimed_until = claims, until
        self.book_claims(gang, 1)

    def unclaim(self, gang: Gang) -> None:
        """Let go of all that is claimed for a gang."""
        self.book_claims(gang, -1)
        self.settle_unclaimed(gang)

    def book_claims(self, gang: Gang, sign: int) -> None:
        """The numbers of all that a gang claims; sign -1 takes them off the books."""
        self.table.fit_axes()
        for claim in gang.claims:
            self._book_claim(gang, claim, sign)
        for row in gang.claimed_at:
            self._book_firm(gang, row, sign)

    def _book_firm(self, gang: Gang, row: int, sign: int) -> None:
        """On one row: what of the claim nobody has to leave for any more."""
        owed = gang.owed_at.get(row, {})
        for axis, amount in gang.claimed_at[row].items():
            if (firm := amount - owed.get(axis, 0)) > 0:
                self.table.firm[axis, row] += firm * sign

    def _settle_owed(self, task: Task, node: Node) -> None:
        """A task that was to leave for somebody has left, or stays."""
        gang = self.gangs.get(task.beneficiary) if task.beneficiary is not None else None
        if gang is not None and gang.awaits.pop(task.fact.uid, None) is not None:
            self._book_firm(gang, node.row, -1)
            add(gang.owed_at[node.row], task.shape.request, -1)
            self._book_firm(gang, node.row, 1)

    def _book_claim(self, gang: Gang, claim: Reservation, sign: int) -> None:
        """The numbers of one claim: on its rows, and on the accounts of the queues that will hold it."""
        request, count = claim.shape.request, claim.total * sign
        self.table.claim_rows(claim.rows, claim.counts, request, sign)
        add(gang.claimed, request, count)
        if gang.queue is not None:
            add(gang.queue.own_claimed, request, count)
            for each in gang.queue.path:
                add(each.claimed, request, count)

    def claims_are_free(self, gang: Gang) -> bool:
        """All that `gang` claims is free now, with what is firmly others' left to them."""
        if gang.awaits:
            return False
        table = self.table
        for row, claimed in gang.claimed_at.items():
            owed = gang.owed_at.get(row, {})
            for axis, amount in claimed.items():
                others = int(table.firm[axis, row]) - max(0, amount - owed.get(axis, 0))
                if int(table.free[axis, row]) - others < amount:
                    return False
        return True

    def settle_unclaimed(self, gang: Gang) -> None:
        """The claims of a gang are off the books: forget them, and let others have what is left of the room."""
        for claim in gang.claims:
            self.shapes.release(claim.shape)
            for row in claim.rows.tolist():
                self.changes.freed[Row(row)] = None
        if gang.claims:
            gang.claims, gang.claimed_until = (), EPOCH
            gang.claimed_at, gang.owed_at, gang.awaits = {}, {}, {}
            self.changes.gangs[gang.id] = gang
            self.ease(gang.queue)

    def reserve_devices(self, reservation: Reservation, sign: int = 1) -> None:
        """Shared devices for members to come: chosen the first time, the same ones ever after; sign -1 lets go."""
        if not reservation.shape.spec.devices:
            return
        if reservation.picks is None:
            reservation.picks = self.devices.take_rows(reservation.shape, reservation.rows, reservation.counts)
        else:
            rows = np.repeat(reservation.rows, reservation.counts)
            self.devices.give_rows(reservation.shape, rows, reservation.picks, sign)
