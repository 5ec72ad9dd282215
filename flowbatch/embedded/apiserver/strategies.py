"""What single kinds do beyond the general rules: defaults, checks on create, checks on update.

A `Strategy` holds plain functions; kinds without a line here are stored as they come. Controllers that fill status
live elsewhere; nothing here waits.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.metadata import check_labels
from flowbatch.embedded.apiserver.pods import (
    check_pod_spec,
    check_pod_update,
    default_pod,
    default_pod_spec,
    tolerate_lost_nodes,
)
from flowbatch.embedded.apiserver.refusals import Cause, forbidden_field, invalid_value, required, unsupported_value
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.workloads import TEMPLATED, default_workload

Default = Callable[[JsonObject], None]
Check = Callable[[JsonObject], list[Cause]]
CheckUpdate = Callable[[JsonObject, JsonObject], list[Cause]]


def _nothing(obj: JsonObject) -> None:
    return


def _fine(obj: JsonObject) -> list[Cause]:
    return []


def _fine_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True)
class Strategy:
    """`default` runs on every write, `create` on creation only; the checks return what is wrong."""

    default: Default = _nothing
    create: Default = _nothing
    check: Check = _fine
    check_update: CheckUpdate = _fine_update


def reset_status(obj: JsonObject) -> None:
    """A new object's status is the controllers' business."""
    obj["status"] = {}


def _default_namespace(obj: JsonObject) -> None:
    if obj["metadata"].get("name"):
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"]["name"]}


def _create_namespace(obj: JsonObject) -> None:
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def _default_service(obj: JsonObject) -> None:
    spec = obj.setdefault("spec", {})
    kind = spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if kind == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec.get("clusterIP"):
        spec["clusterIPs"] = [spec["clusterIP"]]


def _create_service(obj: JsonObject) -> None:
    obj["status"] = {"loadBalancer": {}}


def _check_service(obj: JsonObject) -> list[Cause]:
    spec, causes = obj["spec"], []
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in kinds:
        causes.append(unsupported_value("spec.type", spec["type"], kinds))
    headless = spec.get("clusterIP") == "None" or spec["type"] == "ExternalName"
    if not spec.get("ports") and not headless:
        causes.append(required("spec.ports"))
    for index, port in enumerate(spec.get("ports") or ()):
        if not 1 <= (port.get("port") or 0) <= 65535:
            why = "must be between 1 and 65535, inclusive"
            causes.append(invalid_value(f"spec.ports[{index}].port", port.get("port") or 0, why))
        if len(spec["ports"]) > 1 and not port.get("name"):
            causes.append(required(f"spec.ports[{index}].name"))
    return causes


def _check_service_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after != before and "ExternalName" not in (new["spec"]["type"], old["spec"]["type"]):
        return [invalid_value("spec.clusterIPs[0]", [after], "may not change once set")]
    return []


def _default_secret(obj: JsonObject) -> None:
    if obj.get("stringData"):
        text = {key: base64.b64encode(value.encode()).decode() for key, value in obj["stringData"].items()}
        obj["data"] = {**(obj.get("data") or {}), **text}
    obj.pop("stringData", None)
    obj.setdefault("type", "Opaque")


_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def _check_data(obj: JsonObject) -> list[Cause]:
    causes = []
    for field in ("data", "binaryData"):
        for key in obj.get(field) or ():
            if not _DATA_KEY.fullmatch(key) or key in (".", ".."):
                why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                causes.append(invalid_value(f"{field}[{key}]", key, why))
    return causes


def _check_secret(obj: JsonObject) -> list[Cause]:
    causes = _check_data(obj)
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value or "", validate=True)
        except ValueError:
            causes.append(invalid_value(f"data[{key}]", "<not shown>", "is not base64"))
    return causes


def _check_frozen_data(new: JsonObject, old: JsonObject) -> list[Cause]:
    if old.get("immutable"):
        changed = [field for field in ("data", "binaryData", "immutable") if new.get(field) != old.get(field)]
        return [forbidden_field(field, "field is immutable when `immutable` is set") for field in changed]
    return []


def _check_secret_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    causes = _check_frozen_data(new, old)
    if new.get("type") != old.get("type"):
        causes.append(invalid_value("type", new.get("type"), "field is immutable"))
    return causes


def _create_claim(obj: JsonObject) -> None:
    obj["status"] = {"phase": "Pending"}


def _default_claim(obj: JsonObject) -> None:
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _default_volume(obj: JsonObject) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")


def _default_priority_class(obj: JsonObject) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
    obj.setdefault("value", 0)


def _default_storage_class(obj: JsonObject) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


#: User-made priority classes end here; above are the system's own.
HIGHEST_USER_PRIORITY = 1_000_000_000


def _check_priority_class(obj: JsonObject) -> list[Cause]:
    name, value = obj["metadata"].get("name") or "", obj.get("value") or 0
    causes = []
    if name.startswith("system-") and name not in ("system-cluster-critical", "system-node-critical"):
        causes.append(
            forbidden_field(
                "metadata.name", "priority class names with 'system-' prefix are reserved for system use only"
            )
        )
    if value > HIGHEST_USER_PRIORITY and not name.startswith("system-"):
        causes.append(
            forbidden_field("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}")
        )
    return causes


def _check_priority_class_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    causes = []
    if new.get("value") != old.get("value"):
        causes.append(forbidden_field("value", "may not be changed in an update."))
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        causes.append(invalid_value("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable"))
    return causes


def _check_lease(obj: JsonObject) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = []
    for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        if spec.get(field) is not None and spec[field] < least:
            why = f"must be greater than {'or equal to ' if least == 0 else ''}0"
            causes.append(invalid_value(f"spec.{field}", spec[field], why))
    return causes


def _default_template(obj: JsonObject) -> None:
    spec = (obj.get("template") or {}).get("spec")
    if isinstance(spec, dict):
        default_pod_spec(spec)


def _default_pod_again(obj: JsonObject) -> None:
    if isinstance(obj.get("spec"), dict):
        default_pod_spec(obj["spec"])
        tolerate_lost_nodes(obj["spec"])


def _create_pod(obj: JsonObject) -> None:
    if isinstance(obj.get("spec"), dict):
        default_pod(obj)
    else:
        obj["spec"] = {"containers": []}
        default_pod(obj)


def _check_pod(obj: JsonObject) -> list[Cause]:
    return check_pod_spec(obj.get("spec") or {}, "spec")


def _workload(type_name: str) -> Strategy:
    return Strategy(
        default=lambda obj: default_workload(type_name, obj),
        create=reset_status,
        check=_check_workload if type_name in TEMPLATED and type_name != "core.v1.ReplicationController" else _fine,
        check_update=_check_selector_update,
    )


def _check_workload(obj: JsonObject) -> list[Cause]:
    spec = obj["spec"]
    template: Any = spec.get("template") or {}
    causes = check_pod_spec(template.get("spec") or {}, "spec.template.spec")
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes += check_labels(labels, "spec.template.metadata.labels")
    selector = spec.get("selector")
    if selector is None:
        causes.append(required("spec.selector"))
    elif any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        causes.append(
            invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
        )
    if isinstance(spec.get("replicas"), int) and spec["replicas"] < 0:
        causes.append(invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0"))
    return causes


def _check_selector_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    if new["spec"].get("selector") != old["spec"].get("selector"):
        return [invalid_value("spec.selector", new["spec"].get("selector"), "field is immutable")]
    return []


STRATEGIES: dict[str, Strategy] = {
    "core.v1.Pod": Strategy(_default_pod_again, _create_pod, _check_pod, check_pod_update),
    "core.v1.Namespace": Strategy(_default_namespace, _create_namespace),
    "core.v1.Service": Strategy(_default_service, _create_service, _check_service, _check_service_update),
    "core.v1.ConfigMap": Strategy(check=_check_data, check_update=_check_frozen_data),
    "core.v1.Secret": Strategy(_default_secret, check=_check_secret, check_update=_check_secret_update),
    "core.v1.PersistentVolumeClaim": Strategy(_default_claim, _create_claim),
    "core.v1.PersistentVolume": Strategy(_default_volume, _create_claim),
    "core.v1.PodTemplate": Strategy(_default_template),
    "core.v1.ResourceQuota": Strategy(create=reset_status),
    "scheduling.v1.PriorityClass": Strategy(
        _default_priority_class, check=_check_priority_class, check_update=_check_priority_class_update
    ),
    "coordination.v1.Lease": Strategy(check=_check_lease),
    "policy.v1.PodDisruptionBudget": Strategy(create=reset_status),
    "networking.v1.Ingress": Strategy(create=_create_service),
    "storage.v1.StorageClass": Strategy(_default_storage_class),
    "autoscaling.v1.HorizontalPodAutoscaler": Strategy(create=reset_status),
    "resource.v1.ResourceClaim": Strategy(create=reset_status),
    **{name: _workload(name) for name in (*sorted(TEMPLATED), "batch.v1.CronJob")},
}
_PLAIN = Strategy()


def strategy_of(resource: Resource) -> Strategy:
    """The strategy of a resource; custom resources and most kinds have the plain one."""
    return STRATEGIES.get(resource.type_name, _PLAIN)
