"""Discovery: which groups, versions and resources there are, in the old form and the aggregated one."""

from collections.abc import Iterable
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.resources import Registry, Resource

_STATUS_VERBS = ["get", "patch", "update"]
#: Kind, group and version, verbs of the subresources that answer with another kind.
_SUBRESOURCES: dict[str, tuple[str, str, str, list[str]]] = {
    "binding": ("Binding", "", "v1", ["create"]),
    "eviction": ("Eviction", "policy", "v1", ["create"]),
    "scale": ("Scale", "autoscaling", "v1", _STATUS_VERBS),
    "log": ("", "", "", ["get"]),
    "status": ("", "", "", _STATUS_VERBS),
    "finalize": ("", "", "", ["update"]),
}

#: Resources that are only ever created, never stored: questions with an answer.
REVIEWS: dict[tuple[str, str], dict[str, str]] = {
    ("authorization.k8s.io", "v1"): {
        "selfsubjectaccessreviews": "SelfSubjectAccessReview",
        "selfsubjectrulesreviews": "SelfSubjectRulesReview",
        "subjectaccessreviews": "SubjectAccessReview",
    },
    ("authentication.k8s.io", "v1"): {
        "selfsubjectreviews": "SelfSubjectReview",
        "tokenreviews": "TokenReview",
    },
}


def api_versions(address: str) -> JsonObject:
    """GET /api."""
    served = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": served}


def all_groups(registry: Registry) -> dict[str, list[str]]:
    """Every named group with its versions, the reviews included."""
    found = registry.groups()
    for group, version in REVIEWS:
        found.setdefault(group, [version])
    return found


def group_list(registry: Registry) -> JsonObject:
    """GET /apis."""
    groups = [_group(name, versions) for name, versions in all_groups(registry).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> JsonObject | None:
    """GET /apis/{group}."""
    versions = all_groups(registry).get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _group(name: str, versions: list[str]) -> JsonObject:
    served = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": served, "preferredVersion": served[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> JsonObject | None:
    """GET /api/v1 or /apis/{group}/{version}."""
    resources = registry.in_version(group_name, version)
    reviews = REVIEWS.get((group_name, version), {})
    if not resources and not reviews:
        return None
    found: list[JsonObject] = [entry for each in resources for entry in _entries(each)]
    for plural, kind in reviews.items():
        found.append(
            {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}
        )
    api_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": found}


def _entries(resource: Resource) -> Iterable[JsonObject]:
    entry: JsonObject = {
        "name": resource.plural,
        "singularName": resource.singular_name,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    yield entry
    for name in sorted(resource.subresources):
        kind, group_name, version, verbs = _SUBRESOURCES[name]
        below: JsonObject = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
        if group_name:
            below |= {"group": group_name, "version": version}
        yield {**below, "kind": kind or resource.kind, "verbs": verbs}


def aggregated(registry: Registry, *, core: bool) -> JsonObject:
    """APIGroupDiscoveryList v2 of the core group or of all the others."""
    groups = {"": ["v1"]} if core else all_groups(registry)
    items = []
    for name, versions in groups.items():
        metadata: JsonObject = {"creationTimestamp": None, **({"name": name} if name else {})}
        described = [_aggregated_version(registry, name, version) for version in versions]
        items.append({"metadata": metadata, "versions": described})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_version(registry: Registry, group_name: str, version: str) -> JsonObject:
    resources = [_aggregated(each) for each in registry.in_version(group_name, version)]
    for plural, kind in REVIEWS.get((group_name, version), {}).items():
        entry = _described(plural, group_name, version, kind, ["create"], namespaced=False)
        resources.append({**entry, "singularResource": kind.lower()})
    return {"version": version, "freshness": "Current", "resources": resources}


def _aggregated(resource: Resource) -> JsonObject:
    where = (resource.group, resource.version)
    entry = _described(resource.plural, *where, resource.kind, list(resource.verbs), namespaced=resource.namespaced)
    entry["singularResource"] = resource.singular_name
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    below: list[Any] = []
    for name in sorted(resource.subresources):
        kind, group_name, version, verbs = _SUBRESOURCES[name]
        shown = {"group": group_name, "version": version, "kind": kind} if kind else entry["responseKind"]
        below.append({"subresource": name, "responseKind": shown, "verbs": verbs})
    if below:
        entry["subresources"] = below
    return entry


def _described(
    plural: str, group_name: str, version: str, kind: str, verbs: list[str], *, namespaced: bool
) -> JsonObject:
    return {
        "resource": plural,
        "responseKind": {"group": group_name, "version": version, "kind": kind},
        "scope": "Namespaced" if namespaced else "Cluster",
        "verbs": verbs,
    }
