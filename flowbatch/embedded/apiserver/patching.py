"""Which patch a PATCH is, by its media type, and what it makes of an object."""

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.decoding import parse_body
from flowbatch.embedded.apiserver.patch import json_patch, merge_patch
from flowbatch.embedded.apiserver.refusals import bad_request, unsupported_media
from flowbatch.embedded.apiserver.strategic import strategic_patch

PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


def patched(call: Call, current: JsonObject) -> JsonObject:
    """`current` with the patch of the call applied; it shares what did not change."""
    resource = call.resource
    media = call.content_type.partition(";")[0].strip()
    if media not in PATCH_TYPES or (media == PATCH_TYPES[2] and resource.custom):
        allowed = PATCH_TYPES[:2] if resource.custom else PATCH_TYPES
        raise unsupported_media(", ".join(allowed))
    patch = parse_body(call.body, "application/json")
    if media != PATCH_TYPES[0] and not isinstance(patch, dict):
        raise bad_request("error decoding patch: a merge patch is an object")
    if media == PATCH_TYPES[0]:
        changed = json_patch(current, patch)
    elif media == PATCH_TYPES[1]:
        changed = merge_patch(current, patch)
    else:
        changed = strategic_patch(resource.type_name, current, patch)
    if not isinstance(changed, dict):
        raise bad_request("the patched value is not an object")
    return changed
