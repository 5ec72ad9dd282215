"""The books: every object by id, and every number in its one place.

The few ways in which they change together lie above: `Accounting` (sums), `Keeping` (reservations and claims),
`Whereabouts` (tasks), `ClusterState` (facts). `model.check` recomputes all of it.
"""

from collections.abc import Callable

from flowbatch.model.budgets import Budgets
from flowbatch.model.census import Census
from flowbatch.model.changes import StateChanges
from flowbatch.model.columns import NodeColumns
from flowbatch.model.cpus import cpu_policy
from flowbatch.model.deviceclaims import DeviceClaims
from flowbatch.model.devices import DeviceTable
from flowbatch.model.gangs import Gang, Role, Task
from flowbatch.model.groupuse import GroupUse
from flowbatch.model.ids import GangId, NodeName, PodUid, Row
from flowbatch.model.nodes import Node
from flowbatch.model.numa import NumaTable
from flowbatch.model.owners import Kind
from flowbatch.model.peers import Peers
from flowbatch.model.pieces import Pieces
from flowbatch.model.ports import HostPorts
from flowbatch.model.queues import Queue, QueueTree
from flowbatch.model.quotas import Quotas
from flowbatch.model.resources import Axes, Request, Sums
from flowbatch.model.shapes import Shape, ShapeTable
from flowbatch.model.table import NodeTable
from flowbatch.model.topology import Topology
from flowbatch.model.volumes import Volumes
from flowbatch.model.windows import Windows


class Books:
    """Identity and numbers of everything. How they change is said by the layers above."""

    def __init__(self) -> None:
        self.axes = Axes()
        self.table = NodeTable(self.axes)
        self.columns = NodeColumns()
        self.peers = Peers(self.columns)
        self.shapes = ShapeTable(self.axes, self.peers)
        self.ports = HostPorts()
        self.volumes = Volumes()
        self.devices = DeviceTable()
        self.numa = NumaTable()
        self.census = Census()
        self.nodes: dict[NodeName, Node] = {}
        self.node_at: dict[Row, Node] = {}
        self.device_claims = DeviceClaims(self.nodes, self.node_at)
        self.pieces = Pieces(self.devices, self.numa, self.device_claims)
        #: Shared claims to devices -> gangs with pods that use them; and what is charged for them to whom.
        self.claim_gangs: dict[str, dict[GangId, int]] = {}
        self.claim_charges: dict[str, tuple[GangId, Request]] = {}
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

        #: Orders to bind so far.
        self.orders = 0

    def serve(self, queue: Queue) -> None:
        """A pod of `queue` has got its place: others that are alike come first now."""
        self.orders += 1
        queue.served_at = self.orders

    # -- objects by name

    def _node(self, name: NodeName) -> Node:
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = Node(name, self.table.add_row())
            self.node_at[node.row] = node
            self.columns.set(node.row, {}, (), cordoned=False)
            self.device_claims.rooms.forget(node.row)
            if name in self.numa.facts:
                self._show_cpus(node)
        return node

    def _show_cpus(self, node: Node) -> bool:
        """What is told of a node's cpus is true of its row from now on. Returns whether its policy is another."""
        fact, before = self.numa.facts.get(node.name), self.columns.cpus_of(node.row)
        self.numa.set(node.row, fact)
        policy = cpu_policy(fact, self.numa.layout(node.row)) if fact is not None else None
        if policy != before:
            self.columns.set_cpus(node.row, policy)
        return policy != before

    def _drop_node_if_idle(self, node: Node) -> None:
        if node.fact is None and not node.tasks:
            del self.nodes[node.name]
            del self.node_at[node.row]
            self.devices.set(node.row, (), ())
            self.device_claims.rooms.forget(node.row)
            self.numa.forget(node.row)
            if self.columns.cpus_of(node.row) is not None:
                self.columns.set_cpus(node.row, None)
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
