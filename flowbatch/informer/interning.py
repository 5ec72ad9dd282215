"""Equal parts of many objects kept once.

The pods of a gang share their containers, tolerations, affinity and owner, and people have tens of thousands of such
pods. What msgspec encodes to equal bytes is equal, so those bytes are the key of a bounded table of parts already
seen; it works for parts that hold dicts and so have no hash.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from flowbatch.api.core import Pod, PodSpec, PodStatus
from flowbatch.api.kinds import POD, Kind
from flowbatch.api.meta import ObjectMeta

#: Parts and texts remembered for each kind; a full table is emptied, which costs memory for a while but never truth.
TABLE_SIZE = 1 << 16

_encode = msgspec.msgpack.Encoder().encode


class PodParts:
    """Shares what pods have in common: all of the spec but the node, the owners, conditions, label values."""

    def __init__(self, size: int = TABLE_SIZE) -> None:
        self._size = size
        self._parts: dict[bytes, Any] = {}
        self._texts: dict[Any, Any] = {}

    def __call__(self, pod: Pod, held: Pod | None) -> None:
        """Make the parts of `pod` that it does not already share with `held`, its former self, one with equal ones."""
        if len(self._parts) > self._size or len(self._texts) > self._size:
            self._parts.clear()
            self._texts.clear()
        if held is None or pod.spec is not held.spec:
            force_setattr(pod, "spec", self._spec(pod.spec))
        if held is None or pod.metadata is not held.metadata:
            self._metadata(pod.metadata)
        if held is None or pod.status is not held.status:
            self._status(pod.status)

    def _spec(self, spec: PodSpec) -> PodSpec:
        """The spec that equals `spec`; pods differ in their node only, so that alone is kept for each."""
        node = spec.node_name
        if node:
            force_setattr(spec, "node_name", "")
        key = _encode(spec)
        known: PodSpec | None = self._parts.get(key)
        if known is None:
            known = self._parts[key] = spec
        if not node:
            return known
        placed = copy(known)
        force_setattr(placed, "node_name", self._texts.setdefault(node, node))
        return placed

    def _metadata(self, metadata: ObjectMeta) -> None:
        text = self._texts.setdefault
        force_setattr(metadata, "namespace", text(metadata.namespace, metadata.namespace))
        if owners := metadata.owner_references:
            force_setattr(metadata, "owner_references", self._parts.setdefault(_encode(owners), owners))
        if labels := metadata.labels:
            values = labels.values()
            force_setattr(metadata, "labels", dict(zip(labels, map(text, values, values), strict=True)))
        if annotations := metadata.annotations:
            values = annotations.values()
            force_setattr(metadata, "annotations", dict(zip(annotations, map(text, values, values), strict=True)))

    def _status(self, status: PodStatus) -> None:
        part = self._parts.setdefault
        if conditions := status.conditions:
            force_setattr(status, "conditions", part(_encode(conditions), conditions))
        if containers := status.container_statuses:
            force_setattr(status, "container_statuses", part(_encode(containers), containers))
        if status.host_ip:
            force_setattr(status, "host_ip", self._texts.setdefault(status.host_ip, status.host_ip))


def parts_of(kind: Kind[Any]) -> Callable[[Any, Any], None] | None:
    """What shares the parts of a kind's objects; None for kinds of which there are too few to matter."""
    return PodParts() if kind is POD else None
