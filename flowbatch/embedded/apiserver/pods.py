"""Pods and pod templates: Kubernetes' defaults, the checks a batch system relies on, and what may change later."""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import QuantityError, parse
from flowbatch.embedded.apiserver.metadata import label_problem, subdomain_problem
from flowbatch.embedded.apiserver.refusals import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported_value,
)

_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_MODES = ("secret", "configMap", "downwardAPI", "projected")
_TOLERATED = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_CHANGEABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


def default_pod_spec(spec: JsonObject) -> None:
    """Kubernetes' defaults of a pod spec, in place."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            if isinstance(container, dict):
                _default_container(container, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: JsonObject, *, host_network: bool) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = _pull_policy(container.get("image") or "")
    container.setdefault("resources", {})
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if host_network and not port.get("hostPort"):
            port["hostPort"] = port.get("containerPort")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            _default_probe(container[name])
    for each in container.get("env") or ():
        reference = (each.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")


def _pull_policy(image: str) -> str:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "IfNotPresent" if "@" in image or tag not in ("", "latest") else "Always"


def _default_probe(probe: JsonObject) -> None:
    for name, value in _PROBE.items():
        probe.setdefault(name, value)
    if probe.get("httpGet") is not None:
        probe["httpGet"].setdefault("scheme", "HTTP")
        probe["httpGet"].setdefault("path", "/")


def _default_volume(volume: JsonObject) -> None:
    sources = [name for name in volume if name != "name"]
    if not sources:
        volume["emptyDir"] = {}
    for name in _MODES:
        if volume.get(name) is not None:
            volume[name].setdefault("defaultMode", 420)
    if volume.get("hostPath") is not None:
        volume["hostPath"].setdefault("type", "")
    items = list((volume.get("downwardAPI") or {}).get("items") or ())
    for source in (volume.get("projected") or {}).get("sources") or ():
        items += (source.get("downwardAPI") or {}).get("items") or ()
    for item in items:
        if item.get("fieldRef") is not None:
            item["fieldRef"].setdefault("apiVersion", "v1")


def default_pod(pod: JsonObject) -> None:
    """Defaults of a new pod: the spec, requests from limits, tolerations of lost nodes, and a fresh status."""
    spec = pod["spec"]
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for group in ("initContainers", "containers"):
        for container in spec.get(group) or ():
            limits = container["resources"].get("limits")
            if limits:
                requests = container["resources"].setdefault("requests", {})
                for name, value in limits.items():
                    requests.setdefault(name, value)
    tolerate_lost_nodes(spec)
    status: JsonObject = {"phase": "Pending", "qosClass": qos_class(spec)}
    pod["status"] = status
    if spec.get("schedulingGates"):
        gated = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
        status["conditions"] = [gated]


def tolerate_lost_nodes(spec: JsonObject) -> None:
    """Tolerate an unready or unreachable node for five minutes, unless the pod says otherwise."""
    tolerations = spec.get("tolerations") or []
    everything = any(each.get("operator") == "Exists" and not each.get("key") for each in tolerations)
    for key in () if everything else _TOLERATED:
        if not any(each.get("key") == key and each.get("effect", "NoExecute") == "NoExecute" for each in tolerations):
            added = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            tolerations = [*tolerations, added]
    if tolerations:
        spec["tolerations"] = tolerations


def qos_class(spec: JsonObject) -> str:
    """Guaranteed, Burstable or BestEffort, from cpu and memory of all containers."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    asked = False
    guaranteed = True
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        asked = asked or any(name in requests or name in limits for name in ("cpu", "memory"))
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not asked:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def check_pod_spec(spec: JsonObject, path: str) -> list[Cause]:
    """Everything wrong with a pod spec (defaults filled in)."""
    causes: list[Cause] = []
    if not spec.get("containers"):
        causes.append(required(f"{path}.containers"))
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        causes += _check_named(volume, f"{path}.volumes[{index}]", volumes)
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            where = f"{path}.{group}[{index}]"
            causes += _check_named(container, where, names)
            causes += _check_container(container, where, volumes)
    causes += _check_words(spec, path)
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        causes.append(
            invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")
        )
    deadline = spec.get("activeDeadlineSeconds")
    if isinstance(deadline, int) and not 1 <= deadline < 2**31:
        why = "must be between 1 and 2147483647, inclusive"
        causes.append(invalid_value(f"{path}.activeDeadlineSeconds", deadline, why))
    for field in ("hostname", "subdomain"):
        if spec.get(field) and (why := label_problem(spec[field])):
            causes.append(invalid_value(f"{path}.{field}", spec[field], why))
    if spec.get("nodeName") and (why := subdomain_problem(spec["nodeName"])):
        causes.append(invalid_value(f"{path}.nodeName", spec["nodeName"], why))
    return causes


def _check_words(spec: JsonObject, path: str) -> list[Cause]:
    allowed = {
        "restartPolicy": ("Always", "OnFailure", "Never"),
        "dnsPolicy": ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
        "preemptionPolicy": ("PreemptLowerPriority", "Never"),
    }
    return [
        unsupported_value(f"{path}.{name}", spec[name], words)
        for name, words in allowed.items()
        if spec.get(name) is not None and spec[name] not in words
    ]


def _check_named(item: JsonObject, path: str, seen: set[str]) -> list[Cause]:
    name = item.get("name")
    if not name:
        return [required(f"{path}.name")]
    if name in seen:
        return [duplicate(f"{path}.name", name)]
    seen.add(name)
    return [invalid_value(f"{path}.name", name, why)] if (why := label_problem(name)) else []


def _check_container(container: JsonObject, path: str, volumes: set[str]) -> list[Cause]:
    causes = check_resources(container.get("resources") or {}, f"{path}.resources")
    image = container.get("image")
    if not image:
        causes.append(required(f"{path}.image"))
    elif image != image.strip():
        causes.append(invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace"))
    for index, port in enumerate(container.get("ports") or ()):
        causes += _check_port(port, f"{path}.ports[{index}]")
    for index, each in enumerate(container.get("env") or ()):
        if not each.get("name"):
            causes.append(required(f"{path}.env[{index}].name"))
        elif "=" in each["name"]:
            why = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            causes.append(invalid_value(f"{path}.env[{index}].name", each["name"], why))
    causes += _check_mounts(container, path, volumes)
    return causes


def _check_mounts(container: JsonObject, path: str, volumes: set[str]) -> list[Cause]:
    causes = []
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{index}]"
        name, target = mount.get("name"), mount.get("mountPath")
        if not name:
            causes.append(required(f"{where}.name"))
        elif name not in volumes:
            causes.append(Cause("FieldValueNotFound", f'Not found: "{name}"', f"{where}.name"))
        if not target:
            causes.append(required(f"{where}.mountPath"))
        elif target in paths:
            causes.append(invalid_value(f"{where}.mountPath", target, "must be unique"))
        paths.add(target or "")
    return causes


def _check_port(port: JsonObject, path: str) -> list[Cause]:
    causes = []
    number = port.get("containerPort")
    if not number:
        causes.append(required(f"{path}.containerPort"))
    for field in ("containerPort", "hostPort"):
        value = port.get(field)
        if value and not 1 <= value <= 65535:
            causes.append(invalid_value(f"{path}.{field}", value, "must be between 1 and 65535, inclusive"))
    if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
        causes.append(unsupported_value(f"{path}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))
    return causes


def check_resources(resources: JsonObject, path: str) -> list[Cause]:
    """Quantities that do not parse or are negative, and requests above their limits."""
    causes: list[Cause] = []
    amounts: dict[str, dict[str, Any]] = {"requests": {}, "limits": {}}
    for side, found in amounts.items():
        for name, text in (resources.get(side) or {}).items():
            try:
                found[name] = parse(text if isinstance(text, str) else repr(text))
            except QuantityError:
                continue  # refused when the body was decoded
            if found[name] < 0:
                causes.append(invalid_value(f"{path}.{side}[{name}]", text, "must be greater than or equal to 0"))
    for name, asked in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        extended = "/" in name
        if limit is not None and (asked > limit or (extended and asked != limit)):
            word = "be equal to" if extended else "be less than or equal to"
            why = f"must {word} {name} limit of {resources['limits'][name]}"
            causes.append(invalid_value(f"{path}.requests", resources["requests"][name], why))
        if extended and limit is None:
            causes.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
    return causes


def check_pod_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    """A pod's spec is fixed, but for images, tolerations, a shorter deadline, and gates that fall."""
    after, before = new["spec"], old["spec"]
    if after == before:
        return []
    causes = _check_additions(after, before) + _check_gates(after, before) + _check_deadline(after, before)
    for group in ("containers", "initContainers"):
        if len(after.get(group) or ()) != len(before.get(group) or ()):
            causes.append(forbidden_field(f"spec.{group}", "pod updates may not add or remove containers"))
            return causes
    if before.get("schedulingGates"):
        causes += _check_narrowing(after, before)
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and after.get("terminationGracePeriodSeconds") == 1:
        after = {**after, "terminationGracePeriodSeconds": before["terminationGracePeriodSeconds"]}
    gated = bool(before.get("schedulingGates"))
    if _fixed(after, gated=gated) != _fixed(before, gated=gated):
        causes.append(forbidden_field("spec", f"pod updates may not change fields other than {_CHANGEABLE}"))
    return causes


def _fixed(spec: JsonObject, *, gated: bool) -> JsonObject:
    """The part of a spec that may never change."""
    loose = {"activeDeadlineSeconds", "tolerations", "schedulingGates"}
    if gated:
        loose |= {"nodeSelector", "affinity"}
    fixed = {key: value for key, value in spec.items() if key not in loose and value not in (None, [], {})}
    for group in ("containers", "initContainers"):
        if fixed.get(group):
            fixed[group] = [{key: value for key, value in each.items() if key != "image"} for each in fixed[group]]
    return fixed


def _check_additions(after: JsonObject, before: JsonObject) -> list[Cause]:
    kept = after.get("tolerations") or []
    for each in before.get("tolerations") or ():
        same = {key: value for key, value in each.items() if key != "tolerationSeconds"}
        if not any({key: value for key, value in new.items() if key != "tolerationSeconds"} == same for new in kept):
            return [
                forbidden_field(
                    "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
                )
            ]
    return []


def _check_gates(after: JsonObject, before: JsonObject) -> list[Cause]:
    old = {each["name"] for each in before.get("schedulingGates") or ()}
    added = [each["name"] for each in after.get("schedulingGates") or () if each["name"] not in old]
    why = f"only deletion is allowed, but found new scheduling gate '{added[0]}'" if added else ""
    return [forbidden_field("spec.schedulingGates", why)] if added else []


def _check_deadline(after: JsonObject, before: JsonObject) -> list[Cause]:
    new, old = after.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds")
    if old is None or new == old:
        return []
    why = "must not update from a positive integer to nil value" if new is None else ""
    if new is not None and new > old:
        why = "must be less than or equal to previous value"
    return [invalid_value("spec.activeDeadlineSeconds", new, why)] if why else []


def _check_narrowing(after: JsonObject, before: JsonObject) -> list[Cause]:
    """A gated pod's node selector may only grow."""
    new = after.get("nodeSelector") or {}
    lost = [key for key, value in (before.get("nodeSelector") or {}).items() if new.get(key) != value]
    why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    return [invalid_value("spec.nodeSelector", new, why)] if lost else []
