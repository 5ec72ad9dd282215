"""Every way the API server says no: one exception that carries the Status body a Kubernetes client expects.

A `Refusal` is raised anywhere below the HTTP layer and turned into a reply in exactly one place there. Reasons are part
of the contract: AlreadyExists and Conflict are both 409, and clients tell them apart by reason only.
"""

from collections.abc import Sequence

from flowbatch.api.meta import JsonObject
from flowbatch.errors import FlowbatchError


class Cause(dict[str, str]):
    """One entry of `details.causes`: reason, message and field."""

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(reason=reason, message=message, **({"field": field} if field else {}))

    @property
    def text(self) -> str:
        """How the cause reads inside the Status message."""
        return f"{self['field']}: {self['message']}" if "field" in self else self["message"]


class Refusal(FlowbatchError):
    """The request is answered with this Status; `details` is `Status.details`."""

    def __init__(self, code: int, reason: str, message: str, details: JsonObject | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    @property
    def status(self) -> JsonObject:
        """The metav1.Status object."""
        body: JsonObject = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        return body


def qualified(plural: str, group: str) -> str:
    """`jobs.batch`, or `pods` for the core group: how messages name a resource."""
    return f"{plural}.{group}" if group else plural


def _about(plural: str, group: str, name: str) -> JsonObject:
    details: JsonObject = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = plural
    return details


def bad_request(message: str) -> Refusal:
    """400: the request itself makes no sense."""
    return Refusal(400, "BadRequest", message)


def unauthorized() -> Refusal:
    """401: no, or an unknown, bearer token."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(plural: str, group: str, name: str, why: str) -> Refusal:
    """403: understood and not allowed."""
    message = f'{qualified(plural, group)} "{name}" is forbidden: {why}'
    return Refusal(403, "Forbidden", message, _about(plural, group, name))


def not_found(plural: str, group: str, name: str) -> Refusal:
    """404 for a named object."""
    return Refusal(404, "NotFound", f'{qualified(plural, group)} "{name}" not found', _about(plural, group, name))


def no_such_path() -> Refusal:
    """404 for a path that no resource serves."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> Refusal:
    """405: the resource exists, the verb does not."""
    message = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", message, {})


def not_acceptable(accepted: str) -> Refusal:
    """406: only media types we do not speak were asked for (protobuf)."""
    message = f"only the following media types are accepted: {accepted}"
    return Refusal(406, "NotAcceptable", message)


def unsupported_media(accepted: str) -> Refusal:
    """415: the body is in a media type we do not speak."""
    message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    return Refusal(415, "UnsupportedMediaType", message)


def already_exists(plural: str, group: str, name: str) -> Refusal:
    """409 AlreadyExists: the name is taken."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return Refusal(409, "AlreadyExists", message, _about(plural, group, name))


def conflict(plural: str, group: str, name: str, why: str) -> Refusal:
    """409 Conflict: the object is not in the state the writer believed."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return Refusal(409, "Conflict", message, _about(plural, group, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def expired(message: str) -> Refusal:
    """410: the version asked for is no longer kept."""
    return Refusal(410, "Expired", message)


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> Refusal:
    """422 with every problem, each with its field path."""
    texts = [cause.text for cause in causes]
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details: JsonObject = {"name": name} if name else {}
    if group:
        details["group"] = group
    details |= {"kind": kind, "causes": list(causes)}
    return Refusal(422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {joined}', details)


def too_many(message: str, retry_after_s: int = 0) -> Refusal:
    """429: eviction refused by a disruption budget, or throttled."""
    details: JsonObject = {"retryAfterSeconds": retry_after_s} if retry_after_s else {}
    return Refusal(429, "TooManyRequests", message, details)


def too_large_version(asked: int, current: int) -> Refusal:
    """504: a version from the future, which a lagging replica would wait for."""
    message = f"Too large resource version: {asked}, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    return Refusal(504, "Timeout", f"Timeout: {message}", {"causes": causes, "retryAfterSeconds": 1})


def required(field: str, why: str = "") -> Cause:
    """A missing field."""
    return Cause("FieldValueRequired", f"Required value{': ' + why if why else ''}", field)


def invalid_value(field: str, value: object, why: str) -> Cause:
    """A field with a value that is not allowed."""
    return Cause("FieldValueInvalid", f"Invalid value: {_shown(value)}: {why}", field)


def forbidden_field(field: str, why: str) -> Cause:
    """A field that may not be set, or not be changed, now."""
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def duplicate(field: str, value: object) -> Cause:
    """A list entry whose key is already taken."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_shown(value)}", field)


def unsupported_value(field: str, value: object, allowed: Sequence[object]) -> Cause:
    """A value outside an enumeration."""
    known = ", ".join(_shown(each) for each in allowed)
    return Cause("FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {known}", field)


def type_invalid(field: str, value: object, why: str) -> Cause:
    """A value of the wrong JSON type."""
    return Cause("FieldValueTypeInvalid", f"Invalid value: {_shown(value)}: {why}", field)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
