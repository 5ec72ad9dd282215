"""What a pod gets from the resource group that means it, when it is made."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from flowbatch.admission.resource_groups import ResourceGroup
from flowbatch.api.meta import JsonObject
from flowbatch.workload.rules.reading import dict_of, list_of, text_of

RESOURCE_GROUP = "volcano.sh/resource-group"
#: What Kubernetes writes into a pod that names no scheduler.
UNNAMED_SCHEDULER = "default-scheduler"


def placed(pod: JsonObject, namespace: str, groups: Sequence[ResourceGroup]) -> JsonObject:
    """The pod with what the first group that means it gives; the pod itself, if none does."""
    for group in groups:
        if _meant(group, pod, namespace):
            return {**pod, "spec": _spec(dict_of(pod, "spec"), group)}
    return pod


def _meant(group: ResourceGroup, pod: JsonObject, namespace: str) -> bool:
    annotations = dict_of(pod, "metadata", "annotations")
    match group.object.key:
        case "namespace":
            return namespace in group.object.value
        case "annotation":
            pairs = (each.partition(":") for each in group.object.value)
            return any(text_of(annotations, key.strip()) == value.strip() != "" for key, _, value in pairs)
        case _:
            return text_of(annotations, RESOURCE_GROUP) == group.resource_group != ""


def _spec(spec: JsonObject, group: ResourceGroup) -> JsonObject:
    full = dict(spec)
    if group.labels:
        full["nodeSelector"] = {**dict_of(spec, "nodeSelector"), **group.labels}
    affinity = _affinity(group)
    if affinity and not spec.get("affinity"):
        full["affinity"] = affinity
    new = [each for each in group.tolerations if each not in list_of(spec, "tolerations")]
    if new:
        full["tolerations"] = [*list_of(spec, "tolerations"), *new]
    if group.scheduler_name and text_of(spec, "schedulerName") in ("", UNNAMED_SCHEDULER):
        full["schedulerName"] = group.scheduler_name
    return full


def _affinity(group: ResourceGroup) -> Mapping[str, Any]:
    if isinstance(group.affinity, dict):
        return group.affinity
    return msgspec.json.decode(group.affinity, type=dict[str, Any]) if group.affinity else {}
