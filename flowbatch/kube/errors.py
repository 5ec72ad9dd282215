"""What can go wrong between flowbatch and an API server, one class for each thing a caller may do about it.

An `ApiError` is an answer: the server said no and did nothing. A `TransportError` is the absence of one: a write that
ends in it may or may not have happened, and only reading tells (reliability.md 3.2, rows 11 and 12).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from flowbatch.errors import FlowbatchError

#: Longest piece of a body that is no Status and is shown to people all the same.
SHOWN_BODY_CHARS = 300


class ConfigError(FlowbatchError):
    """There is no usable kubeconfig; the message says which file, context or field is at fault."""


class Fenced(FlowbatchError):
    """A write was refused on this side, before it was sent: this replica no longer leads."""


class TransportError(FlowbatchError):
    """No answer: the outcome is unknown, unless `sent` is False, when no byte of the request left this process.

    `lasting` says that trying again is no use: a certificate that is not trusted, for example.
    """

    def __init__(self, message: str, *, sent: bool = True, lasting: bool = False) -> None:
        super().__init__(message)
        self.sent = sent
        self.lasting = lasting


class ApiError(FlowbatchError):
    """The server refused. `reason` is Kubernetes' own word (`Expired`, ...), `details` are those of its Status."""

    def __init__(
        self,
        status: int,
        reason: str = "",
        message: str = "",
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details
        #: Seconds the server asks to wait.
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message or 'no message'} ({self.status} {self.reason})".replace(" )", ")")

    @property
    def causes(self) -> list[dict[str, str]]:
        """The single problems behind a refusal: dicts with `field`, `reason` and `message`."""
        return [cause for cause in (self.details or {}).get("causes") or () if isinstance(cause, dict)]

    @property
    def version_too_large(self) -> bool:
        """Whether a lagging server was asked for a state that it has not seen yet (504 or 500 with that cause)."""
        return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in self.causes) or (
            "Too large resource version" in self.message
        )


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: RBAC or an admission plugin forbids it."""


class NotFound(ApiError):
    """404: no such object, or no such kind."""


class AlreadyExists(ApiError):
    """409: the name is taken."""


class Conflict(ApiError):
    """409: the object has changed since it was read, or a precondition failed."""


class Gone(ApiError):
    """410: the resourceVersion or continue token is too old; list again."""


class Invalid(ApiError):
    """422: the object is wrong; `causes` says where."""


class Throttled(ApiError):
    """429: too many requests, or a disruption budget forbids an eviction."""


class ServerError(ApiError):
    """5xx: the server's own trouble."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Throttled,
}
_STATUS_OF_REASON = {
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Expired": 410,
    "Gone": 410,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}


class Status(msgspec.Struct):
    """metav1.Status, as far as errors need it; every field may be null or absent."""

    kind: str | None = None
    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: dict[str, Any] | None = None


_decode_status = msgspec.json.Decoder(Status).decode


def api_error(status: int, body: bytes, retry_after: float | None = None) -> ApiError:
    """The error of an answer with HTTP `status` (0: the body says) and `body`, which need not be JSON."""
    try:
        said = _decode_status(body)
    except msgspec.MsgspecError:
        said = Status()
    if said.kind not in (None, "Status"):
        said = Status()
    reason = said.reason or ""
    code = status or said.code or _STATUS_OF_REASON.get(reason, 500)
    message = said.message or body[:SHOWN_BODY_CHARS].decode(errors="replace").strip()
    if retry_after is None and said.details:
        retry_after = _seconds(said.details.get("retryAfterSeconds"))
    return _class_of(code, reason)(code, reason, message, said.details, retry_after)


def _class_of(code: int, reason: str) -> type[ApiError]:
    if reason in ("Expired", "Gone"):
        return Gone
    if reason == "AlreadyExists":
        return AlreadyExists
    return _BY_STATUS.get(code) or (ServerError if code >= 500 else ApiError)


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After header; its date form, which no API server sends, counts as not given."""
    return _seconds(headers.get("Retry-After"))


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None
