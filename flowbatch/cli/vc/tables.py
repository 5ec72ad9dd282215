"""vcctl's tables: columns of fixed width, or as wide as their widest cell and some more; no column is cut."""

from collections.abc import Iterable, Sequence

NOTHING = "No resources found"


def fixed(widths: Sequence[int], rows: Iterable[Sequence[object]]) -> None:
    """Print rows with these widths; the header is the first row."""
    for row in rows:
        print("".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def spaced(gap: int, rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as need be, and `gap` more."""
    columns = zip(*rows, strict=True)
    fixed([max(len(str(cell)) for cell in column) + gap for column in columns], rows)
