"""Table output: what `kubectl get` shows. Columns of built-in kinds, and of custom ones by JSON path."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from flowbatch.api.meta import JsonObject

Cell = Callable[[JsonObject, datetime], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `priority` above 0 shows only with `-o wide`."""

    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""

    @property
    def definition(self) -> JsonObject:
        """The TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def read(obj: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path, or `default` where anything on the way is missing."""
    for part in path.split("."):
        if not isinstance(obj, dict) or part not in obj:
            return default
        obj = obj[part]
    return default if obj is None else obj


def at(path: str, default: Any = "<none>") -> Cell:
    """A cell that shows one field."""
    return lambda obj, now: read(obj, path, default)


def age_of(stamp: str | None, now: datetime) -> str:
    """The time since `stamp` as kubectl writes it: 5s, 2m30s, 3h, 4d."""
    if not stamp:
        return "<unknown>"
    return human(max(0, int((now - datetime.fromisoformat(stamp)).total_seconds())))


def human(seconds: int) -> str:
    """A duration, to two units where they are small and one where they are large."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y{days % 365}d"


def creation_age(obj: JsonObject, now: datetime) -> str:
    """The age of the object itself."""
    return age_of(obj["metadata"].get("creationTimestamp"), now)


NAME = Column("Name", at("metadata.name"), format="name")
AGE = Column("Age", creation_age)
DEFAULT: tuple[Column, ...] = (NAME, Column("Created At", at("metadata.creationTimestamp"), "date"))


def custom_columns(declared: Sequence[JsonObject]) -> tuple[Column, ...]:
    """`additionalPrinterColumns` of a CRD; Name always comes first, Age where nothing is declared."""
    if not declared:
        return (NAME, AGE)
    return (NAME, *(_custom(each) for each in declared))


def _custom(declared: JsonObject) -> Column:
    path, kind = compile_path(declared["jsonPath"]), declared["type"]

    def cell(obj: JsonObject, now: datetime) -> Any:
        found = next(path(obj), None)
        if kind == "date":
            return age_of(found, now) if isinstance(found, str) else None
        if found is None:
            return None
        if kind == "string":
            return found if isinstance(found, str) else _text(found)
        return found

    return Column(
        declared["name"],
        cell,
        kind,
        declared.get("format", ""),
        declared.get("priority", 0),
        declared.get("description", ""),
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


JsonPath = Callable[[Any], Iterator[Any]]
_STEP = re.compile(
    r"\.(?P<name>(?:\\.|[^.\[\]\\])+)"
    r"|\[(?P<index>-?[0-9]+)\]|\[(?P<all>\*)\]|\['(?P<quoted>[^']*)'\]"
    r"|\[\?\(@\.(?P<field>[^=!\s\])]+)\s*==\s*[\"'](?P<value>[^\"']*)[\"']\)\]"
)


@lru_cache(maxsize=512)
def compile_path(text: str) -> JsonPath:
    """The JSON paths that CRDs use: names, indexes, `[*]`, and `[?(@.type=="Ready")]`."""
    text = text if text.startswith((".", "[")) else "." + text
    steps = list(_STEP.finditer(text))

    def walk(value: Any) -> Iterator[Any]:
        found = [value]
        for step in steps:
            found = [each for item in found for each in _take(item, step)]
        yield from found

    return walk


def _take(item: Any, step: re.Match[str]) -> list[Any]:
    name = step["quoted"] if step["name"] is None else re.sub(r"\\(.)", r"\1", step["name"])
    if name is not None:
        return [item[name]] if isinstance(item, dict) and item.get(name) is not None else []
    if not isinstance(item, list):
        return []
    if step["all"]:
        return item
    if step["index"] is not None:
        index = int(step["index"])
        return [item[index]] if -len(item) <= index < len(item) else []
    return [each for each in item if isinstance(each, dict) and str(read(each, step["field"], "")) == step["value"]]
