"""Sets of cpus: ints, one bit for each cpu, and text as Linux has it ("0-3,8")."""

import re
from collections.abc import Iterator
from typing import Final

#: More cpus than Linux can be built for; what names others is no set of cpus.
MOST_CPUS: Final = 8192
_RANGE: Final = re.compile(r"\s*([0-9]{1,5})(?:-([0-9]{1,5}))?\s*", re.ASCII)


def parsed(text: str) -> int:
    """The set that `text` names. Raises ValueError."""
    cpus = 0
    for part in text.split(",") if text.strip() else ():
        found = _RANGE.fullmatch(part)
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else -1
        if not first <= last < MOST_CPUS:
            raise ValueError(f"no set of cpus: {text[:100]!r}")
        cpus |= ((1 << (last - first + 1)) - 1) << first
    return cpus


def written(cpus: int) -> str:
    """The shortest text that names the set."""
    parts: list[str] = []
    for first, last in _runs(cpus):
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(parts)


def _runs(cpus: int) -> Iterator[tuple[int, int]]:
    at = 0
    while cpus >> at:
        at += (cpus >> at & -(cpus >> at)).bit_length() - 1
        rest = cpus >> at
        length = (~rest & (rest + 1)).bit_length() - 1
        yield at, at + length - 1
        at += length


def members(cpus: int) -> Iterator[int]:
    """Ids in the set, ascending."""
    for first, last in _runs(cpus):
        yield from range(first, last + 1)


def readable(text: str) -> int:
    """The set that `text` names; what cannot be read is none."""
    try:
        return parsed(text)
    except ValueError:
        return 0
