"""What is asked of an API server, as plain values: sending them is somebody else's business.

Every request that flowbatch makes is built here, so tests can compare requests, a fault rule can match them, and an
order can be logged before it is sent. Names are percent-encoded: none can climb out of its path.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from flowbatch.api.kinds import POD, Kind
from flowbatch.api.meta import JsonObject

PatchContent = Literal["merge", "strategic", "json", "apply"]
Propagation = Literal["Background", "Foreground", "Orphan"]

_PATCH_TYPES: dict[PatchContent, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """One HTTP request below the server's address; `path` is percent-encoded, `params` are not."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = "application/json"

    @property
    def target(self) -> str:
        """Path and query as they go on the wire."""
        return f"{self.path}?{urlencode(self.params)}" if self.params else self.path

    @property
    def is_write(self) -> bool:
        """Whether repeating it could do something twice."""
        return self.method not in ("GET", "HEAD", "OPTIONS")


def _path(kind: Kind[Any], namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    def safe(part: str | None) -> str | None:
        return None if part is None else quote(part, safe=":~")

    if name is not None and name in ("", ".", ".."):
        raise ValueError(f"{kind.kind} has no usable name: {name!r}")
    return kind.path(safe(namespace), safe(name), subresource)


def _params(pairs: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in pairs.items() if value not in (None, "", 0))


def get_object(kind: Kind[Any], name: str, namespace: str | None = None, subresource: str | None = None) -> Request:
    """Read one object, or one of its subresources."""
    return Request("GET", _path(kind, namespace, name, subresource))


def list_objects(
    kind: Kind[Any],
    namespace: str | None = None,
    *,
    label_selector: str = "",
    field_selector: str = "",
    limit: int = 0,
    continue_: str = "",
    resource_version: str | None = None,
    resource_version_match: str = "",
) -> Request:
    """Read a collection, or a page of it. `resource_version` None leaves it out: a quorum read."""
    pairs = {
        "labelSelector": label_selector,
        "fieldSelector": field_selector,
        "limit": limit,
        "continue": continue_,
        "resourceVersion": None if continue_ else resource_version,
        "resourceVersionMatch": "" if continue_ else resource_version_match,
    }
    return Request("GET", _path(kind, namespace), _params(pairs))


def watch_objects(
    kind: Kind[Any],
    namespace: str | None = None,
    *,
    label_selector: str = "",
    field_selector: str = "",
    resource_version: str | None = None,
    initial_events: bool = False,
    timeout_s: int = 0,
) -> Request:
    """Follow a collection with bookmarks; `initial_events` asks for its present state first (WatchList, KEP-3157)."""
    pairs = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "labelSelector": label_selector,
        "fieldSelector": field_selector,
        "resourceVersion": resource_version,
        "sendInitialEvents": "true" if initial_events else "",
        "resourceVersionMatch": "NotOlderThan" if initial_events else "",
        "timeoutSeconds": timeout_s,
    }
    return Request("GET", _path(kind, namespace), _params(pairs))


def create_object(kind: Kind[Any], manifest: JsonObject, namespace: str | None = None) -> Request:
    """Create `manifest`; its namespace is `namespace`, else the one it names."""
    within = namespace or manifest.get("metadata", {}).get("namespace")
    return Request("POST", _path(kind, within), body=_encode(manifest))


def replace_object(kind: Kind[Any], name: str, manifest: JsonObject, namespace: str | None = None) -> Request:
    """Write an object whole. Only for what was read whole, with its resourceVersion: anything else would erase."""
    return Request("PUT", _path(kind, namespace, name), body=_encode(manifest))


def patch_object(
    kind: Kind[Any],
    name: str,
    body: JsonObject | Sequence[JsonObject],
    namespace: str | None = None,
    *,
    subresource: str | None = None,
    content: PatchContent = "merge",
    field_manager: str = "",
    force: bool = False,
) -> Request:
    """Change part of an object. `json` takes a list of operations, the others an object."""
    params = _params({"fieldManager": field_manager, "force": "true" if force else ""})
    return Request("PATCH", _path(kind, namespace, name, subresource), params, _encode(body), _PATCH_TYPES[content])


def delete_object(
    kind: Kind[Any],
    name: str,
    namespace: str | None = None,
    *,
    uid: str = "",
    grace_seconds: int | None = None,
    propagation: Propagation | None = None,
) -> Request:
    """Delete one object; with `uid`, only that very one and not a namesake made since."""
    options = _delete_options(uid, grace_seconds)
    if propagation:
        options["propagationPolicy"] = propagation
    return Request("DELETE", _path(kind, namespace, name), body=_encode(options))


def _delete_options(uid: str, grace_seconds: int | None) -> JsonObject:
    options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    if uid:
        options["preconditions"] = {"uid": uid}
    return options


def bind_pod(namespace: str, name: str, uid: str, node: str, annotations: Mapping[str, str] | None = None) -> Request:
    """Place a pod on a node, once and for ever; the server copies `annotations` to the pod (the fencing epoch)."""
    metadata: JsonObject = {"name": name, "namespace": namespace}
    if uid:
        metadata["uid"] = uid
    if annotations:
        metadata["annotations"] = dict(annotations)
    target = {"apiVersion": "v1", "kind": "Node", "name": node}
    body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
    return Request("POST", _path(POD, namespace, name, "binding"), body=_encode(body))


def evict_pod(namespace: str, name: str, uid: str, grace_seconds: int | None = None) -> Request:
    """Ask for a pod's end, respecting disruption budgets (429 when they forbid it)."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": _delete_options(uid, grace_seconds),
    }
    return Request("POST", _path(POD, namespace, name, "eviction"), body=_encode(body))


def pod_logs(
    namespace: str,
    name: str,
    *,
    container: str | None = None,
    follow: bool = False,
    tail_lines: int | None = None,
    previous: bool = False,
    timestamps: bool = False,
) -> Request:
    """Read or follow what a container printed."""
    pairs: dict[str, object] = {
        "container": container,
        "follow": "true" if follow else "",
        "tailLines": None if tail_lines is None else str(tail_lines),
        "previous": "true" if previous else "",
        "timestamps": "true" if timestamps else "",
    }
    return Request("GET", _path(POD, namespace, name, "log"), _params(pairs))
