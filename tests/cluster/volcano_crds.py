"""CustomResourceDefinitions as a cluster has them on which Volcano was first: flowbatch's own, without what it adds.

Stricter than Volcano's where that is harder on flowbatch: nothing is defaulted and nothing is validated here, because
there that is the webhooks' work, and Volcano's controllers do not run beside flowbatch's.
"""

from typing import Any

from flowbatch.admission.crds import crds
from flowbatch.api.meta import JsonObject
from flowbatch.kube.schema import FLOWBATCH_FIELDS

#: What a schema may say that Volcano's leave to its webhooks.
_WEBHOOKS_WORK = ("default", "x-kubernetes-validations", "minimum", "maximum", "maxLength", "enum")


def volcano_crds() -> list[JsonObject]:
    """All CRDs, in the order of `crds()`."""
    definitions = crds()
    schemas = {each["spec"]["names"]["kind"]: _schema(each) for each in definitions}
    for kind, (*way, field) in FLOWBATCH_FIELDS.values():
        del _below(schemas[kind.kind], way)["properties"][field]
    for schema in schemas.values():
        _leave_to_webhooks(schema)
    # Volcano's queues: whoever writes a status must say what is allocated, or is refused.
    schemas["Queue"]["properties"]["status"]["required"] = ["allocated"]
    return definitions


def _schema(definition: JsonObject) -> JsonObject:
    schema: JsonObject = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _below(schema: JsonObject, way: list[str]) -> JsonObject:
    for name in way:
        schema = schema["properties"][name.removesuffix("[]")]
        schema = schema["items"] if name.endswith("[]") else schema
    return schema


def _leave_to_webhooks(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    for word in _WEBHOOKS_WORK:
        schema.pop(word, None)
    for inner in schema.get("properties", {}).values():
        _leave_to_webhooks(inner)
    _leave_to_webhooks(schema.get("items"))
    _leave_to_webhooks(schema.get("additionalProperties"))
