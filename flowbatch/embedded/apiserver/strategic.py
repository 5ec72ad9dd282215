"""Strategic merge patch: lists of objects merge by key, and directives say delete, replace, order and retain.

The merge keys come from the table of built-in types; the rules are Kubernetes' own, as `kubectl apply` relies on them
(`$patch`, `$deleteFromPrimitiveList`, `$setElementOrder`, `$retainKeys`).
"""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.fieldtypes import Field, FieldType, field_type
from flowbatch.embedded.apiserver.refusals import bad_request

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE_VALUES = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def strategic_patch(type_name: str, target: JsonObject, patch: JsonObject) -> JsonObject:
    """`target` of the built-in type `type_name` with `patch` applied, copied where it changes."""
    return _merge_object(field_type(type_name), target, patch)


def _merge_object(described: FieldType | None, target: Any, patch: JsonObject) -> JsonObject:
    directive = patch.get(_DIRECTIVE)
    if directive == "replace":
        replacement: JsonObject = _plain({key: value for key, value in patch.items() if key != _DIRECTIVE})
        return replacement
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown patch directive {directive!r}")
    result = dict(target) if isinstance(target, dict) else {}
    if _RETAIN in patch:
        kept = set(patch[_RETAIN])
        result = {key: value for key, value in result.items() if key in kept}
    _delete_values(result, patch)
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(described, result, key, value, patch.get(_ORDER + key))
    for key, order in patch.items():
        name = key.removeprefix(_ORDER)
        if name != key and name not in patch and isinstance(result.get(name), list):
            result[name] = _ordered(_field(described, name), result[name], order, [])
    return result


def _field(described: FieldType | None, name: str) -> Field | None:
    return described.fields.get(name) if described else None


def _merge_field(described: FieldType | None, result: JsonObject, key: str, value: Any, order: Any) -> None:
    if value is None:
        result.pop(key, None)
        return
    known = _field(described, key)
    if isinstance(value, dict):
        child = field_type(known.base) if known and not known.shape else None
        result[key] = _merge_object(child, result.get(key), value)
    elif isinstance(value, list) and known is not None and known.merge_key:
        result[key] = _merge_list(known, result.get(key) or [], value, order)
    elif isinstance(value, list) and known is not None and known.merges_scalars:
        old = result.get(key) or []
        merged = [*old, *(each for each in value if each not in old)]
        result[key] = _ordered(known, merged, order, value) if order else merged
    else:
        result[key] = _plain(value)


def _delete_values(result: JsonObject, patch: JsonObject) -> None:
    for key, values in patch.items():
        name = key.removeprefix(_DELETE_VALUES)
        if name != key and isinstance(result.get(name), list):
            result[name] = [each for each in result[name] if each not in values]


def _merge_list(known: Field, old: list[Any], patch: list[Any], order: Any) -> list[Any]:
    key = known.merge_key
    if any(isinstance(each, dict) and each.get(_DIRECTIVE) == "replace" for each in patch):
        return [_plain(each) for each in patch if not (isinstance(each, dict) and _DIRECTIVE in each)]
    child = field_type(known.base)
    result = list(old)
    for each in patch:
        if not isinstance(each, dict) or key not in each:
            raise bad_request(f"map: {each!r} does not contain declared merge key: {key}")
        at = next((i for i, item in enumerate(result) if isinstance(item, dict) and item.get(key) == each[key]), None)
        if each.get(_DIRECTIVE) == "delete":
            result = [item for item in result if not (isinstance(item, dict) and item.get(key) == each[key])]
        elif at is None:
            result.append(_merge_object(child, {}, each))
        else:
            result[at] = _merge_object(child, result[at], each)
    return _ordered(known, result, order, patch) if order else result


def _ordered(known: Field | None, items: list[Any], order: Any, patch: list[Any]) -> list[Any]:
    """`items` with those that `order` names in that order, and the others kept near where they stood."""
    if not isinstance(order, list):
        return items
    key = known.merge_key if known else ""
    wanted = [_identity(each, key) for each in order]
    rank = {identity: index for index, identity in enumerate(wanted)}
    placed = sorted((each for each in items if _identity(each, key) in rank), key=lambda e: rank[_identity(e, key)])
    position = {_identity(each, key): index for index, each in enumerate(items)}
    result: list[Any] = []
    others = [each for each in items if _identity(each, key) not in rank]
    for each in placed:
        while others and position[_identity(others[0], key)] < position[_identity(each, key)]:
            result.append(others.pop(0))
        result.append(each)
    return result + others


def _identity(item: Any, key: str) -> str:
    value = item.get(key) if key and isinstance(item, dict) else item
    return repr(value)


def _plain(value: Any) -> Any:
    """`value` without directives and nulls inside objects: what is left when there is nothing to merge with."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if not key.startswith("$") and each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value if not (isinstance(each, dict) and each.get(_DIRECTIVE) == "delete")]
    return value
