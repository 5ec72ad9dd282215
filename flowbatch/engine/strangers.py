"""Somebody else's policy, as the engine gets to see it: each answer checked, each look counted, each call timed.

The proxy has the class name of what it stands for, under which it is counted, reported and dropped. Methods it hands
out are called like the original's and raise Misfit where the answer is none; the guard catches that like anything else.
"""

from collections.abc import Callable
from typing import Any, Final

from flowbatch.engine.verdicts import Misfit, checked

#: Looks at single nodes, or calls where there are none, that a stranger may take in one decision.
MOST_LOOKS: Final = 1_000_000


class Meter:
    """What strangers cost: looks in this decision, and seconds where the shell has lent a stopwatch."""

    def __init__(self, rows: Callable[[], int]) -> None:
        #: How many rows the table of nodes has now.
        self.rows = rows
        self.most_looks = MOST_LOOKS
        #: Lent by the shell; nothing that is decided depends on it.
        self.stopwatch: Callable[[], float] | None = None
        #: By stranger; the shell empties it.
        self.seconds: dict[str, float] = {}
        self._looks: dict[str, int] = {}

    def begin(self) -> None:
        """A new decision: everybody may look again."""
        if self._looks:
            self._looks.clear()

    def look(self, name: str, count: int) -> None:
        """So many more looks. Raises Misfit where that is too many."""
        looks = self._looks[name] = self._looks.get(name, 0) + count
        if looks > self.most_looks:
            raise Misfit(f"overran its budget of {self.most_looks} looks at nodes in one decision")

    def time(self, name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call, and note how long it took."""
        if self.stopwatch is None:
            return function(*args)
        started = self.stopwatch()
        try:
            return function(*args)
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.stopwatch() - started


class Stranger:
    """Stands for `original`. Subclassed once for each, to bear its name."""

    def __init__(self, original: object, meter: Meter) -> None:
        self._original = original
        self._meter = meter

    def __getattr__(self, what: str) -> Any:
        value = getattr(self._original, what)
        if not callable(value) or what.startswith("_"):
            return value
        method = _checking(what, value, type(self).__name__, self._meter, getattr(self._original, "row_by_row", False))
        self.__dict__[what] = method
        return method


def _checking(what: str, original: Callable[..., Any], name: str, meter: Meter, row_by_row: bool) -> Callable[..., Any]:
    def method(*args: Any) -> Any:
        meter.look(name, meter.rows() if row_by_row else 1)
        return checked(what, meter.time(name, original, args), args, name, meter.rows())

    method.__name__ = what
    return method


def stranger(original: object, meter: Meter) -> Stranger:
    """A proxy for it."""
    made: Stranger = type(type(original).__name__, (Stranger,), {})(original, meter)
    return made
