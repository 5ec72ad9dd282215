"""Columns of the built-in kinds, as `kubectl get` is used to."""

from datetime import datetime
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.columns import AGE, NAME, Column, age_of, at, read


def _statuses(pod: JsonObject, which: str) -> list[JsonObject]:
    found: list[JsonObject] = read(pod, f"status.{which}", [])
    return found


def _pod_ready(pod: JsonObject, now: datetime) -> str:
    statuses = _statuses(pod, "containerStatuses")
    total = len(read(pod, "spec.containers", []))
    return f"{sum(bool(each.get('ready')) for each in statuses)}/{total}"


def _pod_restarts(pod: JsonObject, now: datetime) -> str:
    return str(sum(each.get("restartCount", 0) for each in _statuses(pod, "containerStatuses")))


def _pod_status(pod: JsonObject, now: datetime) -> str:
    """The one word that kubectl shows: deletion first, then gates, init containers, then the last telling container."""
    status = read(pod, "status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    word = status.get("reason") or status.get("phase") or "Unknown"
    if any(each.get("reason") == "SchedulingGated" for each in status.get("conditions") or []):
        word = "SchedulingGated"
    for index, each in enumerate(_statuses(pod, "initContainerStatuses")):
        waiting = _init_word(each)
        if waiting is not None:
            total = len(read(pod, "spec.initContainers", []))
            return f"Init:{waiting}" if waiting else f"Init:{index}/{total}"
    for each in reversed(_statuses(pod, "containerStatuses")):
        word = _container_word(each) or word
    return str(word)


def _init_word(status: JsonObject) -> str | None:
    state = status.get("state") or {}
    ended = state.get("terminated")
    if ended is not None:
        return None if ended.get("exitCode") == 0 else ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
    if status.get("started") and status.get("ready"):
        return None
    reason = (state.get("waiting") or {}).get("reason")
    return reason if reason and reason != "PodInitializing" else ""


def _container_word(status: JsonObject) -> str | None:
    state = status.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting and waiting.get("reason"):
        return str(waiting["reason"])
    if ended:
        return ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
    return None


def _node_status(node: JsonObject, now: datetime) -> str:
    ready: JsonObject = next((each for each in read(node, "status.conditions", []) if each.get("type") == "Ready"), {})
    words = {"True": "Ready", "False": "NotReady"}
    word = words.get(ready.get("status", ""), "Unknown" if not ready else "NotReady")
    return word + (",SchedulingDisabled" if read(node, "spec.unschedulable", False) else "")


def _node_roles(node: JsonObject, now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in node["metadata"].get("labels") or {} if key.startswith(prefix)]
    return ",".join(sorted(roles)) or "<none>"


def _node_address(node: JsonObject, now: datetime) -> str:
    found = (each["address"] for each in read(node, "status.addresses", []) if each.get("type") == "InternalIP")
    return next(found, "<none>")


def _ports(service: JsonObject, now: datetime) -> str:
    shown = []
    for each in read(service, "spec.ports", []):
        node = f":{each['nodePort']}" if each.get("nodePort") else ""
        shown.append(f"{each.get('port')}{node}/{each.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _pairs(path: str) -> Any:
    def cell(obj: JsonObject, now: datetime) -> str:
        return ",".join(f"{key}={value}" for key, value in sorted(read(obj, path, {}).items())) or "<none>"

    return cell


def _count(path: str) -> Any:
    return lambda obj, now: len(read(obj, path, {}))


def _last_seen(event: JsonObject, now: datetime) -> str:
    stamp = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    return age_of(stamp, now)


def _event_object(event: JsonObject, now: datetime) -> str:
    about = event.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _replicas(path: str) -> Any:
    return lambda obj, now: f"{read(obj, path, 0)}/{read(obj, 'spec.replicas', 0)}"


def _job_status(job: JsonObject, now: datetime) -> str:
    held = {each.get("type") for each in read(job, "status.conditions", []) if each.get("status") == "True"}
    words = ("Complete", "Failed", "Suspended")
    return next((each for each in words if each in held), "Running")


_READY = Column("Ready", _replicas("status.readyReplicas"))

COLUMNS: dict[str, tuple[Column, ...]] = {
    "core.v1.Pod": (
        NAME,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _pod_restarts),
        AGE,
        Column("IP", at("status.podIP"), priority=1),
        Column("Node", at("spec.nodeName"), priority=1),
        Column("Nominated Node", at("status.nominatedNodeName"), priority=1),
        Column("Readiness Gates", at("spec.readinessGates"), priority=1),
    ),
    "core.v1.Node": (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _node_roles),
        AGE,
        Column("Version", at("status.nodeInfo.kubeletVersion", "")),
        Column("Internal-IP", _node_address, priority=1),
        Column("External-IP", lambda obj, now: "<none>", priority=1),
        Column("OS-Image", at("status.nodeInfo.osImage", "<unknown>"), priority=1),
        Column("Kernel-Version", at("status.nodeInfo.kernelVersion", "<unknown>"), priority=1),
        Column("Container-Runtime", at("status.nodeInfo.containerRuntimeVersion", "<unknown>"), priority=1),
    ),
    "core.v1.Namespace": (NAME, Column("Status", at("status.phase", "")), AGE),
    "core.v1.Service": (
        NAME,
        Column("Type", at("spec.type", "")),
        Column("Cluster-IP", at("spec.clusterIP")),
        Column("External-IP", at("spec.externalName")),
        Column("Port(s)", _ports),
        AGE,
        Column("Selector", _pairs("spec.selector"), priority=1),
    ),
    "core.v1.ConfigMap": (NAME, Column("Data", _count("data"), "string"), AGE),
    "core.v1.Secret": (NAME, Column("Type", at("type", "")), Column("Data", _count("data"), "string"), AGE),
    "core.v1.Event": (
        Column("Last Seen", _last_seen),
        Column("Type", at("type", "")),
        Column("Reason", at("reason", "")),
        Column("Object", _event_object),
        Column("Subobject", at("involvedObject.fieldPath", ""), priority=1),
        Column("Source", at("source.component", ""), priority=1),
        Column("Message", at("message", "")),
        Column("First Seen", lambda obj, now: age_of(obj.get("firstTimestamp"), now), priority=1),
        Column("Count", at("count", 1), "string", priority=1),
        Column("Name", at("metadata.name"), priority=1, format="name"),
    ),
    "core.v1.ServiceAccount": (NAME, Column("Secrets", _count("secrets")), AGE),
    "core.v1.PersistentVolumeClaim": (
        NAME,
        Column("Status", at("status.phase", "")),
        Column("Volume", at("spec.volumeName", "")),
        Column("Capacity", at("status.capacity.storage", "")),
        Column("Access Modes", lambda obj, now: ",".join(read(obj, "spec.accessModes", []))),
        Column("StorageClass", at("spec.storageClassName", "")),
        AGE,
    ),
    "apps.v1.Deployment": (
        NAME,
        _READY,
        Column("Up-to-date", at("status.updatedReplicas", 0)),
        Column("Available", at("status.availableReplicas", 0)),
        AGE,
    ),
    "apps.v1.StatefulSet": (NAME, _READY, AGE),
    "apps.v1.ReplicaSet": (
        NAME,
        Column("Desired", at("spec.replicas", 0), "integer"),
        Column("Current", at("status.replicas", 0), "integer"),
        Column("Ready", at("status.readyReplicas", 0), "integer"),
        AGE,
    ),
    "batch.v1.Job": (
        NAME,
        Column("Status", _job_status),
        Column(
            "Completions", lambda obj, now: f"{read(obj, 'status.succeeded', 0)}/{read(obj, 'spec.completions', 1)}"
        ),
        AGE,
    ),
    "batch.v1.CronJob": (
        NAME,
        Column("Schedule", at("spec.schedule", "")),
        Column("Timezone", at("spec.timeZone")),
        Column("Suspend", lambda obj, now: str(read(obj, "spec.suspend", False))),
        AGE,
    ),
    "scheduling.v1.PriorityClass": (
        NAME,
        Column("Value", at("value", 0)),
        Column("Global-Default", lambda obj, now: str(bool(obj.get("globalDefault"))).lower()),
        AGE,
        Column("PreemptionPolicy", at("preemptionPolicy")),
    ),
    "coordination.v1.Lease": (NAME, Column("Holder", at("spec.holderIdentity", "")), AGE),
    "policy.v1.PodDisruptionBudget": (
        NAME,
        Column("Min Available", at("spec.minAvailable", "N/A")),
        Column("Max Unavailable", at("spec.maxUnavailable", "N/A")),
        Column("Allowed Disruptions", at("status.disruptionsAllowed", 0)),
        AGE,
    ),
    "apiextensions.v1.CustomResourceDefinition": (NAME, Column("Created At", at("metadata.creationTimestamp"))),
}
