"""From a request body to an object: media type, JSON or YAML, the right kind, and unknown fields as asked."""

from typing import Any

import msgspec
import orjson
import yaml

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.fieldtypes import decoder, inspect
from flowbatch.embedded.apiserver.quantities import canonicalize
from flowbatch.embedded.apiserver.refusals import Refusal, bad_request, unsupported_media
from flowbatch.embedded.apiserver.resources import Resource

MAX_BODY_BYTES = 3 * 2**20
_JSON_TYPES = ("application/json", "")
_YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
#: What someone meets whose kubectl encodes `kubectl create KIND ...` in protobuf.
_PROTOBUF_HINT = (
    " (protobuf is not spoken here: add `--dry-run=client -o json | kubectl create -f -`, or use `kubectl apply -f`)"
)


def parse_body(body: bytes, content_type: str) -> Any:
    """The JSON value of a body. Raises 415 for protobuf and other types, 400 for what does not parse."""
    media = content_type.partition(";")[0].strip().lower()
    if media in _JSON_TYPES or media.endswith("+json"):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"error decoding the body: {error}") from None
    if media in _YAML_TYPES or media.endswith("+yaml"):
        try:
            return orjson.loads(orjson.dumps(yaml.safe_load(body), default=str))
        except (yaml.YAMLError, orjson.JSONEncodeError, RecursionError) as error:
            raise bad_request(f"error decoding the body: {error}") from None
    accepted = "application/json, application/yaml"
    raise unsupported_media(accepted + _PROTOBUF_HINT if "protobuf" in media else accepted)


def parse_object(body: bytes, content_type: str) -> JsonObject:
    """Like `parse_body`, for bodies that must be an object."""
    value = parse_body(body, content_type)
    if not isinstance(value, dict):
        raise bad_request("the body of the request is not an object")
    return value


def check_kind(resource: Resource, obj: JsonObject) -> None:
    """The body is of the kind that the path names; left out, they are filled in."""
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if kind and kind != resource.kind:
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: no kind matches')
    if version and version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
    if not isinstance(obj.get("metadata"), dict):
        if obj.get("metadata") is not None:
            raise bad_request(f"{resource.kind} cannot be handled: metadata is not an object")
        obj["metadata"] = {}


def check_fields(resource: Resource, obj: JsonObject, mode: str, body: bytes | None = None) -> list[str]:
    """Refuse, warn of or drop unknown fields, by `mode` (Strict, Warn, Ignore); wrong types are always refused.

    Built-in kinds are checked in C (against `body`, where that is the object as sent) and walked only when that fails.
    """
    if resource.custom:
        unknown = resource.structural.prune(obj) if resource.structural else []
    elif _decodes(resource.type_name, orjson.dumps(obj) if body is None else body):
        unknown = []
    else:
        unknown = _walk(resource, obj)
    if not resource.custom:
        _canonical(resource, obj)
    if not unknown or mode == "Ignore":
        return []
    problems = [f'unknown field "{each}"' for each in unknown]
    if mode == "Strict":
        raise Refusal(400, "BadRequest", _strict_message(resource, problems))
    return problems


def _decodes(type_name: str, body: bytes) -> bool:
    try:
        decoder(type_name).decode(body)
    except msgspec.MsgspecError:
        return False
    return True


def _walk(resource: Resource, obj: JsonObject) -> list[str]:
    findings = inspect(resource.type_name, obj)
    if findings.mistyped:
        raise bad_request(f"{_handled(resource)}: {'; '.join(findings.mistyped)}")
    return findings.unknown


def _canonical(resource: Resource, obj: JsonObject) -> None:
    try:
        canonicalize(resource.type_name, obj)
    except Refusal as refusal:
        raise bad_request(f"{_handled(resource)}: {refusal.message}") from None


def _handled(resource: Resource) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def _strict_message(resource: Resource, problems: list[str]) -> str:
    text = "strict decoding error: " + ", ".join(problems)
    return text if resource.custom else f"{_handled(resource)}: {text}"
