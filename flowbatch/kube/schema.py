"""Which of flowbatch's own fields the cluster knows.

Volcano's CustomResourceDefinitions, if they came first, would prune what they do not know, silently. So each component
asks at its start what is served, writes annotations in place of missing fields, and refuses by name what cannot be
said otherwise.
"""

from typing import Any

import msgspec

from flowbatch.api.kinds import JOB, JOB_FLOW, POD_GROUP, QUEUE, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.kube.client import Client
from flowbatch.kube.errors import Forbidden, NotFound
from flowbatch.kube.request import Request

#: Fields that Volcano does not have, and where they stand. The names are those of the api package.
FLOWBATCH_FIELDS: dict[str, tuple[Kind[Any], tuple[str, ...]]] = {
    "JobSpec.suspend": (JOB, ("spec", "suspend")),
    "JobSpec.retry": (JOB, ("spec", "retry")),
    "JobSpec.activeDeadlineSeconds": (JOB, ("spec", "activeDeadlineSeconds")),
    "JobSpec.ttlSecondsAfterSuspended": (JOB, ("spec", "ttlSecondsAfterSuspended")),
    "JobSpec.reservationPolicy": (JOB, ("spec", "reservationPolicy")),
    "JobSpec.inputs": (JOB, ("spec", "inputs")),
    "JobSpec.outputs": (JOB, ("spec", "outputs")),
    "TaskSpec.inputs": (JOB, ("spec", "tasks[]", "inputs")),
    "TaskSpec.outputs": (JOB, ("spec", "tasks[]", "outputs")),
    "TaskSpec.retry": (JOB, ("spec", "tasks[]", "retry")),
    "DependsOn.status": (JOB, ("spec", "tasks[]", "dependsOn", "status")),
    "QueueSpec.suspend": (QUEUE, ("spec", "suspend")),
    "PodGroupSpec.declaredTasks": (POD_GROUP, ("spec", "declaredTasks")),
    #: Stands for all that flowbatch adds to a flow: whoever serves this field serves the others.
    "JobFlowSpec.suspend": (JOB_FLOW, ("spec", "suspend")),
}
ALL_FIELDS = frozenset(FLOWBATCH_FIELDS)

_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def served_fields(client: Client) -> frozenset[str]:
    """The names in FLOWBATCH_FIELDS that the served schemas know. A kind that is not served knows none."""
    schemas: dict[Kind[Any], JsonObject | None] = {}
    for kind, _ in FLOWBATCH_FIELDS.values():
        if kind not in schemas:
            schemas[kind] = await _schema(client, kind)
    return frozenset(name for name, (kind, path) in FLOWBATCH_FIELDS.items() if has_field(schemas[kind] or {}, path))


async def _schema(client: Client, kind: Kind[Any]) -> JsonObject | None:
    """The OpenAPI schema of a custom kind: from its definition, or, where that may not be read, from discovery."""
    try:
        body = await client.send(Request("GET", f"{_CRDS}/{kind.plural}.{kind.group}"))
        return schema_of_definition(msgspec.json.decode(body), kind.version)
    except NotFound:
        return None
    except Forbidden:
        pass
    try:
        body = await client.send(Request("GET", f"/openapi/v3/apis/{kind.group}/{kind.version}"))
    except (NotFound, Forbidden):
        return None
    return schema_of_openapi(msgspec.json.decode(body), kind)


def schema_of_definition(definition: JsonObject, version: str) -> JsonObject | None:
    """The schema of one version of a CustomResourceDefinition; None if that version is not served."""
    for each in definition.get("spec", {}).get("versions", ()):
        if each.get("name") == version and each.get("served"):
            schema: JsonObject = each.get("schema", {}).get("openAPIV3Schema", {})
            return schema
    return None


def schema_of_openapi(document: JsonObject, kind: Kind[Any]) -> JsonObject | None:
    """The schema of a kind in an OpenAPI v3 document, found by its group, version and kind."""
    wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    for schema in document.get("components", {}).get("schemas", {}).values():
        if wanted in schema.get("x-kubernetes-group-version-kind", ()):
            found: JsonObject = schema
            return found
    return None


def has_field(schema: JsonObject, path: tuple[str, ...]) -> bool:
    """Whether a value at `path` survives this schema's pruning; `name[]` goes into the items of a list."""
    for part in path:
        if schema.get("x-kubernetes-preserve-unknown-fields"):
            return True
        name = part.removesuffix("[]")
        if name not in schema.get("properties", {}):
            return False
        schema = schema["properties"][name]
        if name != part:
            schema = schema.get("items", {})
    return True
