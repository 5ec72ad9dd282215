"""What fields the built-in kinds have: one table for strict decoding, strategic merge keys and OpenAPI.

`types.txt` holds facts only (names, types, merge keys, list semantics, enumerations). Decoding is checked in C by
Structs made from it with msgspec; only a body that fails is walked in Python, to say everything that is wrong.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import orjson

from flowbatch.api.meta import JsonObject

SCALARS: dict[str, Any] = {
    "string": str,
    "bytes": str,
    "time": str,
    "microtime": str,
    "int32": int,
    "int64": int,
    "number": float,
    "bool": bool,
    "quantity": str | int | float,
    "intstr": str | int,
    "any": Any,
    "schema": Any,
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a built-in type. `shape` is "" for a plain value, "[]" for a list, "{}" for a map."""

    name: str
    base: str
    shape: str = ""
    required: bool = False
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def merge_key(self) -> str:
        """The key by which a strategic merge patch matches list entries; empty for atomic lists."""
        return self.attributes.get("key", "") if "merge" in self.attributes.get("strategy", "") else ""

    @property
    def merges_scalars(self) -> bool:
        """Whether a strategic patch adds to this list of plain values instead of replacing it."""
        return "merge" in self.attributes.get("strategy", "") and "key" not in self.attributes

    @property
    def retains_keys(self) -> bool:
        """Whether the patch may say `$retainKeys` here (volumes: switching the source)."""
        return "retainKeys" in self.attributes.get("strategy", "")


@dataclass(frozen=True, slots=True)
class FieldType:
    """A built-in object type and its fields."""

    name: str
    fields: dict[str, Field]
    atomic: bool = False


@cache
def all_types() -> dict[str, FieldType]:
    """Every type of `types.txt` by its `group.version.Name`."""
    text = (files("flowbatch.embedded.apiserver") / "types.txt").read_text()
    return {each.name: each for each in _parse(text)}


def _parse(text: str) -> Iterator[FieldType]:
    for block in re.split(r"\n(?=\S)", text):
        head, *lines = block.splitlines()
        if head.startswith("#") or not head:
            continue
        name, *flags = head.split()
        package = name.rpartition(".")[0]
        fields = [_field(line, package) for line in lines]
        yield FieldType(name, {each.name: each for each in fields}, "map=atomic" in flags)


def _field(line: str, package: str) -> Field:
    name, spelled, *attributes = line.split()
    shape = ""
    base = spelled
    while base[:2] in ("[]", "{}"):
        shape, base = shape + base[:2], base[2:]
    if base not in SCALARS and "." not in base:
        base = f"{package}.{base}"
    pairs = dict(each.split("=", 1) for each in attributes)
    return Field(name.rstrip("!"), base, shape, name.endswith("!"), pairs)


def field_type(name: str) -> FieldType | None:
    """The type of that name, or None for scalars and unknown names."""
    return all_types().get(name)


@cache
def decoder(name: str) -> msgspec.json.Decoder[Any]:
    """A decoder that accepts exactly the JSON of type `name`, unknown fields refused; its result is thrown away."""
    return msgspec.json.Decoder(_struct(name))


@cache
def _struct(name: str) -> Any:
    described = all_types()[name]
    fields = []
    for index, each in enumerate(described.fields.values()):
        kind: Any = SCALARS.get(each.base) if each.base in SCALARS else _struct(each.base)
        for layer in reversed(re.findall(r"\[\]|\{\}", each.shape)):
            kind = list[kind] if layer == "[]" else dict[str, kind | None]
        fields.append((f"f{index}", kind if kind is Any else kind | None, msgspec.field(default=None, name=each.name)))
    return msgspec.defstruct(f"T{abs(hash(name))}", fields, forbid_unknown_fields=True, gc=False)


@dataclass(slots=True)
class Findings:
    """What a body that failed the fast check has wrong with it."""

    unknown: list[str] = field(default_factory=list)
    mistyped: list[str] = field(default_factory=list)


def inspect(name: str, value: JsonObject) -> Findings:
    """Walk `value` as type `name`: drop unknown fields from it **in place**, and list them and every wrong type."""
    findings = Findings()
    _inspect_object(name, value, "", findings)
    return findings


def _inspect_object(name: str, value: Any, path: str, findings: Findings) -> None:
    described = all_types()[name]
    if not isinstance(value, dict):
        findings.mistyped.append(f"{path or 'body'}: expected an object, got {_json_type(value)}")
        return
    for key in list(value):
        where = f"{path}.{key}" if path else key
        known = described.fields.get(key)
        if known is None:
            findings.unknown.append(where)
            del value[key]
        elif value[key] is not None:
            _inspect_value(known, known.shape, value[key], where, findings)


def _inspect_value(known: Field, shape: str, value: Any, path: str, findings: Findings) -> None:
    if shape[:2] == "[]":
        if not isinstance(value, list):
            findings.mistyped.append(f"{path}: expected a list, got {_json_type(value)}")
            return
        for index, each in enumerate(value):
            _inspect_value(known, shape[2:], each, f"{path}[{index}]", findings)
    elif shape[:2] == "{}":
        if not isinstance(value, dict):
            findings.mistyped.append(f"{path}: expected an object, got {_json_type(value)}")
            return
        for key, each in value.items():
            _inspect_value(known, shape[2:], each, f"{path}.{key}", findings)
    elif known.base not in SCALARS:
        _inspect_object(known.base, value, path, findings)
    elif value is not None and not _is_scalar(known.base, value):
        findings.mistyped.append(f"{path}: expected {known.base}, got {_json_type(value)}")


def _is_scalar(base: str, value: Any) -> bool:
    allowed = SCALARS[base]
    if allowed is Any:
        return True
    if isinstance(value, bool):
        return base == "bool"
    return isinstance(value, float | int) if base == "number" else isinstance(value, allowed)


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}
    return names.get(type(value), "null")


def default_of(attributes: dict[str, str]) -> Any:
    """The default that the table gives a field, or None."""
    return orjson.loads(attributes["default"]) if "default" in attributes else None
