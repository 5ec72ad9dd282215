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
    """One whole table."""
    Table(header, headers=headers).print(rows)


class Table:
    """Left-aligned columns, three spaces apart, as kubectl prints them; later rows keep to the columns of earlier ones.

    The header comes with the first row.
    """

    def __init__(self, header: Sequence[str], *, headers: bool = True) -> None:
        self._header = list(header)
        self._pending = headers
        self._widths = [0] * len(header)

    def print(self, rows: Iterable[Sequence[object]]) -> None:
        """Print more rows."""
        lines = [[str(cell) for cell in row] for row in rows]
        if lines and self._pending:
            lines.insert(0, self._header)
            self._pending = False
        for line in lines:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
        for line in lines:
            print("   ".join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)).rstrip())
        sys.stdout.flush()


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
