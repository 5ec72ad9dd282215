"""Tests of labels: what one says of a value, and whether a set of labels passes several.

A test that makes no sense (Gt with a word, an unknown operator) holds nowhere, as in Kubernetes.
"""

from collections.abc import Callable, Mapping

from flowbatch.model.shapes import LabelTest, Term


def verdict(test: LabelTest) -> Callable[[str | None], bool]:
    """What `test` says of one value; None stands for "no such label"."""
    match test.operator:
        case "In":
            wanted = dict.fromkeys(test.values)
            return lambda value: value is not None and value in wanted
        case "NotIn":
            unwanted = dict.fromkeys(test.values)
            return lambda value: value is None or value not in unwanted
        case "Exists":
            return lambda value: value is not None
        case "DoesNotExist":
            return lambda value: value is None
        case "Gt" | "Lt":
            return _ordered(test)
        case _:
            return lambda _value: False


def _ordered(test: LabelTest) -> Callable[[str | None], bool]:
    bound = whole(test.values[0]) if len(test.values) == 1 else None
    sign = 1 if test.operator == "Gt" else -1

    def holds(value: str | None) -> bool:
        number = whole(value) if value is not None else None
        return bound is not None and number is not None and sign * (number - bound) > 0

    return holds


def whole(text: str) -> int | None:
    """A whole number as Go's ParseInt reads it, or None."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits or len(digits) > 19 or any(digit not in "0123456789" for digit in digits):
        return None
    return int(text)


def passes(tests: Term, labels: Mapping[str, str], name: str = "") -> bool:
    """All tests hold; `name` is what a test of metadata.name looks at."""
    return all(verdict(test)(_value(test, labels, name)) for test in tests)


def _value(test: LabelTest, labels: Mapping[str, str], name: str) -> str | None:
    if not test.field:
        return labels.get(test.key)
    return name if test.key == "metadata.name" else None
