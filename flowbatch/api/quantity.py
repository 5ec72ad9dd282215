"""Kubernetes quantities ("250m", "4Gi", "1e3") as exact integers; no float anywhere.

The grammar is that of apimachinery's `resource.ParseQuantity`: a signed decimal number and a suffix, binary
(`Ki`..`Ei`), decimal (`n u m "" k M G T P E`) or an exponent (`e3`, `E3`). Amounts are read as integers in a
unit of the caller's choice. Requests round **up** and capacity rounds **down**, so rounding never overcommits a node.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Rounding = Literal["up", "down"]

#: Kubernetes caps at int64; so do we, in whichever unit is asked for.
MAX_AMOUNT = 2**63 - 1
#: Longer text, or a larger exponent, is refused before any arithmetic.
MAX_CHARS = 64
MAX_EXPONENT = 64

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]+)?")
_MEANT = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)\s*((?![xX])[A-Za-z]*)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPECTED = 'expected a number with an optional suffix (n u m k M G T P E, Ki Mi Gi Ti Pi Ei), e.g. "4" or "500m"'
_NEAR = {"K": "k", "ki": "Ki", "KI": "Ki", "mi": "Mi", "gi": "Gi", "g": "G", "gb": "G", "GB": "G", "Gb": "G"}
_NEAR |= {"mb": "M", "MB": "M", "Mb": "M", "kb": "k", "KB": "k", "KiB": "Ki", "MiB": "Mi", "GiB": "Gi", "TiB": "Ti"}


class QuantityError(ValueError):
    """Text that is not a quantity; the message says what is allowed and, where it can, what was meant."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Fraction:
    """The exact value of `text`. Raises QuantityError."""
    match = _FORM.fullmatch(text) if len(text) <= MAX_CHARS else None
    if match is None or text == "":
        raise QuantityError(f"is not a quantity: {_EXPECTED}{_suggestion(text)}")
    sign, whole, fraction, suffix = match.group(1), match.group(2), match.group(3) or "", match.group(4) or ""
    digits = Fraction(int((whole + fraction) or "0"), 10 ** len(fraction))
    value = digits * _scale(suffix)
    return -value if sign == "-" else value


def _scale(suffix: str) -> Fraction:
    if suffix in _BINARY:
        return Fraction(2 ** _BINARY[suffix])
    if suffix in _DECIMAL:
        return _power_of_ten(_DECIMAL[suffix])
    exponent = int(suffix[1:])
    if abs(exponent) > MAX_EXPONENT:
        raise QuantityError(f"has an exponent beyond ±{MAX_EXPONENT}")
    return _power_of_ten(exponent)


def _power_of_ten(exponent: int) -> Fraction:
    return Fraction(10**exponent) if exponent >= 0 else Fraction(1, 10**-exponent)


def _suggestion(text: str) -> str:
    """What was probably meant: a known suffix in its right spelling, a point for a comma, no blanks."""
    plain = text[:MAX_CHARS].strip().replace("_", "")
    match = _MEANT.fullmatch(plain if "." in plain else plain.replace(",", ".", 1))
    if match is None:
        return ""
    suffix = _NEAR.get(match.group(2), match.group(2))
    known = suffix in _DECIMAL or suffix in _BINARY
    return f'; did you mean "{match.group(1)}{suffix if known else ""}"?'


def amount(value: str | int | float, scale: int = 1, rounding: Rounding = "up") -> int:
    """`value` times `scale` as an integer, capped at int64: `amount("250m", 1000) == 250`.

    A JSON number counts as its own text, as in Kubernetes. Raises QuantityError.
    """
    exact = exact_value(value) * scale
    whole = -(-exact.numerator // exact.denominator) if rounding == "up" else exact.numerator // exact.denominator
    return max(-MAX_AMOUNT, min(MAX_AMOUNT, whole))


def exact_value(value: str | int | float) -> Fraction:
    """The exact value of a quantity as JSON may write it: a string, or a number that counts as its own text."""
    if isinstance(value, bool):
        raise QuantityError(f"is not a quantity: {_EXPECTED}")
    # Not by way of text: Python refuses to print integers of more than 4300 digits.
    return Fraction(value) if isinstance(value, int) else parse(value if isinstance(value, str) else repr(value))


def millis(value: str | int | float, rounding: Rounding = "up") -> int:
    """`value` in thousandths: the unit of cpu."""
    return amount(value, 1000, rounding)


def scale_of(resource: str) -> int:
    """How many units of account one of `resource` is: cpu counts in thousandths, all else in bytes or pieces."""
    return 1000 if resource == "cpu" else 1


def amounts(quantities: dict[str, str | int | float], rounding: Rounding = "up") -> tuple[tuple[str, int], ...]:
    """A resource list as sorted `(resource, units)` pairs: cpu in millis, everything else in bytes or pieces."""
    return tuple(sorted((name, amount(value, scale_of(name), rounding)) for name, value in quantities.items()))


def format_amount(resource: str, units: int) -> str:
    """`units` of `resource` as the shortest exact quantity: 1500 cpu units are "1500m", 2**30 bytes are "1Gi"."""
    if resource == "cpu":
        return f"{units}m" if units % 1000 else str(units // 1000)
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            size = 2 ** _BINARY[suffix]
            if units and units % size == 0:
                return f"{units // size}{suffix}"
    return str(units)
