"""What a write may touch: status through its own door only, and which changes count as a new generation."""

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.resources import Resource


def isolated(call: Call, new: JsonObject, before: JsonObject) -> JsonObject:
    """The status endpoint writes only status, the main one everything else."""
    resource = call.resource
    if not resource.has_status:
        return new
    if call.subresource != "status":
        return _with_field(new, "status", before)
    metadata = before["metadata"] if resource.custom else new["metadata"]
    isolated = {**before, "metadata": dict(metadata)}
    return _with_field(isolated, "status", new)


def _with_field(obj: JsonObject, field: str, source: JsonObject) -> JsonObject:
    if field in source:
        return {**obj, field: source[field]}
    return {key: value for key, value in obj.items() if key != field}


def spec_changed(resource: Resource, new: JsonObject, old: JsonObject) -> bool:
    """Whether the change counts as a new generation: custom kinds count everything but metadata and their status."""
    if not resource.custom and "spec" in new:
        return bool(new.get("spec") != old.get("spec"))
    ignored = {"metadata", "status"} if resource.has_status or not resource.custom else {"metadata"}
    ignored |= {"apiVersion", "kind"}
    return {k: v for k, v in new.items() if k not in ignored} != {k: v for k, v in old.items() if k not in ignored}
