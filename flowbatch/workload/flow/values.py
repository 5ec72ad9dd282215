"""The small results that steps pass on: read from a termination message, compared, and written into variables."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from flowbatch.api.flow import StepCondition
from flowbatch.api.meta import JsonObject

#: Kubernetes keeps so much of a termination message.
MESSAGE_BYTES = 4096
#: What all outputs of a flow may come to: they live in its status, which has to fit into one object.
FLOW_BYTES = 512 * 1024
#: What one variable may hold; Linux starts no program with a longer one than 128 KiB.
VARIABLE_BYTES = 96 * 1024
#: How much of a bad message is shown.
_SHOWN_CHARS = 60


class NoValue(ValueError):
    """A step did not give what it was to give; says why."""


def read_message(text: str | None) -> JsonObject:
    """The JSON object that a pod left as its termination message. Raises NoValue."""
    if not text:
        raise NoValue("its pod left no termination message")
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        cut = " (it may have been cut off)" if len(text.encode()) >= MESSAGE_BYTES else ""
        raise NoValue(f"its termination message is not JSON: {text[:_SHOWN_CHARS]!r}{cut}") from None
    if not isinstance(found, dict):
        raise NoValue(f"its termination message is no JSON object: {text[:_SHOWN_CHARS]!r}")
    return found


def as_text(value: Any) -> str:
    """`value` as conditions compare it: a string as it is, all else as JSON."""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    """`value` as compact JSON."""
    return msgspec.json.encode(value).decode()


def unexpanded(text: str) -> str:
    """JSON in which Kubernetes finds no `$(NAME)` and no `$$` to replace."""
    return re.sub(r"\$(?=[$(])", r"\\u0024", text)


class Absent:
    """Stands for an output that no step gave."""


ABSENT = Absent()


def holds(condition: StepCondition, value: Any) -> bool:
    """Whether `value`, or ABSENT, is as `condition` wants it; absent values are as labels are to node selectors."""
    absent = value is ABSENT
    match condition.operator:
        case "Exists":
            return not absent
        case "DoesNotExist":
            return absent
        case "NotIn":
            return absent or as_text(value) not in condition.values
        case "In":
            return not absent and as_text(value) in condition.values
        case "Gt":
            return _compared(condition, value, lambda one, other: one > other)
        case "Lt":
            return _compared(condition, value, lambda one, other: one < other)
        case _:
            return False


def _compared(condition: StepCondition, value: Any, right: Callable[[float, float], bool]) -> bool:
    one = _number(value)
    other = _number(condition.values[0]) if len(condition.values) == 1 else None
    return one is not None and other is not None and right(one, other)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
