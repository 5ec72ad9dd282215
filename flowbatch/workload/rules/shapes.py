"""What type stands where in a manifest: the first question asked of raw JSON, before any rule looks at a value.

A manifest is walked along a tree of shapes, so the walk is as deep as the shapes are and no deeper, whatever nesting
the input has. What a shape does not describe is not looked at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.vocabulary import MAX_INT32

#: More names than this in one object are not all compared with each other to find the nearest.
_MANY_NAMES = 64


@dataclass(frozen=True, slots=True)
class Shape:
    """Base: anything goes."""

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with the type of `value`."""
        yield from ()


@dataclass(frozen=True, slots=True)
class Text(Shape):
    """A string."""

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with the type of `value`."""
        if not isinstance(value, str):
            yield _wrong(path, "a string", value)


@dataclass(frozen=True, slots=True)
class Flag(Shape):
    """true or false."""

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with the type of `value`."""
        if not isinstance(value, bool):
            yield _wrong(path, "true or false", value)


@dataclass(frozen=True, slots=True)
class Whole(Shape):
    """An integer that fits `bits`; 2.0 is refused as Kubernetes refuses it."""

    limit: int = MAX_INT32

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with the type or the size of `value`."""
        if isinstance(value, bool) or not isinstance(value, int):
            yield _wrong(path, "a whole number", value)
        elif not -self.limit - 1 <= value <= self.limit:
            bound = f"at most {self.limit}" if value > 0 else f"at least {-self.limit - 1}"
            yield SpecError(path, f"must be {bound}", _shown(value))


@dataclass(frozen=True, slots=True)
class Scalar(Shape):
    """A string or a number: quantities, ports, percentages. What it says is a rule's business."""

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with the type of `value`."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            yield _wrong(path, "a string or a number", value)


@dataclass(frozen=True, slots=True)
class ListOf(Shape):
    """A list; a lone value where a list belongs gets the brackets shown."""

    item: Shape = Shape()

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with `value` and its items."""
        if not isinstance(value, list | tuple):
            hint = f"write [{value}]" if isinstance(value, str) and len(value) < 40 else ""
            yield _wrong(path, "a list", value, hint)
            return
        for index, item in enumerate(value):
            yield from _at(self.item, item, f"{path}[{index}]")


@dataclass(frozen=True, slots=True)
class MapOf(Shape):
    """An object with free names."""

    item: Shape = Shape()
    #: Whether null stands for "nothing": a plugin without arguments is often written so.
    nulls: bool = False

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with `value` and its values."""
        if not isinstance(value, dict):
            yield _wrong(path, "an object", value)
            return
        for key, item in value.items():
            if not isinstance(key, str):
                yield SpecError(path, "has a name that is not a string", key, "quote it")
            elif not (item is None and self.nulls):
                yield from _at(self.item, item, f"{path}.{key}")


@dataclass(frozen=True, slots=True)
class Fields(Shape):
    """An object with known fields.

    `strict`: any other field is refused. Otherwise only one that is nearly a known name, since Kubernetes will have
    fields that this version has not heard of. `nulls`: null is as good as absent (what kubectl dumps has them).
    """

    known: Mapping[str, Shape] = field(default_factory=dict)
    strict: bool = True
    nulls: bool = False

    def problems(self, value: Any, path: str) -> Iterator[SpecError]:
        """What is wrong with `value`, its fields, and names that are no fields."""
        if not isinstance(value, dict):
            yield _wrong(path, "an object", value)
            return
        for index, (key, item) in enumerate(value.items()):
            inside = f"{path}.{key}" if path else str(key)
            shape = self.known.get(key) if isinstance(key, str) else None
            if shape is None:
                yield from self._unknown(key, path, inside, many=index > _MANY_NAMES)
            elif not (item is None and self.nulls):
                yield from _at(shape, item, inside)

    def _unknown(self, key: Any, path: str, inside: str, *, many: bool) -> Iterator[SpecError]:
        if not isinstance(key, str):
            yield SpecError(path or ".", "has a name that is not a string", key, "quote it")
            return
        hint = "" if many else did_you_mean(key[:100], self.known)
        if self.strict or (hint.startswith("did you mean") and _nearly(key, hint)):
            yield SpecError(inside[:200], "is not a field", None, hint)


def _nearly(key: str, hint: str) -> bool:
    """Whether the suggested name is the same but for case or one letter: surely a slip and no newer field."""
    near = hint.split('"')[1]
    if key.lower() == near.lower():
        return True
    return abs(len(key) - len(near)) <= 1 and len(key) > 3 and _edits_within_one(key, near)


def _edits_within_one(one: str, other: str) -> bool:
    if len(one) > len(other):
        one, other = other, one
    start = next((i for i, letter in enumerate(one) if letter != other[i]), len(one))
    if len(one) == len(other):
        swapped = one[start : start + 2] == other[start : start + 2][::-1] and one[start + 2 :] == other[start + 2 :]
        return swapped or one[start + 1 :] == other[start + 1 :]
    return one[start:] == other[start + 1 :]


def _at(shape: Shape, value: Any, path: str) -> Iterator[SpecError]:
    if value is None and type(shape) is not Shape:
        yield SpecError(path, f"must be {_noun(shape)}, not null", None, "leave it out")
        return
    yield from shape.problems(value, path)


def _noun(shape: Shape) -> str:
    nouns: dict[type[Shape], str] = {Text: "a string", Flag: "true or false", Whole: "a whole number", ListOf: "a list"}
    return nouns.get(type(shape), "a string or a number" if isinstance(shape, Scalar) else "an object")


def _wrong(path: str, expected: str, value: Any, hint: str = "") -> SpecError:
    return SpecError(path or ".", f"must be {expected}, not {_type_name(value)}", _shown(value), hint)


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names = {str: "a string", int: "a number", float: "a number", list: "a list", tuple: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _shown(value: Any) -> Any:
    """`value` if it can be shown: a deep or wide one costs more than it tells, and Python prints no huge integers."""
    if isinstance(value, int) and abs(value) >= 2**128:
        return None
    return value if isinstance(value, str | int | float | bool) else None
