"""What a mutation did, as JSON Patch (RFC 6902): the only language in which a webhook may answer.

Only where old and new are not the same object is looked at, so it costs what was changed and not what was sent.
"""

from typing import Any

from flowbatch.api.meta import JsonObject


def json_patch(old: Any, new: Any, path: str = "") -> list[JsonObject]:
    """The operations that turn `old` into `new`."""
    if old is new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [step for key in {**old, **new} for step in _field(old, new, key, f"{path}/{_escaped(key)}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [step for index, (one, other) in pairs for step in json_patch(one, other, f"{path}/{index}")]
    return [] if _same(old, new) else [{"op": "replace", "path": path, "value": new}]


def _field(old: JsonObject, new: JsonObject, key: str, path: str) -> list[JsonObject]:
    if key not in new:
        return [{"op": "remove", "path": path}]
    if key not in old:
        return [{"op": "add", "path": path, "value": new[key]}]
    return json_patch(old[key], new[key], path)


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and old == new and not isinstance(old, dict | list)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
