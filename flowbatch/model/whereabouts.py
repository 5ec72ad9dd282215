"""Where tasks are, what state they are in and whose they are.

It changes only through `_move` and `settle_placed`, which keep table, ports, gang, queue and counts in step.
"""

from flowbatch.model.asks import DeviceShare
from flowbatch.model.cpusets import readable
from flowbatch.model.gangs import PLACED, Task
from flowbatch.model.keeping import Keeping
from flowbatch.model.lifecycle import FINISHED, Stimulus, TaskState, next_state
from flowbatch.model.nodes import Node
from flowbatch.model.resources import add


class Whereabouts(Keeping):
    """Moves tasks; every number that depends on where they are follows."""

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
            task.shape.stake.move(node.row, 1)
            self.volumes.take(task.shape.spec.claims, node)
            if task.fact.device_claims:
                # Somebody else has bound it, or it is only off the books for a moment: nothing is decided here.
                self.device_claims.take(task.fact.device_claims, task.shape.spec.device_claims, node, decide=False)
                self.use_claims(task, 1)
        self._settle(task, node)
        self._hold_cpus(task)
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

    def _hold_cpus(self, task: Task) -> None:
        """The cpus of its own that a task on a node holds, as now known, instead of those it held before."""
        node, ask = task.node, task.shape.spec.numa
        if node is None or ask is None:
            return
        fact = task.fact
        cpus = self.numa.told(node.row, fact.uid, f"{fact.namespace}/{fact.name}") or readable(fact.cpus) or task.chosen
        if cpus == task.cpus:
            return
        self._drop_cpus(task, node)
        self.numa.hold(node.row, cpus, ask.total)
        task.cpus = cpus

    def _drop_cpus(self, task: Task, node: Node) -> None:
        if task.cpus is not None and task.shape.spec.numa is not None:
            self.numa.hold(node.row, task.cpus, task.shape.spec.numa.total, -1)
            self.changes.freed[node.row] = None
        task.cpus = None

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
        self._drop_cpus(task, node)
        task.chosen = 0
        if task.shape.stake is not None:
            task.shape.stake.move(node.row, -1)
            self.changes.note(task.shape.stake.moved(), -1)
            if task.shape.spec.claims:
                self.volumes.give(task.shape.spec.claims, node.row)
                self.changes.storage = True
            if task.fact.device_claims:
                self.use_claims(task, -1)
                self.device_claims.give(task.fact.device_claims, node.row)
                shared = any(ask.claim for ask in task.shape.spec.device_claims)
                self.changes.devices = self.changes.devices or shared or self.device_claims.pools.everywhere()
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

    def _account_leaving(self, task: Task, node: Node, sign: int) -> None:
        """What a task on `node` gives back once it has left (sign -1: it has, or it stays)."""
        request, gang, stake = task.shape.request, task.gang, task.shape.stake
        self.table.release(node.row, request, sign)
        if stake is not None:
            stake.set_leaving(node.row, sign)
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

    # -- decisions

    def settle_placed(
        self, task: Task, node: Node, stimulus: Stimulus, devices: tuple[DeviceShare, ...] = (), cpus: int = 0
    ) -> None:
        """A kept Trial's placement of one task: the numbers are taken already, only identity follows."""
        self._set_state(task, next_state(task.state, stimulus, task))
        self._settle(task, node)
        if devices:
            task.devices = devices
        if cpus:
            task.chosen = task.cpus = cpus
        else:
            self._hold_cpus(task)

    def move(self, task: Task, stimulus: Stimulus) -> None:
        """A decision about a task that stays where it is."""
        self._move(task, stimulus, task.node)
