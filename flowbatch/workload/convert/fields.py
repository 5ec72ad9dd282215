"""Foreign manifests, read so that nothing goes unnoticed: what no converter asked for is reported as lost."""

from copy import deepcopy
from typing import Any, TypeVar

import msgspec

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError

Value = TypeVar("Value", str, int, bool)
NO_EQUIVALENT = "has no equivalent"
_NAMES: dict[type, str] = {str: "a string", int: "an integer", bool: "true or false", dict: "an object", list: "a list"}


class Lost(msgspec.Struct, frozen=True):
    """Something of the original that its Job does not do, or does otherwise: where it stood, and what that means."""

    path: str
    why: str = NO_EQUIVALENT

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class Findings:
    """What one conversion has to say: what is lost, and what is wrong with the original."""

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self.problems: list[SpecError] = []
        self._read: list[Fields] = []

    def root(self, manifest: JsonObject) -> "Fields":
        """The manifest itself; what a server or `kubectl` wrote into it is nobody's wish."""
        fields = self.fields(manifest, "")
        fields.skip("apiVersion", "kind", "status")
        return fields

    def fields(self, value: JsonObject, path: str) -> "Fields":
        """An object at `path`."""
        fields = Fields(value, path, self)
        self._read.append(fields)
        return fields

    def lose(self, path: str, why: str = NO_EQUIVALENT) -> None:
        """Say that what stands at `path` is lost, or becomes something else."""
        self.lost.append(Lost(path, why))

    def close(self) -> None:
        """Report everything that nobody asked for."""
        for fields in self._read:
            for key in fields.unread():
                self.lose(fields.at(key))


class Fields:
    """One object of a manifest; it knows which of its fields have been asked for."""

    def __init__(self, value: JsonObject, path: str, findings: Findings) -> None:
        self._value = value
        self._path = path
        self._asked: set[str] = set()
        self.findings = findings

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self._path}.{key}" if self._path else key

    def unread(self) -> list[str]:
        """Fields that say something and that nobody asked for, in the manifest's order."""
        return [str(key) for key, value in self._value.items() if key not in self._asked and _says(value)]

    def skip(self, *keys: str) -> None:
        """Ask for fields whose effect the Job has anyway."""
        self._asked.update(keys)

    def lose(self, key: str, why: str = NO_EQUIVALENT) -> None:
        """Ask for a field only to say that it is lost, where it says something."""
        if self.has(key):
            self.findings.lose(self.at(key), why)

    def has(self, key: str) -> bool:
        """Whether a field says something."""
        self._asked.add(key)
        return _says(self._value.get(key))

    def raw(self, key: str) -> Any:
        """A copy of a field as it is, or None."""
        self._asked.add(key)
        return deepcopy(self._value.get(key))

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        return self._scalar(key, str, default)

    def whole(self, key: str, default: int) -> int:
        """An integer."""
        return self._scalar(key, int, default)

    def truth(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        return self._scalar(key, bool, default)

    def mapping(self, key: str) -> JsonObject:
        """A copy of the object in a field, or an empty one, taken as a whole."""
        return self._typed(key, dict) or {}

    def inside(self, key: str) -> "Fields":
        """The object in a field, or an empty one, to be read field by field."""
        return self.findings.fields(self.mapping(key), self.at(key))

    def items(self, key: str) -> list[Any]:
        """A copy of the list in a field, or an empty one, taken as a whole."""
        return self._typed(key, list) or []

    def texts(self, key: str) -> list[str]:
        """The strings of the list in a field."""
        items = self.items(key)
        self.findings.problems += [
            SpecError(f"{self.at(key)}[{index}]", f"must be {_NAMES[str]}", item)
            for index, item in enumerate(items)
            if not isinstance(item, str)
        ]
        return [item for item in items if isinstance(item, str)]

    def each(self, key: str) -> list["Fields"]:
        """The objects of the list in a field."""
        items = [(f"{self.at(key)}[{index}]", item) for index, item in enumerate(self.items(key))]
        for path, item in items:
            if not isinstance(item, dict):
                self.findings.problems.append(SpecError(path, f"must be {_NAMES[dict]}", item))
        return [self.findings.fields(item, path) for path, item in items if isinstance(item, dict)]

    def _scalar(self, key: str, kind: type[Value], default: Value) -> Value:
        value: Value | None = self._typed(key, kind)
        return default if value is None else value

    def _typed(self, key: str, kind: type) -> Any:
        value = self.raw(key)
        if value is None or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
            return value
        self.findings.problems.append(SpecError(self.at(key), f"must be {_NAMES[kind]}", value))
        return None


def _says(value: object) -> bool:
    """Whether a value says anything: zero does, what is empty or false is as good as not there."""
    return value is not None and value is not False and value not in ("", {}, [])
