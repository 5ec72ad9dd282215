"""LIST: selectors, pages that show one moment, and the versions a caller may insist on."""

import base64
from collections.abc import Sequence

import orjson

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.refusals import (
    Cause,
    bad_request,
    expired,
    forbidden_field,
    invalid,
    too_large_version,
    unsupported_value,
)
from flowbatch.embedded.apiserver.rest import Rest
from flowbatch.embedded.apiserver.selectors import Selection
from flowbatch.embedded.apiserver.store import Collection, Entry

_EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You must start a new list without "
    "the continue parameter."
)


class Page:
    """What a list request found: entries, the version they show, and how to go on."""

    def __init__(self, entries: Sequence[Entry], version: int, token: str = "", remaining: int = 0) -> None:
        self.entries = entries
        self.version = version
        self.token = token
        self.remaining = remaining

    @property
    def metadata(self) -> JsonObject:
        """ListMeta."""
        metadata: JsonObject = {"resourceVersion": str(self.version)}
        if self.token:
            metadata["continue"] = self.token
            if self.remaining:
                metadata["remainingItemCount"] = self.remaining
        return metadata


def selection_of(call: Call) -> Selection:
    """The selectors of a list or watch."""
    params = call.params
    return Selection(params.get("labelSelector", ""), params.get("fieldSelector", ""), call.resource.selectable)


def scope_of(call: Call, selection: Selection) -> tuple[str, str]:
    """The narrowest part of a collection that holds everything selected."""
    name = selection.exact.get("metadata.name")
    namespace = call.namespace or selection.exact.get("metadata.namespace", "")
    if name and (namespace or not call.resource.namespaced):
        return ("key", f"{namespace}/{name}" if call.resource.namespaced else name)
    indexed = call.resource.indexed_field
    if indexed and indexed in selection.exact and selection.exact[indexed]:
        return ("value", selection.exact[indexed])
    if namespace and call.resource.namespaced:
        return ("namespace", namespace)
    return ("all", "")


def in_namespace(call: Call, key: str) -> bool:
    """Whether a key is in the namespace that the path names, if it names one."""
    return not call.namespace or not call.resource.namespaced or key.startswith(call.namespace + "/")


def check_version_match(call: Call) -> None:
    """`resourceVersionMatch` needs a version to match."""
    match, version = call.params.get("resourceVersionMatch", ""), call.params.get("resourceVersion", "")
    causes: list[Cause] = []
    if match and match not in ("Exact", "NotOlderThan"):
        causes.append(unsupported_value("resourceVersionMatch", match, ("Exact", "NotOlderThan", "")))
    elif match and not version:
        causes.append(
            forbidden_field(
                "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
            )
        )
    elif match and call.params.get("continue"):
        causes.append(
            forbidden_field("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
        )
    elif match == "Exact" and version == "0":
        causes.append(
            forbidden_field("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        )
    if causes:
        raise invalid("ListOptions", "meta.k8s.io", "", causes)


def version_of(call: Call) -> int:
    """The requested version as a number; 0 where none is given."""
    text = call.params.get("resourceVersion") or "0"
    if not text.isdigit():
        cause = Cause(
            "FieldValueInvalid", f'Invalid value: "{text}": strconv.ParseUint: invalid syntax', "resourceVersion"
        )
        raise invalid("ListOptions", "meta.k8s.io", "", [cause])
    return int(text)


def list_page(rest: Rest, call: Call) -> Page:
    """The page that a list request asks for."""
    check_version_match(call)
    selection = selection_of(call)
    collection = rest.collection(call.resource)
    limit = call.number("limit") or 0
    if call.params.get("continue"):
        if call.params.get("resourceVersion", "0") not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        version, start = _read_token(call.params["continue"])
        return _cut(call, _as_of(collection, version, _EXPIRED_CONTINUE), selection, version, limit, start)
    asked = version_of(call)
    if asked > rest.store.version:
        raise too_large_version(asked, rest.store.version)
    if asked and call.params.get("resourceVersionMatch") == "Exact":
        entries = _as_of(collection, asked, f"too old resource version: {asked} ({rest.store.version})")
        return _cut(call, entries, selection, asked, limit, "")
    entries = collection.select(scope_of(call, selection))
    return _cut(call, entries, selection, rest.store.version, limit, "")


def _as_of(collection: Collection, version: int, message: str) -> list[Entry]:
    entries = collection.as_of(version)
    if entries is None:
        raise expired(message)
    return entries


def _cut(call: Call, entries: list[Entry], selection: Selection, version: int, limit: int, start: str) -> Page:
    """The selected entries after `start`, at most `limit` of them."""
    found = [entry for entry in entries if entry.key > start and in_namespace(call, entry.key)]
    if not selection.empty:
        found = [entry for entry in found if selection.matches(entry.obj)]
    if not limit or len(found) <= limit:
        return Page(found, version)
    # A count is only given without selectors, as in Kubernetes.
    remaining = len(found) - limit if selection.empty else 0
    return Page(found[:limit], version, _write_token(version, found[limit - 1].key), remaining)


def _write_token(version: int, last: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": "flowbatch", "rv": version, "start": last})).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        content = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(content["rv"]), str(content["start"])
    except (ValueError, KeyError, TypeError):
        raise bad_request("continue key is not valid") from None
