"""Quantities of built-in kinds: refused where they do not parse, and rewritten in Kubernetes' canonical form."""

from functools import cache, lru_cache
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import QuantityError, parse
from flowbatch.embedded.apiserver.fieldtypes import Field, all_types
from flowbatch.embedded.apiserver.refusals import bad_request

RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}


@cache
def _holding(type_name: str) -> dict[str, Field]:
    """Fields of a type at or below which there are quantities."""
    fields = all_types()[type_name].fields.values()
    return {
        each.name: each
        for each in fields
        if each.base == "quantity" or (each.base in all_types() and _holding(each.base))
    }


def canonicalize(type_name: str, obj: JsonObject) -> None:
    """Rewrite every quantity of `obj` in place; raises a 400 Refusal for one that does not parse."""
    holding = _holding(type_name)
    for name, value in obj.items():
        known = holding.get(name)
        if known is not None and value is not None:
            # Only values change, so the walk over the keys stays sound.
            obj[name] = _rewritten(known, known.shape, value)


def _rewritten(known: Field, shape: str, value: Any) -> Any:
    if shape[:2] == "[]":
        return [_rewritten(known, shape[2:], each) for each in value]
    if shape[:2] == "{}":
        return {key: _rewritten(known, shape[2:], each) for key, each in value.items()}
    if known.base == "quantity":
        return canonical(value if isinstance(value, str) else repr(value))
    if isinstance(value, dict):
        canonicalize(known.base, value)
    return value


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The canonical spelling: no fraction, the largest suffix that stays exact, in the family that was used."""
    try:
        value = parse(text)
    except QuantityError:
        raise bad_request(RULE) from None
    sign, value = ("-", -value) if value < 0 else ("", value)
    if value == 0:
        return "0"
    if text.endswith("i") and value >= 1024 and value.denominator == 1:
        return sign + _binary(value.numerator)
    # Finer than a nano is rounded up, as in Kubernetes.
    nanos = -(-(value * 10**9).numerator // (value * 10**9).denominator)
    power = -9
    while nanos % 10 == 0 and power < 18:
        nanos, power = nanos // 10, power + 1
    while power % 3:
        nanos, power = nanos * 10, power - 1
    if any(letter in text for letter in "eE") and not text.endswith("E"):
        return f"{sign}{nanos}e{power}" if power else f"{sign}{nanos}"
    return f"{sign}{nanos}{_DECIMAL[power]}"


def _binary(value: int) -> str:
    power = 0
    while value % 1024 == 0 and power < 6:
        value, power = value // 1024, power + 1
    return f"{value}{_BINARY[power]}"
