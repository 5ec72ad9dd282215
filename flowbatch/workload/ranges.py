"""Sets of pod indexes as short text ("0-3,7"): how a job's status remembers thousands of pods in a few characters."""

from collections.abc import Iterable


def to_text(indexes: Iterable[int]) -> str:
    """`{0, 1, 2, 5}` as "0-2,5"; an empty set as ""."""
    parts: list[str] = []
    start = end = -2
    for index in sorted(set(indexes)):
        if index == end + 1:
            end = index
            continue
        if end >= 0:
            parts.append(_part(start, end))
        start = end = index
    if end >= 0:
        parts.append(_part(start, end))
    return ",".join(parts)


def from_text(text: str, limit: int = 10_000_000) -> set[int]:
    """The inverse of `to_text`. What cannot be read counts as nothing: the text may come from anywhere."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        last = last or first
        if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
            continue
        if int(last) < limit:
            found.update(range(int(first), int(last) + 1))
    return found


def _part(start: int, end: int) -> str:
    return str(start) if start == end else f"{start}-{end}"
