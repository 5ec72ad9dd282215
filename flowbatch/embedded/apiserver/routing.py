"""From method and path to a `Call`: the grammar of Kubernetes' URLs."""

from collections.abc import Mapping

from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.refusals import method_not_allowed, no_such_path
from flowbatch.embedded.apiserver.resources import Registry

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
#: Words after a namespace's name that are its own subresources, not resources inside it.
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_BELOW = {
    "status": ("get", "update", "patch"),
    "scale": ("get", "update", "patch"),
    "binding": ("create",),
    "eviction": ("create",),
    "log": ("get",),
    "finalize": ("update",),
}


def route(registry: Registry, method: str, path: str, params: Mapping[str, str]) -> Call:
    """The call that a request for `/api/...` or `/apis/...` is. Raises 404 and 405 Refusals."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    else:
        group, version, rest = parts[1], parts[2], parts[3:]
    watching = bool(rest) and rest[0] == "watch"
    if watching:
        rest = rest[1:]
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and not (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES):
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_path()
    name, subresource = [*rest[1:], "", ""][:2]
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    verb = _verb(method, name, subresource, watching=watching or _asks_watch(params))
    if resource.namespaced and not namespace and (name or verb in ("create", "delete", "deletecollection")):
        raise no_such_path() if name else method_not_allowed()
    if verb == "watch" and name:
        params = {**params, "fieldSelector": f"metadata.name={name}"}
    return Call(verb, resource, namespace, name, subresource, params)


def _asks_watch(params: Mapping[str, str]) -> bool:
    return "watch" in params and params["watch"].lower() not in ("false", "0")


def _verb(method: str, name: str, subresource: str, *, watching: bool) -> str:
    verb = _VERBS.get(method)
    if verb is None:
        raise method_not_allowed()
    if subresource:
        if verb not in _BELOW[subresource]:
            raise method_not_allowed()
        return verb
    if verb == "get" and (watching or not name):
        return "watch" if watching else "list"
    if verb == "delete" and not name:
        return "deletecollection"
    if (verb == "create") is bool(name) and verb in ("create", "update", "patch"):
        raise method_not_allowed()
    return verb
