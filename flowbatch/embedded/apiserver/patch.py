"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902), copy on write: stored objects are never touched."""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import Refusal, bad_request

#: What kube-apiserver allows in one JSON patch.
MAX_OPERATIONS = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: JsonObject, operations: Any) -> JsonObject:
    """RFC 6902 over a copy of the touched paths. A failed `test` or path is a 422 Refusal, as on a real API server."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    if len(operations) > MAX_OPERATIONS:
        raise Refusal(413, "RequestEntityTooLarge", f"the JSON patch has more than {MAX_OPERATIONS} operations")
    document: Any = target
    for operation in operations:
        document = _apply(document, operation)
    return document  # type: ignore[no-any-return]  # replacing the root by a non-object is caught by the caller


def _apply(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
        raise bad_request("error decoding patch: every operation needs an op and a path")
    op, path = operation.get("op"), _pointer(operation["path"])
    if op in ("add", "replace", "test") and "value" not in operation:
        raise bad_request(f"error decoding patch: operation {op} needs a value")
    if op == "add":
        return _set(document, path, operation["value"], insert=True)
    if op == "replace":
        # As in Kubernetes, only the parent must exist: replacing a missing key adds it.
        return _set(document, path, operation["value"], insert=False)
    if op == "remove":
        return _remove(document, path)
    if op == "test":
        return _test(document, path, operation["value"])
    if op in ("move", "copy"):
        source = _pointer(str(operation.get("from", "")))
        value = _get(document, source)
        if op == "move":
            document = _remove(document, source)
        return _set(document, path, value, insert=True)
    raise bad_request(f"error decoding patch: unexpected operation {op!r}")


def _test(document: Any, path: list[str], expected: Any) -> Any:
    try:
        found = _get(document, path)
    except Refusal:
        found = None
    if found != expected or isinstance(found, bool) is not isinstance(expected, bool):
        raise _failed(f"testing path /{'/'.join(path)} value failed")
    return document


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise bad_request(f"error decoding patch: {text!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _failed(why: str) -> Refusal:
    return Refusal(422, "Invalid", f"the server rejected our request due to an error in our request: {why}", {})


def _index(items: list[Any], part: str, *, insert: bool) -> int:
    last = len(items) if insert else len(items) - 1
    if insert and part == "-":
        return len(items)
    if not part.removeprefix("-").isascii() or not part.removeprefix("-").isdigit():
        raise _failed(f"{part!r} is not an index")
    index = int(part)
    if index < 0:
        index += len(items)
    if not 0 <= index <= last:
        raise _failed(f"index {part} is out of range")
    return index


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, list):
            document = document[_index(document, part, insert=False)]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            raise _failed(f"missing path: /{'/'.join(path)}")
    return document


def _set(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(document, list):
        items = list(document)
        if rest:
            index = _index(items, part, insert=False)
            items[index] = _set(items[index], rest, value, insert=insert)
        elif insert:
            items.insert(_index(items, part, insert=True), value)
        else:
            items[_index(items, part, insert=False)] = value
        return items
    if not isinstance(document, dict) or (rest and part not in document):
        raise _failed(f"missing parent: {part}")
    return {**document, part: _set(document[part], rest, value, insert=insert) if rest else value}


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise _failed("the whole document cannot be removed")
    part, rest = path[0], path[1:]
    if isinstance(document, list):
        index = _index(document, part, insert=False)
        if rest:
            return [*document[:index], _remove(document[index], rest), *document[index + 1 :]]
        return [*document[:index], *document[index + 1 :]]
    if not isinstance(document, dict) or part not in document:
        raise _failed(f"missing path: {part}")
    if rest:
        return {**document, part: _remove(document[part], rest)}
    return {key: value for key, value in document.items() if key != part}
