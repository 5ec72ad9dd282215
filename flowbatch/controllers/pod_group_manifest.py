"""The PodGroup of pods that no job made: a pure function of the pod, its owners and its namespace (volcano.md 6.2)."""

import json
from collections.abc import Sequence

import msgspec

from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD, POD_GROUP
from flowbatch.api.meta import JsonObject, ObjectMeta
from flowbatch.api.names import (
    DEFAULT_QUEUE,
    GROUP_MIN_MEMBER,
    GROUP_MIN_RESOURCES,
    NETWORK_TOPOLOGY_HIGHEST_TIER,
    NETWORK_TOPOLOGY_MODE,
    SCHEDULING_QUEUE_NAME,
)
from flowbatch.api.quantity import QuantityError, format_amount
from flowbatch.api.requests import pod_requests
from flowbatch.api.scheduling import PodGroupSpec
from flowbatch.controllers.difference import difference

#: Annotations that a PodGroup takes over from its pod and the pod's owners.
INHERITED_PREFIX = "volcano.sh/"


def group_name(pod: Pod) -> str:
    """The PodGroup's name: one for all pods of an owner, else one for the pod."""
    owner = pod.metadata.controller
    return f"podgroup-{owner.uid if owner else pod.metadata.uid}"


def pod_group(pod: Pod, owners: Sequence[ObjectMeta], namespace: ObjectMeta | None) -> JsonObject:
    """The manifest. `owners` go from the nearest up; what the pod says wins over them, and they over the namespace."""
    sources = [pod.metadata, *owners]
    members = _min_members(sources)
    spec: JsonObject = {"minMember": members, "queue": _queue(sources, namespace)}
    if (least := _min_resources(pod, sources, members)) is not None:
        spec["minResources"] = least
    if (topology := _topology(sources)) is not None:
        spec["networkTopology"] = topology
    if pod.spec.priority_class_name:
        spec["priorityClassName"] = pod.spec.priority_class_name
    metadata: JsonObject = {
        "name": group_name(pod),
        "namespace": pod.metadata.namespace,
        "ownerReferences": [_owner_reference(pod)],
    }
    if inherited := _inherited(sources):
        metadata["annotations"] = inherited
    return {
        "apiVersion": POD_GROUP.api_version,
        "kind": POD_GROUP.kind,
        "metadata": metadata,
        "spec": spec,
    }


def stated(pod: Pod, owners: Sequence[ObjectMeta], spec: JsonObject) -> JsonObject:
    """The part of the spec that annotations ask for by name: what a group that exists already must follow.

    The rest may have been changed by hand since, and stays.
    """
    sources = [pod.metadata, *owners]
    said = {
        "minMember": _first(sources, GROUP_MIN_MEMBER),
        "minResources": _first(sources, GROUP_MIN_RESOURCES) or _first(sources, GROUP_MIN_MEMBER),
        "networkTopology": _first(sources, NETWORK_TOPOLOGY_MODE) or _first(sources, NETWORK_TOPOLOGY_HIGHEST_TIER),
    }
    return {name: spec[name] for name, text in said.items() if text and name in spec}


def renewal(found: PodGroupSpec, said: JsonObject) -> JsonObject:
    """What has to change in a group's spec to agree with what annotations say now."""
    wanted: JsonObject = msgspec.to_builtins(msgspec.convert(said, PodGroupSpec))
    there: JsonObject = msgspec.to_builtins(found)
    return difference({name: there[name] for name in wanted if name in there}, wanted)


def _owner_reference(pod: Pod) -> JsonObject:
    owner = pod.metadata.controller
    if owner is None:
        meta = pod.metadata
        return {
            "apiVersion": POD.api_version,
            "kind": POD.kind,
            "name": meta.name,
            "uid": meta.uid,
            "controller": True,
        }
    return {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def _first(sources: Sequence[ObjectMeta], annotation: str) -> str:
    return next((found for each in sources if (found := each.annotations.get(annotation))), "")


def _topology(sources: Sequence[ObjectMeta]) -> JsonObject | None:
    """How close the pods must be; what cannot be read is not said, so that they run at all."""
    mode, tier = _first(sources, NETWORK_TOPOLOGY_MODE), _first(sources, NETWORK_TOPOLOGY_HIGHEST_TIER)
    bounded = tier.isdecimal() and len(tier) < 10
    if mode not in ("hard", "soft") and (mode or not bounded):
        return None
    return {"mode": mode or "hard", **({"highestTierAllowed": int(tier)} if bounded else {})}


def _min_members(sources: Sequence[ObjectMeta]) -> int:
    text = _first(sources, GROUP_MIN_MEMBER)
    # An unreadable number must not keep a pod from ever running: one member is what it gets without the annotation.
    return max(1, int(text)) if text.isdecimal() and len(text) < 10 else 1


def _queue(sources: Sequence[ObjectMeta], namespace: ObjectMeta | None) -> str:
    named = _first(sources, SCHEDULING_QUEUE_NAME)
    return named or (namespace.annotations.get(SCHEDULING_QUEUE_NAME) if namespace else "") or DEFAULT_QUEUE


def _min_resources(pod: Pod, sources: Sequence[ObjectMeta], members: int) -> JsonObject | None:
    """What the whole gang needs before it may start: stated, else this pod's requests times the members."""
    stated = _first(sources, GROUP_MIN_RESOURCES)
    if stated:
        try:
            read = json.loads(stated)
        except ValueError:
            read = None
        if isinstance(read, dict) and all(isinstance(value, str | int | float) for value in read.values()):
            return read
    try:
        asked = pod_requests(pod.spec)
    except QuantityError:
        return None
    return {name: format_amount(name, units * members) for name, units in asked} or None


def _inherited(sources: Sequence[ObjectMeta]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in reversed(sources):
        found.update((key, value) for key, value in each.annotations.items() if key.startswith(INHERITED_PREFIX))
    return found
