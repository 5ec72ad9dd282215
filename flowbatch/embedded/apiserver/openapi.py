"""OpenAPI v3, as far as kubectl needs it: schemas for `explain` and `apply`, and the parameters of PATCH.

Schemas of built-in kinds come from the table of types, those of custom kinds from their definitions. There are no
descriptions of built-in fields: their words are not ours.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.fieldtypes import SCALARS, Field, all_types, default_of
from flowbatch.embedded.apiserver.resources import Registry, Resource

_SCALARS: dict[str, JsonObject] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "number": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "any": {"type": "object"},
    "schema": {"type": "object"},
}
#: Scalars that have a name of their own in OpenAPI, which `kubectl explain` shows.
_NAMED: dict[str, tuple[str, JsonObject]] = {
    "quantity": ("io.k8s.apimachinery.pkg.api.resource.Quantity", {"oneOf": [{"type": "string"}, {"type": "number"}]}),
    "intstr": (
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    ),
    "time": ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", {"type": "string", "format": "date-time"}),
    "microtime": ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", {"type": "string", "format": "date-time"}),
}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_PATCHES = ("application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"


def schema_name(type_name: str) -> str:
    """The long name that the schemas of built-in types have in OpenAPI."""
    if type_name.startswith("meta."):
        return f"io.k8s.apimachinery.pkg.apis.{type_name}"
    if type_name.startswith("apiextensions."):
        return f"io.k8s.apiextensions-apiserver.pkg.apis.{type_name}"
    return f"io.k8s.api.{type_name}"


class Documents:
    """The OpenAPI documents by group and version, made when first asked for."""

    def __init__(self, registry: Registry, version: str) -> None:
        self._registry = registry
        self._version = version
        self._revision = -1
        self._made: dict[str, bytes] = {}

    def index(self) -> JsonObject:
        """GET /openapi/v3: where the documents are; the hash lets clients cache them."""
        paths = {"api/v1": self._link("api/v1")}
        for group, versions in self._registry.groups().items():
            paths |= {f"apis/{group}/{version}": self._link(f"apis/{group}/{version}") for version in versions}
        return {"paths": paths}

    def _link(self, path: str) -> JsonObject:
        document = self.document(path)
        assert document is not None
        digest = hashlib.sha256(document).hexdigest().upper()
        return {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}

    def document(self, path: str) -> bytes | None:
        """GET /openapi/v3/{path}."""
        if self._revision != self._registry.revision:
            self._revision = self._registry.revision
            self._made.clear()
        if path not in self._made:
            parts = path.split("/")
            group, version = (
                ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2]) if len(parts) == 3 else ("", "")
            )
            resources = self._registry.in_version(group, version)
            if not resources:
                return None
            self._made[path] = orjson.dumps(self._render(resources))
        return self._made[path]

    def _render(self, resources: Iterable[Resource]) -> JsonObject:
        schemas: JsonObject = {f"{_META}.Patch": {"type": "object"}}
        paths: JsonObject = {}
        for each in resources:
            name = _add_schemas(each, schemas)
            paths |= _paths(each, name)
        info = {"title": "flowbatch embedded Kubernetes API", "version": self._version}
        return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _gvk(resource: Resource) -> JsonObject:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _add_schemas(resource: Resource, schemas: JsonObject) -> str:
    """Add the resource's schema and everything it refers to; returns its name."""
    if resource.custom:
        reverse = ".".join(reversed(resource.group.split(".")))
        name = f"{reverse}.{resource.version}.{resource.kind}"
        schema: JsonObject = dict(resource.structural.schema) if resource.structural else {"type": "object"}
        _add_type("meta.v1.ObjectMeta", schemas)
        metadata = {"allOf": [{"$ref": f"#/components/schemas/{_META}.ObjectMeta"}]}
        text = {"type": "string"}
        own = {"apiVersion": text, "kind": text, "metadata": metadata}
        schema["properties"] = {**own, **(schema.get("properties") or {}), "metadata": metadata}
    else:
        name = schema_name(resource.type_name)
        _add_type(resource.type_name, schemas)
        schema = schemas[name]
    schemas[name] = {**schema, "x-kubernetes-group-version-kind": [_gvk(resource)]}
    return name


def _add_type(type_name: str, schemas: JsonObject) -> None:
    name = schema_name(type_name)
    if name in schemas:
        return
    described = all_types()[type_name]
    schemas[name] = {}
    properties = {}
    for each in described.fields.values():
        if each.base in _NAMED:
            schemas.setdefault(*_NAMED[each.base])
        elif each.base not in SCALARS:
            _add_type(each.base, schemas)
        properties[each.name] = _property(each)
    schema: JsonObject = {"type": "object", "properties": properties}
    required = [each.name for each in described.fields.values() if each.required]
    if required:
        schema["required"] = required
    if described.atomic:
        schema["x-kubernetes-map-type"] = "atomic"
    schemas[name] = schema


def _property(known: Field) -> JsonObject:
    inner = _SCALARS.get(known.base)
    name = _NAMED[known.base][0] if known.base in _NAMED else schema_name(known.base)
    schema: JsonObject = dict(inner) if inner else {"allOf": [{"$ref": f"#/components/schemas/{name}"}]}
    layers = [known.shape[i : i + 2] for i in range(0, len(known.shape), 2)]
    for layer in reversed(layers):
        schema = (
            {"type": "array", "items": schema} if layer == "[]" else {"type": "object", "additionalProperties": schema}
        )
    return {**schema, **_extensions(known)}


def _extensions(known: Field) -> JsonObject:
    found: JsonObject = {}
    names = {"strategy": "patch-strategy", "key": "patch-merge-key", "list": "list-type", "map": "map-type"}
    for attribute, name in names.items():
        if attribute in known.attributes:
            found[f"x-kubernetes-{name}"] = known.attributes[attribute]
    if "keys" in known.attributes:
        found["x-kubernetes-list-map-keys"] = known.attributes["keys"].split(",")
    if "enum" in known.attributes:
        found["enum"] = known.attributes["enum"].split(",")
    default = default_of(known.attributes)
    return found if default is None else {**found, "default": default}


def _query(name: str, kind: str = "string") -> JsonObject:
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}


def _operation(resource: Resource, action: str, schema: str, **more: Any) -> JsonObject:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {
        "operationId": f"{action}{resource.kind}",
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
        **more,
    }


def _paths(resource: Resource, schema: str) -> JsonObject:
    """The operations that clients look at: which parameters writes take, and which patches there are."""
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    collection = (
        f"{base}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{base}/{resource.plural}"
    )
    writing = [_query("dryRun"), _query("fieldManager"), _query("fieldValidation")]
    body = {"content": {"*/*": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}, "required": True}
    patches = _PATCHES if resource.custom else (*_PATCHES, _STRATEGIC)
    reference = {"schema": {"$ref": f"#/components/schemas/{_META}.Patch"}}
    patch_body = {"content": dict.fromkeys(patches, reference), "required": True}
    return {
        collection: {
            "get": _operation(resource, "list", schema),
            "post": _operation(resource, "post", schema, parameters=writing, requestBody=body),
        },
        f"{collection}/{{name}}": {
            "get": _operation(resource, "get", schema),
            "put": _operation(resource, "put", schema, parameters=writing, requestBody=body),
            "patch": _operation(
                resource, "patch", schema, parameters=[*writing, _query("force", "boolean")], requestBody=patch_body
            ),
            "delete": _operation(resource, "delete", schema, parameters=[_query("dryRun")]),
        },
    }
