"""What passes between steps: JSON, small enough for a pod's termination message, typed again on arrival."""

from typing import Any

import msgspec

from flowbatch.errors import FlowbatchError
from flowbatch_dsl.frozen import thaw
from flowbatch_dsl.strategic import identical

#: What a kubelet keeps of a termination message, in bytes. Source: Kubernetes, terminationMessagePath.
MAX_BYTES = 4096
#: Stands in JSON for the value of another step: `{"$from": WHERE}`.
MARK = "$from"
TOO_LARGE = "write it to a volume or an object store that the next step reads too, and return its path instead"


class ValueRefused(FlowbatchError):
    """A value that cannot pass between steps, and what to do about it."""


def plain(value: Any) -> Any:
    """`value` as JSON values. Raises ValueRefused for what has no JSON form, or another one than it should."""
    try:
        made = thaw(msgspec.to_builtins(value, str_keys=True, enc_hook=_refuse))
        again = msgspec.json.decode(msgspec.json.encode(made))
    except (TypeError, ValueError, OverflowError) as problem:
        raise ValueRefused(f"has no JSON form: {problem}") from None
    if not identical(made, again):
        raise ValueRefused("has a number that JSON has no word for, such as nan or inf")
    return made


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} {value!r}"[:80])


def has_mark(value: Any) -> bool:
    """Whether JSON values hold, anywhere, a key that would be taken for a promise."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if MARK in item:
                return True
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    return False


def encoded(value: Any, limit: int = MAX_BYTES) -> bytes:
    """`value`, made of JSON values, as compact JSON. Raises ValueRefused if it is too large to pass."""
    body = msgspec.json.encode(value)
    if len(body) > limit:
        raise ValueRefused(f"is {len(body):,} bytes of JSON, and at most {limit:,} can pass: {TOO_LARGE}")
    return body


def typed(value: Any, hint: Any) -> Any:
    """JSON values as what `hint` says. Raises ValueRefused where they are not that."""
    if hint is Any:
        return value
    try:
        return msgspec.convert(value, hint, str_keys=True)
    except msgspec.ValidationError as problem:
        raise ValueRefused(f"is not {spelled(hint)}: {problem}") from None
    except TypeError as problem:
        raise ValueRefused(f"cannot be read as {spelled(hint)}: {problem}") from None


def spelled(hint: Any) -> str:
    """A type as its author wrote it, more or less."""
    return hint.__name__ if isinstance(hint, type) and not getattr(hint, "__args__", ()) else str(hint)


def hints_of(function: Any) -> dict[str, Any]:
    """The annotations of a function, evaluated; nothing where they cannot be (names only type checkers see)."""
    from typing import get_type_hints

    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return {}
