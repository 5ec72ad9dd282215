"""What every Kubernetes object has: the base Struct, metadata, owners, conditions, lists.

The Structs of this package are *narrow*: they hold the union of the fields that flowbatch reads, and msgspec skips
everything else in C. They are never written back whole; writes are patches. Whatever must survive a round trip
untouched (pod templates, volume claims) is kept as plain JSON values.
"""

from datetime import datetime
from typing import Any

import msgspec

#: A JSON object whose content flowbatch carries but does not interpret.
JsonObject = dict[str, Any]


class Wire(msgspec.Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all wire types: camelCase names, unset fields omitted, unknown fields skipped.

    `gc=False` keeps full collections short with 50,000 cached objects; it is safe because JSON trees have no cycles.
    """


class OwnerReference(Wire, frozen=True, kw_only=True):
    """metav1.OwnerReference."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Wire, frozen=True, kw_only=True):
    """metav1.ObjectMeta, without managedFields."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generate_name: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`, or `name` for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages this object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class Statement(Wire, frozen=True, kw_only=True):
    """What a condition says, without since when."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""


class Condition(Statement, frozen=True, kw_only=True):
    """metav1.Condition and its older relatives (PodCondition, NodeCondition, PodGroupCondition)."""

    last_transition_time: datetime | None = None
    observed_generation: int = 0
    #: PodGroup only: the id of the scheduling decision that wrote it.
    transition_id: str = msgspec.field(default="", name="transitionID")


class ListMeta(Wire, frozen=True, kw_only=True):
    """metav1.ListMeta."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class LabelSelectorRequirement(Wire, frozen=True, kw_only=True):
    """metav1.LabelSelectorRequirement; operators In, NotIn, Exists, DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Wire, frozen=True, kw_only=True):
    """metav1.LabelSelector: all of its parts must hold; the empty one selects everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
