"""Defaults and checks of the core kinds other than pods: namespaces, services, data, claims, classes and leases."""

import base64
import re

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import Cause, forbidden_field, invalid_value, required, unsupported_value


def default_namespace(obj: JsonObject) -> None:
    """Every namespace carries its name as a label."""
    if obj["metadata"].get("name"):
        labels = obj["metadata"].get("labels") or {}
        obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"]["name"]}


def create_namespace(obj: JsonObject) -> None:
    """A new namespace is active and held by its finalizer."""
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def default_service(obj: JsonObject) -> None:
    """Types, protocols, target ports and the one IP family there is."""
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


def create_service(obj: JsonObject) -> None:
    """A fresh load balancer status; ingresses have the same."""
    obj["status"] = {"loadBalancer": {}}


def check_service(obj: JsonObject) -> list[Cause]:
    """A known type, and ports that are in range and told apart."""
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


def check_service_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    """A cluster address stays."""
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and after != before and "ExternalName" not in (new["spec"]["type"], old["spec"]["type"]):
        return [invalid_value("spec.clusterIPs[0]", [after], "may not change once set")]
    return []


def default_secret(obj: JsonObject) -> None:
    """`stringData` becomes `data`; the type is Opaque unless said otherwise."""
    if obj.get("stringData"):
        text = {key: base64.b64encode(value.encode()).decode() for key, value in obj["stringData"].items()}
        obj["data"] = {**(obj.get("data") or {}), **text}
    obj.pop("stringData", None)
    obj.setdefault("type", "Opaque")


_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def check_data(obj: JsonObject) -> list[Cause]:
    """Keys become file names, so they are restricted."""
    causes = []
    for field in ("data", "binaryData"):
        for key in obj.get(field) or ():
            if not _DATA_KEY.fullmatch(key) or key in (".", ".."):
                why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                causes.append(invalid_value(f"{field}[{key}]", key, why))
    return causes


def check_secret(obj: JsonObject) -> list[Cause]:
    """Keys as in ConfigMaps; values in base64. Values are never shown."""
    causes = check_data(obj)
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value or "", validate=True)
        except ValueError:
            causes.append(invalid_value(f"data[{key}]", "<not shown>", "is not base64"))
    return causes


def check_frozen_data(new: JsonObject, old: JsonObject) -> list[Cause]:
    """Data marked immutable stays."""
    if old.get("immutable"):
        changed = [field for field in ("data", "binaryData", "immutable") if new.get(field) != old.get(field)]
        return [forbidden_field(field, "field is immutable when `immutable` is set") for field in changed]
    return []


def check_secret_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    """As ConfigMaps; and the type stays."""
    causes = check_frozen_data(new, old)
    if new.get("type") != old.get("type"):
        causes.append(invalid_value("type", new.get("type"), "field is immutable"))
    return causes


def create_claim(obj: JsonObject) -> None:
    """Nothing binds volumes here: claims and volumes begin as Pending."""
    obj["status"] = {"phase": "Pending"}


def default_claim(obj: JsonObject) -> None:
    """A claim asks for a file system unless it says Block."""
    obj.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def default_volume(obj: JsonObject) -> None:
    """A volume is a file system and is kept."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")


def default_priority_class(obj: JsonObject) -> None:
    """Preempting, of value 0."""
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
    obj.setdefault("value", 0)


def default_storage_class(obj: JsonObject) -> None:
    """Volumes are deleted with their claims and bound at once."""
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


#: User-made priority classes end here; above are the system's own.
HIGHEST_USER_PRIORITY = 1_000_000_000


def check_priority_class(obj: JsonObject) -> list[Cause]:
    """The system's names and the highest values are its own."""
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


def check_priority_class_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    """Pods have copied value and policy, so both stay."""
    causes = []
    if new.get("value") != old.get("value"):
        causes.append(forbidden_field("value", "may not be changed in an update."))
    if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
        causes.append(invalid_value("preemptionPolicy", new.get("preemptionPolicy"), "field is immutable"))
    return causes


def check_lease(obj: JsonObject) -> list[Cause]:
    """Durations are positive."""
    spec = obj.get("spec") or {}
    causes = []
    for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        if spec.get(field) is not None and spec[field] < least:
            why = f"must be greater than {'or equal to ' if least == 0 else ''}0"
            causes.append(invalid_value(f"spec.{field}", spec[field], why))
    return causes
