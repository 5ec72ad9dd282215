"""The merge patch (RFC 7386) that turns one JSON value into another: what is written is only what changes."""

from typing import Any

import msgspec

from flowbatch.api.meta import JsonObject, Wire


def difference(old: JsonObject, new: JsonObject) -> JsonObject:
    """The smallest merge patch from `old` to `new`; empty where they are equal. Absent members become null."""
    patch: JsonObject = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := difference(before, value):
                patch[name] = inner
        elif name not in old or before != value:
            # A null inside a merge patch deletes, so a new object must not carry any.
            patch[name] = _without_nulls(value)
    return patch


def wire_difference(old: Wire, new: Wire) -> JsonObject:
    """`difference` of two Structs of one type as they look on the wire; fields that the Struct omits stay alone."""
    return difference(msgspec.to_builtins(old), msgspec.to_builtins(new))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value
