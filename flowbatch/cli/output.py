"""How objects are printed: kubectl's tables, JSON, YAML and names. Data on stdout, talk on stderr."""

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import yaml

from flowbatch.api.meta import JsonObject


def print_objects(objects: Sequence[JsonObject], output: str) -> None:
    """Objects as JSON (one object, or a List) or as YAML documents."""
    if output == "json":
        value: object = objects[0] if len(objects) == 1 else as_list(objects)
        print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    else:
        print(yaml.safe_dump_all(list(objects), sort_keys=False, width=120), end="")


def as_list(objects: Sequence[JsonObject]) -> JsonObject:
    """A v1 List."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]], *, headers: bool = True) -> None:
    """Left-aligned columns, three spaces apart, as kubectl prints them."""
    lines = [[str(cell) for cell in row] for row in rows]
    if headers:
        lines.insert(0, list(header))
    if not lines:
        return
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say(text: str) -> None:
    """Talk: to stderr, so that pipes carry only data."""
    print(text, file=sys.stderr, flush=True)


def age(since: str | datetime | None, now: datetime | None = None) -> str:
    """Time since a moment as kubectl writes it: 45s, 3m20s, 5h, 2d."""
    if not since:
        return "<unknown>"
    moment = datetime.fromisoformat(since) if isinstance(since, str) else since
    return duration((now or datetime.now(UTC)) - moment)  # noqa: TID251  (a command line knows the time)


def duration(span: timedelta) -> str:
    """A span in kubectl's short form."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"
