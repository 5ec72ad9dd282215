"""Strategic merge: how `Task.pod` and `Job.extra` lie over what the typed fields generate, and the way back.

Maps merge, null removes, lists of named things (containers, env, volumes, ...) merge by their key, all other lists
replace. `difference` is the inverse: `merge(base, difference(base, target)) == target`, always. Source: Kubernetes,
strategic merge patch; the list keys are those of core/v1 plus `tasks`.
"""

from typing import Any

from flowbatch.api.meta import JsonObject

#: Fields whose lists merge by a key instead of being replaced.
MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "tasks": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
_DIRECTIVE = "$patch"


def merge(base: JsonObject, patch: JsonObject) -> JsonObject:
    """`base` with `patch` laid over it; neither is changed."""
    if patch.get(_DIRECTIVE) == "replace":
        return merge({}, {key: value for key, value in patch.items() if key != _DIRECTIVE})
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(merged.get(key), value, key)
    return merged


def _merge_value(base: Any, patch: Any, field: str) -> Any:
    if isinstance(patch, dict):
        return merge(base if isinstance(base, dict) else {}, patch)
    key = MERGE_KEYS.get(field)
    if isinstance(patch, list) and key and all(isinstance(item, dict) for item in patch):
        return _merge_list(base if isinstance(base, list) else [], patch, key)
    return patch


def _merge_list(base: list[Any], patch: list[JsonObject], key: str) -> list[Any]:
    if {_DIRECTIVE: "replace"} in patch:
        return [item for item in patch if item != {_DIRECTIVE: "replace"}]
    merged = list(base)
    for item in patch:
        at = next((i for i, old in enumerate(merged) if _named(old, item, key)), None)
        if item.get(_DIRECTIVE) == "delete":
            merged = [old for old in merged if not _named(old, item, key)]
        elif at is None:
            merged.append(merge({}, item))
        else:
            merged[at] = merge(merged[at], item)
    return merged


def _named(old: Any, item: JsonObject, key: str) -> bool:
    return isinstance(old, dict) and key in item and old.get(key) == item[key]


def difference(base: JsonObject, target: JsonObject) -> JsonObject:
    """The smallest patch that makes `target` (which holds no null) out of `base`."""
    patch: JsonObject = {key: None for key in base if key not in target}
    for key, value in target.items():
        if key not in base or not identical(base[key], value):
            patch[key] = _difference_value(base.get(key), value, key)
    return patch


def _difference_value(base: Any, target: Any, field: str) -> Any:
    if isinstance(target, dict):
        return difference(base if isinstance(base, dict) else {}, target)
    key = MERGE_KEYS.get(field)
    if key is None or not isinstance(target, list) or not all(isinstance(item, dict) for item in target):
        return target
    old = base if isinstance(base, list) else []
    patch = _difference_list(old, target, key)
    if patch is not None and identical(_merge_list(old, patch, key), target):
        return patch
    return [{_DIRECTIVE: "replace"}, *target]


def _difference_list(base: list[Any], target: list[Any], key: str) -> list[JsonObject] | None:
    """A patch by key, or None where the elements cannot be told apart by it or come in another order."""
    if not all(isinstance(item, dict) and key in item for item in [*base, *target]) or len(target) < len(base):
        return None
    changed = []
    for old, new in zip(base, target, strict=False):
        if old[key] != new[key]:
            return None
        if not identical(old, new):
            changed.append({key: new[key]} | difference(old, new))
    return changed + [difference({}, item) for item in target[len(base) :]]


def identical(one: Any, other: Any) -> bool:
    """Equality as JSON sees it: `True`, `1` and `1.0` are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other)


def without_nulls(value: Any) -> Any:
    """`value` without map entries that are null, which Kubernetes reads as "not set"."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
