"""Claims, volumes, storage classes and attach limits: wire objects in, facts out, and the writes that bind them."""

from collections.abc import Iterable
from typing import Final

import msgspec

from flowbatch.api.core import (
    CSINode,
    NodeSelector,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PodSpec,
    StorageClass,
    TopologySelectorTerm,
)
from flowbatch.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from flowbatch.api.meta import JsonObject, ObjectMeta
from flowbatch.api.quantity import QuantityError, amount, scale_of
from flowbatch.engine import events
from flowbatch.kube.request import Request, patch_object
from flowbatch.model.ids import NodeName
from flowbatch.scheduler.peers import selector_tests

SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
BOUND_BY: Final = "pv.kubernetes.io/bound-by-controller"
#: A provisioner that makes nothing: volumes of such a class are made by hand.
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"


def claims_of(spec: PodSpec, meta: ObjectMeta) -> tuple[str, ...]:
    """Claims that a pod mounts, with those made for it."""
    named = [each.persistent_volume_claim.claim_name for each in spec.volumes if each.persistent_volume_claim]
    own = [f"{meta.name}-{each.name}" for each in spec.volumes if each.ephemeral is not None]
    return tuple(sorted({f"{meta.namespace}/{name}" for name in (*named, *own) if name}))


def claim_fact(claim: PersistentVolumeClaim) -> events.ClaimSeen:
    """A claim; it is bound once both sides say so, and lost once its volume is gone."""
    meta, spec, phase = claim.metadata, claim.spec, claim.status.phase
    return events.ClaimSeen(
        id=meta.key,
        uid=meta.uid,
        volume=spec.volume_name if phase in ("Bound", "Lost") else "",
        storage_class=spec.storage_class_name,
        capacity=_bytes(spec.resources.requests),
        modes=tuple(sorted(spec.access_modes)),
        block=spec.volume_mode == "Block",
        tests=selector_tests(spec.selector) if spec.selector is not None else None,
        selected=NodeName(meta.annotations.get(SELECTED_NODE, "")),
        deleting=meta.deletion_timestamp is not None,
        lost=phase == "Lost",
    )


def volume_fact(volume: PersistentVolume) -> events.VolumeSeen:
    """A volume, with whose it is."""
    meta, spec = volume.metadata, volume.spec
    owner, affinity = spec.claim_ref, spec.node_affinity
    return events.VolumeSeen(
        name=meta.name,
        uid=meta.uid,
        terms=selector_terms(affinity.required) if affinity is not None and affinity.required is not None else (),
        labels=tuple(sorted(meta.labels.items())),
        storage_class=spec.storage_class_name,
        capacity=_bytes(spec.capacity),
        modes=tuple(sorted(spec.access_modes)),
        block=spec.volume_mode == "Block",
        claim=f"{owner.namespace}/{owner.name}" if owner is not None and owner.name else "",
        driver=spec.csi.driver if spec.csi is not None else "",
        phase=volume.status.phase or "Available",
    )


def class_fact(each: StorageClass) -> events.ClassSeen:
    """A class; one that makes nothing has no provisioner here."""
    return events.ClassSeen(
        name=each.metadata.name,
        provisioner="" if each.provisioner == NO_PROVISIONER else each.provisioner,
        late=each.volume_binding_mode == "WaitForFirstConsumer",
        topologies=tuple(_topology(term) for term in each.allowed_topologies),
    )


def storage_fact(each: PersistentVolumeClaim | PersistentVolume | StorageClass | CSINode) -> events.Event:
    """Any of them."""
    match each:
        case PersistentVolumeClaim():
            return claim_fact(each)
        case PersistentVolume():
            return volume_fact(each)
        case StorageClass():
            return class_fact(each)
        case _:
            return attach_fact(each)


def attach_fact(each: CSINode) -> events.AttachSeen:
    """How much a node's drivers attach."""
    limits = [
        (driver.name, max(0, driver.allocatable.count))
        for driver in each.spec.drivers
        if driver.allocatable is not None and driver.allocatable.count is not None
    ]
    return events.AttachSeen(NodeName(each.metadata.name), tuple(sorted(limits)))


def selector_terms(selector: NodeSelector) -> tuple[events.Term, ...]:
    """The terms of which a node must pass one; a selector without any reaches no node."""
    found: Iterable[events.Term] = (
        (
            *(events.LabelTest(each.key, each.operator, each.values) for each in term.match_expressions),
            *(events.LabelTest(each.key, each.operator, each.values, field=True) for each in term.match_fields),
        )
        for term in selector.node_selector_terms
    )
    return tuple(found) or ((),)


def _topology(term: TopologySelectorTerm) -> events.Term:
    return tuple(events.LabelTest(each.key, "In", each.values) for each in term.match_label_expressions)


def _bytes(quantities: dict[str, str | int | float]) -> int:
    try:
        return amount(quantities.get("storage", 0), scale_of("storage"))
    except QuantityError:
        # The API server admits none such; a claim that cannot be read fits the largest volume only.
        return 2**60


class VolumeStep(msgspec.Struct, frozen=True):
    """What a step of kind "volume" says: see `policy.volumes`."""

    claim: str = ""
    uid: str = ""
    volume: str = ""
    node: str = ""
    bound: tuple[str, ...] = ()
    seconds: int = 0


def step_requests(step: VolumeStep) -> Request:
    """Give a volume to its claim, or tell whoever provisions which node to do it for."""
    namespace, _, name = step.claim.partition("/")
    if step.volume:
        owner = ObjectReference(
            api_version="v1", kind="PersistentVolumeClaim", namespace=namespace, name=name, uid=step.uid
        )
        body: JsonObject = {
            "metadata": {"annotations": {BOUND_BY: "yes"}},
            "spec": {"claimRef": msgspec.to_builtins(owner)},
        }
        return patch_object(PERSISTENT_VOLUME, step.volume, body)
    body = {"metadata": {"uid": step.uid, "annotations": {SELECTED_NODE: step.node}}}
    return patch_object(PERSISTENT_VOLUME_CLAIM, name, body, namespace)


def undo_request(step: VolumeStep) -> Request:
    """Take that back: somebody else may have the volume, or another node be selected."""
    namespace, _, name = step.claim.partition("/")
    if step.volume:
        return patch_object(
            PERSISTENT_VOLUME, step.volume, {"metadata": {"annotations": {BOUND_BY: None}}, "spec": {"claimRef": None}}
        )
    body: JsonObject = {"metadata": {"uid": step.uid, "annotations": {SELECTED_NODE: None}}}
    return patch_object(PERSISTENT_VOLUME_CLAIM, name, body, namespace)
