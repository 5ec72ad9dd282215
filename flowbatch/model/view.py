"""What policies may look at: everything, read-only. They get numbers only through here, and change nothing."""

from collections.abc import Mapping
from typing import Any, Protocol

from flowbatch.model.buckets import Buckets
from flowbatch.model.budgets import Budgets
from flowbatch.model.census import Census
from flowbatch.model.columns import NodeColumns
from flowbatch.model.deviceclaims import DeviceClaims
from flowbatch.model.devices import DeviceTable
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, Instant, NodeName, QueueName
from flowbatch.model.inquiry import Advice
from flowbatch.model.measured import Measured
from flowbatch.model.nodes import Node
from flowbatch.model.numa import NumaTable
from flowbatch.model.queues import QueueTree
from flowbatch.model.quotas import Quotas
from flowbatch.model.resources import Axes, Sums
from flowbatch.model.state import ClusterState
from flowbatch.model.table import NodeTable
from flowbatch.model.topology import Topology
from flowbatch.model.volumes import Volumes


class ClusterView(Protocol):
    """The cluster as it is in this moment of this decision, tentative placements included."""

    @property
    def now(self) -> Instant:
        """When this cycle began."""
        ...

    @property
    def gang(self) -> Gang | None:
        """Whose pods are being placed, or judged, right now; None outside of that."""
        ...

    @property
    def buckets(self) -> Buckets | None:
        """Which of its pods should be side by side, where `gang` says so."""
        ...

    @property
    def axes(self) -> Axes:
        """Names of resources."""
        ...

    @property
    def table(self) -> NodeTable:
        """Numbers of nodes; read only."""
        ...

    @property
    def columns(self) -> NodeColumns:
        """Labels, taints and cordons of nodes."""
        ...

    @property
    def devices(self) -> DeviceTable:
        """Devices that pods share; read only."""
        ...

    @property
    def device_claims(self) -> DeviceClaims:
        """Devices that pods claim, and who uses which; read only."""
        ...

    @property
    def numa(self) -> NumaTable:
        """Cpus that pods have for themselves; read only."""
        ...

    @property
    def census(self) -> Census:
        """Which shapes have asked for them."""
        ...

    @property
    def topology(self) -> Topology:
        """Network domains; read only."""
        ...

    @property
    def volumes(self) -> Volumes:
        """Claims, volumes, classes and who uses them; read only."""
        ...

    @property
    def nodes(self) -> Mapping[NodeName, Node]:
        """Nodes by name."""
        ...

    @property
    def gangs(self) -> Mapping[GangId, Gang]:
        """Gangs by id."""
        ...

    @property
    def queues(self) -> QueueTree:
        """The queue tree."""
        ...

    def held_in_group(self, queue: QueueName, group: str) -> Mapping[int, int]:
        """What a queue, and everything below it, holds on nodes of a group; counted where a policy limits it."""
        ...

    @property
    def quotas(self) -> Quotas:
        """ResourceQuotas of namespaces, and what is promised there."""
        ...

    @property
    def budgets(self) -> Budgets:
        """Disruption budgets; read only."""
        ...

    @property
    def total(self) -> Sums:
        """Capacity of all ready nodes."""
        ...

    @property
    def used(self) -> Sums:
        """Held by every pod on any node, and reserved."""
        ...

    @property
    def inqueue(self) -> Sums:
        """Promised to admitted gangs that have not started."""
        ...

    @property
    def measured(self) -> Measured:
        """Measured use of nodes, in parts per thousand of their allocatable."""
        ...

    @property
    def advice(self) -> Mapping[GangId, Advice]:
        """What extenders have answered about gangs, lately."""
        ...

    @property
    def ledgers(self) -> Mapping[Any, Any]:
        """What each of the policy's ledger classes has made for this engine."""
        ...


class View:
    """The view of one engine; `now` is set when a cycle begins."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self.now = Instant(0)
        self.gang: Gang | None = None
        self.buckets: Buckets | None = None
        self.measured = Measured()
        self.advice: Mapping[GangId, Advice] = {}
        self.ledgers: Mapping[Any, Any] = {}
        self.axes = state.axes
        self.table = state.table
        self.columns = state.columns
        self.volumes = state.volumes
        self.devices = state.devices
        self.device_claims = state.device_claims
        self.numa = state.numa
        self.census = state.census
        self.topology = state.topology
        self.nodes: Mapping[NodeName, Node] = state.nodes
        self.gangs: Mapping[GangId, Gang] = state.gangs
        self.queues = state.queues
        self.quotas = state.quotas
        self.budgets = state.budgets

    def held_in_group(self, queue: QueueName, group: str) -> Mapping[int, int]:
        """See ClusterView."""
        use = self._state.group_use
        return use.of(queue, group) if use is not None else {}

    @property
    def total(self) -> Sums:
        """Capacity of all ready nodes."""
        return self._state.total

    @property
    def used(self) -> Sums:
        """Held by every pod on any node, and reserved."""
        return self._state.used

    @property
    def inqueue(self) -> Sums:
        """Promised to admitted gangs that have not started."""
        return self._state.inqueue
