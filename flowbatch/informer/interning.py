"""Equal parts of many objects kept once.

The pods of a gang share their containers, tolerations, affinity and owner, and people have tens of thousands of such
pods. Parts may hold dicts and so have no hash of their own; the hash of what msgspec encodes them to leads to the part
that may be equal, and comparing the two decides. The tables are bounded: a full one is emptied, which costs memory for
a while but never truth.
"""

from collections.abc import Callable
from copy import copy
from sys import intern
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr

from flowbatch.api.core import ContainerImage, ContainerStatus, Node, Pod, PodSpec, PodStatus
from flowbatch.api.kinds import NODE, POD, POD_GROUP, Kind
from flowbatch.api.meta import ObjectMeta, OwnerReference, Statement
from flowbatch.api.scheduling import PodGroup

P = TypeVar("P")

#: Parts and texts remembered for each kind.
TABLE_SIZE = 1 << 16
#: Sets of label names remembered; people who invent a label per pod get ordinary dicts.
NAME_SETS = 512

_encode = msgspec.msgpack.Encoder().encode


class PartTable:
    """Parts by the hash of what they are encoded to."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: dict[int, Any] = {}

    def part(self, part: P) -> P:
        """The part seen before that equals this one, else this one."""
        key = hash(_encode(part))
        known: Any = self._parts.get(key)
        if known == part:
            found: P = known
            return found
        if len(self._parts) > self._size:
            self._parts.clear()
        self._parts[key] = part
        return part

    def owners(self, owners: tuple[OwnerReference, ...]) -> tuple[OwnerReference, ...]:
        """The same for owners: new ones share at least the words for what kind of thing they are."""
        found = self.part(owners)
        if found is owners:
            for each in owners:
                force_setattr(each, "api_version", intern(each.api_version))
                force_setattr(each, "kind", intern(each.kind))
        return found


class PodParts:
    """Shares what pods have in common: all of the spec but the node, the owners, conditions, label values.

    Each call costs as much as decoding half a pod; so it looks only at parts that are new, and first at those of the
    pod before, which is mostly of the same gang.
    """

    def __init__(self, size: int = TABLE_SIZE) -> None:
        self._size = size
        self._table = PartTable(size)
        self._name_sets: dict[tuple[str, ...], type] = {}
        self._texts: dict[str, str] = {}
        self._last_spec = PodSpec()
        self._last_owners: tuple[OwnerReference, ...] = ()
        self._last_said: tuple[tuple[Statement, ...], tuple[ContainerStatus, ...]] = ((), ())

    def __call__(self, pod: Pod, held: Pod | None) -> None:
        """Make the parts of `pod` that it does not already share with `held`, its former self, one with equal ones."""
        if len(self._texts) > self._size:
            self._texts.clear()
        if held is None or pod.spec is not held.spec:
            force_setattr(pod, "spec", self._spec(pod.spec))
        if held is None or pod.metadata is not held.metadata:
            self._metadata(pod.metadata)
        if held is None or pod.status is not held.status:
            self._status(pod.status)

    def _spec(self, spec: PodSpec) -> PodSpec:
        """The spec that equals `spec`. Pods of a gang differ in their node only, so that alone is kept for each."""
        node = spec.node_name
        if node:
            force_setattr(spec, "node_name", "")
        if self._last_spec != spec:
            self._last_spec = self._table.part(spec)
        if not node:
            return self._last_spec
        placed = copy(self._last_spec)
        force_setattr(placed, "node_name", self._texts.setdefault(node, node))
        return placed

    def _metadata(self, metadata: ObjectMeta) -> None:
        namespace, owners = metadata.namespace, metadata.owner_references
        force_setattr(metadata, "namespace", self._texts.setdefault(namespace, namespace))
        if owners:
            if owners != self._last_owners:
                self._last_owners = self._table.owners(owners)
            force_setattr(metadata, "owner_references", self._last_owners)
        if metadata.labels:
            force_setattr(metadata, "labels", self._dict(metadata.labels))
        if metadata.annotations:
            force_setattr(metadata, "annotations", self._dict(metadata.annotations))

    def _dict(self, texts: dict[str, str]) -> dict[str, str]:
        """The same dict at half the size: its values shared, and its keys.

        Dicts of the instances of one class share their keys (PEP 412), so each set of names gets a class.
        """
        names = tuple(texts)
        shape = self._name_sets.get(names)
        if shape is None:
            if len(self._name_sets) >= NAME_SETS:
                return texts
            shape = self._name_sets[names] = type("Names", (), {})
        small: dict[str, str] = vars(shape())
        text = self._texts.setdefault
        for name, value in texts.items():
            small[name] = text(value, value)
        return small

    def _status(self, status: PodStatus) -> None:
        force_setattr(status, "phase", intern(status.phase))
        # All at once: what these say of a moment, they say together.
        if status.conditions:
            said = (status.conditions, status.container_statuses)
            if said != self._last_said:
                self._last_said = self._table.part(said)
            force_setattr(status, "conditions", self._last_said[0])
            force_setattr(status, "container_statuses", self._last_said[1])
        host = status.host_ip
        if host:
            force_setattr(status, "host_ip", self._texts.setdefault(host, host))


class GroupParts:
    """Shares what PodGroups have in common: the specs of jobs that are alike, and words of which there are few."""

    def __init__(self, size: int = TABLE_SIZE) -> None:
        self._table = PartTable(size)

    def __call__(self, group: PodGroup, held: PodGroup | None) -> None:
        """The same for `group` and its former self."""
        metadata, spec, status = group.metadata, group.spec, group.status
        if held is None or spec is not held.spec:
            force_setattr(group, "spec", self._table.part(spec))
        if held is None or metadata is not held.metadata:
            force_setattr(metadata, "namespace", intern(metadata.namespace))
            force_setattr(metadata, "owner_references", self._table.owners(metadata.owner_references))
        if held is None or status is not held.status:
            force_setattr(status, "phase", intern(status.phase))


class NodeParts:
    """Shares the container images that nodes list: fifty each, with long names, and mostly the same ones."""

    def __init__(self, size: int = TABLE_SIZE) -> None:
        self._size = size
        self._images: dict[ContainerImage, ContainerImage] = {}

    def __call__(self, node: Node, held: Node | None) -> None:
        """Make the images of `node` those that other nodes have already listed."""
        images = node.status.images
        if not images or (held is not None and images is held.status.images):
            return
        if len(self._images) > self._size:
            self._images.clear()
        shared = tuple(self._images.setdefault(image, image) for image in images)
        force_setattr(node.status, "images", shared)


def parts_of(kind: Kind[Any]) -> Callable[[Any, Any], None] | None:
    """What shares the parts of a kind's objects; None for kinds of which there are too few to matter."""
    makers: dict[Kind[Any], Callable[[], Callable[[Any, Any], None]]] = {
        NODE: NodeParts,
        POD: PodParts,
        POD_GROUP: GroupParts,
    }
    make = makers.get(kind)
    return make() if make is not None else None
