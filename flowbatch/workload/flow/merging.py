"""A step's patch of its template: objects are merged, lists of named things by name, and null takes away."""

from typing import Any


def merged(base: Any, patch: Any) -> Any:
    """`base` as `patch` changes it. What the schema bounds in depth, this does: it recurses along the patch."""
    if isinstance(patch, dict):
        return _object(base if isinstance(base, dict) else {}, patch)
    if isinstance(patch, list) and isinstance(base, list | tuple) and _named(patch) and _named(base):
        return _by_name(list(base), patch)
    return patch


def _object(base: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    full = dict(base)
    for name, value in patch.items():
        if value is None:
            full.pop(name, None)
        else:
            full[name] = merged(full.get(name), value)
    return full


def _named(items: Any) -> bool:
    return bool(items) and all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in items)


def _by_name(base: list[Any], patch: list[Any]) -> list[Any]:
    """The items of `base` in their order, changed; then those that are new."""
    changes = {item["name"]: item for item in patch}
    names = {item["name"] for item in base}
    kept = [merged(item, changes[item["name"]]) if item["name"] in changes else item for item in base]
    return [*kept, *(_object({}, item) for item in patch if item["name"] not in names)]
