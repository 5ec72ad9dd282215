"""What a pod spec may say, and what of it may change later."""

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

_CHANGEABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


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
