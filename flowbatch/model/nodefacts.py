"""What nodes are, which domains of the network they are in, and what storage there is."""

from flowbatch.model.asks import Device
from flowbatch.model.claimfacts import ClaimFact, DeviceClaimGone, DeviceClaimSeen
from flowbatch.model.facts import (
    AttachSeen,
    ClaimGone,
    ClaimSeen,
    ClaimsHidden,
    ClassGone,
    ClassSeen,
    HyperNodeGone,
    HyperNodeSeen,
    NodeSeen,
    NumaGone,
    NumaSeen,
    VolumeGone,
    VolumeSeen,
)
from flowbatch.model.ids import NodeName, Row
from flowbatch.model.nodes import Node
from flowbatch.model.whereabouts import Whereabouts


class NodeFacts(Whereabouts):
    """Takes in facts about nodes and what is around them."""

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
        self.device_claims.rooms.forget(node.row)
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

    def observe_numa(self, fact: NumaSeen | NumaGone) -> None:
        """The cpus of a node as they now are; those of a node that nobody has shown us wait for it."""
        facts, name = self.numa.facts, fact.node
        if facts.get(name) == (fact if isinstance(fact, NumaSeen) else None):
            return
        if isinstance(fact, NumaSeen):
            facts[name] = fact
        else:
            del facts[name]
        node = self.nodes.get(name)
        if node is None:
            return
        before = self.numa.layout(node.row)
        if self._show_cpus(node):
            self.changes.nodes[node.row] = None
        for task in node.tasks.values():
            self._hold_cpus(task)
        self.changes.freed[node.row] = None
        if before != self.numa.layout(node.row) or self._cpus_lost(node.row):
            self._drop_reservations(node.row)

    def _cpus_lost(self, row: Row) -> bool:
        """A kubelet has given away cpus that are kept for members to come."""
        if not self.table.reserved[:, row].any():
            return False
        return any(
            at == row and not self.numa.has(row, cpus)
            for gang in self.gangs.values()
            for each in gang.reservations
            for at, cpus in zip(each.rows.repeat(each.counts).tolist(), each.cpus or (), strict=bool(each.cpus))
        )

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

    # -- devices that are claimed

    def observe_devices(self, fact: ClaimFact) -> None:
        """A claim, a class or a pool: those who wait for devices are tried again, where those are."""
        claims, changes = self.device_claims, self.changes
        own = claims.is_own(fact)
        claims.see(fact)
        changes.devices = changes.devices or not own or bool(claims.moved)
        changes.freed |= claims.moved
        if isinstance(fact, DeviceClaimSeen | DeviceClaimGone):
            self.charge_claim(fact.id)
        else:
            changes.nodes |= claims.moved

    def keep_devices(self, claim: str) -> None:
        """What it was given was not taken back: its pods may use it, and are tried once more."""
        self.device_claims.releasing.pop(claim, None)
        self.changes.devices = True

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
