"""Where a spec was written, so that a problem can point into the user's own file.

Kept beside the fields of a spec, not in them: two specs written on different lines are equal.
"""

import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import msgspec

_KEY = "_origin"
_PACKAGE = __name__.rpartition(".")[0]


class Origin(msgspec.Struct, frozen=True):
    """A file and a line; for specs read from YAML, also the line of each wire path."""

    file: str
    line: int
    lines: Mapping[str, int] = {}

    def line_of(self, path: str) -> int:
        """The line of the nearest known ancestor of wire path `path`."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.line


def caller() -> Origin | None:
    """The nearest frame outside this package: the line that built a spec."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  (inspect would cost a fifth of the import budget)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != _PACKAGE and not module.startswith(_PACKAGE + "."):
            return Origin(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def remember(spec: Any, origin: Origin | None) -> None:
    """Note where `spec` (a Struct with `dict=True`) was written."""
    spec.__dict__[_KEY] = origin


def origin_of(spec: Any) -> Origin | None:
    """Where `spec` was written, if that is known."""
    origin: Origin | None = getattr(spec, "__dict__", {}).get(_KEY)
    return origin
