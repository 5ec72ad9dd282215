"""Does every answer of a server become the error that a caller can act on, whatever its body is?"""

import json
from typing import Any

import pytest

from flowbatch.kube.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerError,
    Throttled,
    Unauthorized,
    api_error,
    retry_after_of,
)


def body(**fields: Any) -> bytes:
    return json.dumps({"kind": "Status", **fields}).encode()


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Gone", Gone),
        (410, "Expired", Gone),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Throttled),
        (500, "InternalError", ServerError),
        (504, "Timeout", ServerError),
        (400, "BadRequest", ApiError),
        (415, "UnsupportedMediaType", ApiError),
    ],
)
def test_each_answer_has_its_class(status: int, reason: str, expected: type[ApiError]):
    made = api_error(status, body(code=status, reason=reason, message="so it is"))
    assert type(made) is expected
    assert str(made) == f"so it is ({status} {reason})"


@pytest.mark.parametrize("text", [b"", b"no healthy upstream", b"<html><h1>502</h1></html>", b"\xff\xfe", b"[]", b"7"])
def test_a_body_that_is_no_status_is_shown_as_it_is(text: bytes):
    made = api_error(503, text)
    assert type(made) is ServerError
    assert made.message == text.decode(errors="replace")


def test_an_object_where_a_status_is_expected_lends_it_nothing():
    assert api_error(409, b'{"kind": "Pod", "reason": "Evicted"}').reason == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"code": 410, "reason": "Expired"}, Gone),
        ({"reason": "Expired"}, Gone),
        ({"reason": "TooManyRequests"}, Throttled),
        ({"message": "etcdserver: RequestWatchProgress is disabled"}, ServerError),
    ],
)
def test_inside_a_stream_only_the_body_tells(said: dict[str, Any], expected: type[ApiError]):
    assert type(api_error(0, body(**said))) is expected


def test_a_version_that_the_server_has_not_reached_is_recognised_by_cause_and_by_words():
    causes = {"causes": [{"reason": "ResourceVersionTooLarge"}]}
    assert api_error(504, body(reason="Timeout", details=causes)).version_too_large
    assert api_error(504, body(message="Too large resource version: 9, current: 4")).version_too_large
    assert not api_error(504, body(reason="Timeout")).version_too_large


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("0", None), ("-1", None), ("inf", None), ("nan", None), ("Wed, 21 Oct", None)],
)
def test_retry_after_is_seconds_or_nothing(value: str, seconds: float | None):
    assert retry_after_of({"Retry-After": value}) == seconds


def test_the_seconds_may_stand_in_the_status_too():
    assert api_error(429, body(details={"retryAfterSeconds": 4})).retry_after == 4
