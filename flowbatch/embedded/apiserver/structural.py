"""Structural OpenAPI v3 schemas of custom resources: defaulting, pruning and validation, compiled once per schema."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import (
    Cause,
    duplicate,
    invalid_value,
    required,
    type_invalid,
    unsupported_value,
)

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
#: What an embedded resource has whether or not its schema says so.
_OBJECT_FIELDS = ("apiVersion", "kind", "metadata")


class Structural:
    """One node of a schema."""

    def __init__(self, schema: JsonObject, *, root: bool = False) -> None:
        self.schema = schema
        self.type: str = schema.get("type", "")
        self.properties = {name: Structural(each) for name, each in (schema.get("properties") or {}).items()}
        self.nullable: bool = bool(schema.get("nullable"))
        self.preserves: bool = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        self.int_or_string: bool = bool(schema.get("x-kubernetes-int-or-string"))
        self.embedded: bool = root or bool(schema.get("x-kubernetes-embedded-resource"))
        self.root = root
        items, extra = schema.get("items"), schema.get("additionalProperties")
        self.items = Structural(items) if isinstance(items, dict) else None
        self.extra = Structural(extra) if isinstance(extra, dict) else None
        self.open: bool = extra is True
        self.pattern = _compiled(schema.get("pattern"))

    @cached_property
    def has_defaults(self) -> bool:
        """Whether defaulting can change anything at or below this node."""
        return "default" in self.schema or any(each.has_defaults for each in self.children)

    @property
    def children(self) -> Iterator["Structural"]:
        """Nodes directly below."""
        yield from self.properties.values()
        yield from (each for each in (self.items, self.extra) if each is not None)

    def default(self, value: Any) -> None:
        """Fill defaults into `value` in place; a null where null is not allowed counts as absent."""
        if isinstance(value, dict):
            for name, child in self.properties.items():
                if name not in value or (value[name] is None and not child.nullable and "default" in child.schema):
                    if "default" not in child.schema:
                        continue
                    value[name] = fresh(child.schema["default"])
                if child.has_defaults:
                    child.default(value[name])
            if self.extra is not None and self.extra.has_defaults:
                for name in value.keys() - self.properties.keys():
                    self.extra.default(value[name])
        elif isinstance(value, list) and self.items is not None and self.items.has_defaults:
            for each in value:
                self.items.default(each)

    def prune(self, value: Any, path: str = "", dropped: list[str] | None = None) -> list[str]:
        """Drop fields that the schema does not know, in place; returns their paths."""
        found: list[str] = [] if dropped is None else dropped
        if isinstance(value, dict):
            self._prune_object(value, path, found)
        elif isinstance(value, list) and self.items is not None:
            for index, each in enumerate(value):
                self.items.prune(each, f"{path}[{index}]", found)
        return found

    def _prune_object(self, value: JsonObject, path: str, dropped: list[str]) -> None:
        for name in list(value):
            where = f"{path}.{name}" if path else name
            child = self.properties.get(name)
            if self.embedded and name in _OBJECT_FIELDS:
                continue
            if child is not None:
                child.prune(value[name], where, dropped)
            elif self.extra is not None:
                self.extra.prune(value[name], where, dropped)
            elif not self.preserves and not self.open:
                dropped.append(where)
                del value[name]

    def check(self, value: Any, path: str = "") -> list[Cause]:
        """Everything wrong with `value`."""
        causes: list[Cause] = []
        self.collect(value, path, causes)
        return causes

    def collect(self, value: Any, path: str, causes: list[Cause]) -> None:
        """Add everything wrong with `value` to `causes`."""
        if value is None:
            if not self.nullable and (self.type or self.int_or_string):
                causes.append(type_invalid(path, value, f'must be of type {self._wanted}: "null"'))
            return
        if not self._type_fits(value):
            shown = "number" if isinstance(value, float) else _NAMES.get(type(value), "string")
            causes.append(type_invalid(path, _brief(value), f'must be of type {self._wanted}: "{shown}"'))
            return
        schema = self.schema
        if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
            causes.append(unsupported_value(path, value, schema["enum"]))
        if isinstance(value, str):
            causes += _string_problems(schema, self.pattern, value, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            causes += _number_problems(schema, value, path)
        elif isinstance(value, list):
            self._check_list(value, path, causes)
        elif isinstance(value, dict):
            self._check_object(value, path, causes)
        causes += _junctor_problems(schema, value, path)

    @property
    def _wanted(self) -> str:
        return "integer or string" if self.int_or_string else self.type

    def _type_fits(self, value: Any) -> bool:
        if self.int_or_string:
            return isinstance(value, int | str) and not isinstance(value, bool)
        if not self.type:
            return True
        if isinstance(value, bool):
            return self.type == "boolean"
        if self.type == "integer" and isinstance(value, float):
            return value.is_integer()
        return isinstance(value, _TYPES.get(self.type, (object,)))

    def _check_list(self, value: list[Any], path: str, causes: list[Cause]) -> None:
        schema = self.schema
        if len(value) > schema.get("maxItems", math.inf):
            most = schema["maxItems"]
            causes.append(Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items", path))
        if len(value) < schema.get("minItems", 0):
            least = schema["minItems"]
            causes.append(invalid_value(path, len(value), f"{path} in body should have at least {least} items"))
        causes += _repeated(schema, value, path)
        if self.items is not None:
            for index, each in enumerate(value):
                self.items.collect(each, f"{path}[{index}]", causes)

    def _check_object(self, value: JsonObject, path: str, causes: list[Cause]) -> None:
        schema = self.schema
        prefix = f"{path}." if path else ""
        causes += [required(prefix + name) for name in schema.get("required", ()) if name not in value]
        if len(value) > schema.get("maxProperties", math.inf):
            most = schema["maxProperties"]
            causes.append(Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items", path))
        if len(value) < schema.get("minProperties", 0):
            least = schema["minProperties"]
            causes.append(invalid_value(path, len(value), f"{path} in body should have at least {least} properties"))
        for name, each in value.items():
            child = self.properties.get(name) or self.extra
            if child is not None and not (self.embedded and name in _OBJECT_FIELDS):
                child.collect(each, prefix + name, causes)
        if self.embedded and not self.root:
            causes += [
                required(prefix + name, "must not be empty") for name in ("apiVersion", "kind") if not value.get(name)
            ]


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error:
        return None


def fresh(value: Any) -> Any:
    """A copy of a JSON value that may be changed."""
    if isinstance(value, dict):
        return {key: fresh(each) for key, each in value.items()}
    return [fresh(each) for each in value] if isinstance(value, list) else value


def _brief(value: Any) -> Any:
    return _NAMES[type(value)] if isinstance(value, dict | list) else value


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and isinstance(left, bool) is isinstance(right, bool)


def _repeated(schema: JsonObject, value: list[Any], path: str) -> Iterator[Cause]:
    """Entries that share the key of a map list, or the value of a set."""
    keys = schema.get("x-kubernetes-list-map-keys") or []
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    seen: set[str] = set()
    for index, each in enumerate(value):
        shown = {key: each.get(key) for key in keys} if kind == "map" and isinstance(each, dict) else each
        if repr(shown) in seen:
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(repr(shown))


def _string_problems(schema: JsonObject, pattern: re.Pattern[str] | None, value: str, path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxLength", math.inf):
        most = schema["maxLength"]
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {most} bytes", path)
    if len(value) < schema.get("minLength", 0):
        yield invalid_value(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    if pattern is not None and not pattern.search(value):
        yield invalid_value(path, value, f"{path} in body should match '{schema['pattern']}'")
    if schema.get("format") == "date-time" and not _is_time(value):
        yield invalid_value(path, value, f'{path} in body must be of type date-time: "{value}"')


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _number_problems(schema: JsonObject, value: float, path: str) -> Iterator[Cause]:
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if low is not None and (value <= low if schema.get("exclusiveMinimum") else value < low):
        word = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {word} {low}")
    if high is not None and (value >= high if schema.get("exclusiveMaximum") else value > high):
        word = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {word} {high}")
    if step and value % step:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {step}")
    bits = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    if bits and not -(2**bits) <= value < 2**bits:
        yield invalid_value(path, value, f"{path} in body must be of type {schema['format']}")


def _junctor_problems(schema: JsonObject, value: Any, path: str) -> Iterator[Cause]:
    """allOf, anyOf, oneOf and not; they only validate in a structural schema."""
    if schema.get("x-kubernetes-int-or-string"):
        return
    for each in schema.get("allOf", ()):
        yield from Structural(each).check(value, path)
    if "anyOf" in schema and all(Structural(each).check(value, path) for each in schema["anyOf"]):
        yield invalid_value(path, _brief(value), f"{path} in body must validate at least one schema (anyOf)")
    if "oneOf" in schema and sum(not Structural(each).check(value, path) for each in schema["oneOf"]) != 1:
        yield invalid_value(path, _brief(value), f"{path} in body must validate one and only one schema (oneOf)")
    if "not" in schema and not Structural(schema["not"]).check(value, path):
        yield invalid_value(path, _brief(value), f"{path} in body must not validate the schema (not)")
