"""A plugin's `arguments` mapping, read strictly: each value once, in range, and nothing left over.

Volcano takes most arguments as text or number alike ("2", 2) and falls back silently on a bad one. Here a bad value
is a problem with its path, and so is a name that nobody asked for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flowbatch.errors import SpecError, did_you_mean

#: What Go's strconv.ParseBool reads, in Volcano's GetBool.
TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")
#: Go's units of time, in milliseconds.
_UNITS_MS: Final = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3}
_DURATION: Final = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
#: The longest time anybody may mean: a hundred years.
MOST_MS: Final = 100 * 366 * 24 * 3_600_000


class Arguments:
    """What one plugin was told. Readers note problems and go on with the default, so that all are found at once."""

    def __init__(
        self,
        values: Mapping[str, Any],
        path: str,
        problems: list[SpecError],
        *,
        hierarchy: bool = False,
        off: Sequence[str] = (),
    ) -> None:
        #: `enableHierarchy`, which Volcano writes beside the arguments.
        self.hierarchy = hierarchy
        #: Switches that are off, without "enable": for plugins that do more than fill a field of Parts.
        self.off = tuple(off)
        self._values = values
        self.path = path
        self.problems = problems
        #: Names that were asked for.
        self.asked: dict[str, None] = {}

    def problem(self, key: str, problem: str, value: object = None, hint: str = "") -> None:
        """Note that the argument `key` is wrong."""
        self.problems.append(SpecError(f"{self.path}.{key}", problem, value, hint))

    def number(self, key: str, default: float, *, least: float = 0.0, most: float = 1e9) -> float:
        """A number, also as text."""
        value = self._take(key)
        if value is None:
            return default
        number = _number(value)
        if number is None or not least <= number <= most:
            self.problem(key, f"must be a number from {least:g} to {most:g}", value)
            return default
        return number

    def whole(self, key: str, default: int, *, least: int = 0, most: int = 1_000_000_000) -> int:
        """A whole number, also as text."""
        value = self._take(key)
        if value is None:
            return default
        number = _number(value)
        if number is None or number != int(number) or not least <= number <= most:
            self.problem(key, f"must be a whole number from {least} to {most}", value)
            return default
        return int(number)

    def duration_ms(self, key: str, default: int, *, least: int = 0, most: int = MOST_MS) -> int:
        """A time as Go writes it ("100ms", "1h30m"), in milliseconds; a bare number is seconds."""
        value = self._take(key)
        if value is None:
            return default
        found = _duration_ms(value)
        if found is None or not least <= found <= most:
            self.problem(key, f'must be a time such as "{least or 100}ms", "30s" or "1h30m"', value)
            return default
        return found

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false, also as text."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if str(value) in TRUE or str(value) in FALSE:
            return str(value) in TRUE
        self.problem(key, "must be true or false", value)
        return default

    def text(self, key: str, default: str = "", *, among: Sequence[str] = ()) -> str:
        """A word; one of `among` where that is given."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, str):
            self.problem(key, "must be text", value)
            return default
        if among and value not in among:
            self.problem(key, "is none of the known words", value, did_you_mean(value, among))
            return default
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """A list, or text with commas between."""
        value = self._take(key)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(word.strip() for word in value.split(",") if word.strip())
        if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
            return tuple(value)
        self.problem(key, "must be a list of words", value)
        return ()

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A mapping inside the arguments."""
        value = self._take(key)
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return value
        self.problem(key, "must be a mapping", value)
        return {}

    def inner(self, key: str) -> "Arguments":
        """A mapping inside the arguments, to be read as strictly as they are, and closed by whoever asked."""
        return Arguments(self.mapping(key), f"{self.path}.{key}", self.problems)

    def inners(self, key: str) -> "list[Arguments]":
        """A list of such mappings."""
        value = self._take(key)
        if value is None:
            return []
        if isinstance(value, list | tuple) and all(isinstance(each, Mapping) for each in value):
            return [Arguments(each, f"{self.path}.{key}[{i}]", self.problems) for i, each in enumerate(value)]
        self.problem(key, "must be a list of mappings", value)
        return []

    def prefixed(self, prefix: str) -> Iterator[str]:
        """What follows `prefix` in the names that begin with it and have not been read yet."""
        for key in list(self._values):
            if key.startswith(prefix) and key not in self.asked:
                yield key[len(prefix) :]

    def rest(self) -> Mapping[str, Any]:
        """All that has not been read yet."""
        rest = {key: value for key, value in self._values.items() if key not in self.asked}
        self.asked.update(dict.fromkeys(rest))
        return rest

    def close(self) -> None:
        """Everything has been read: what is left over is a mistake."""
        for key in self._values:
            if key not in self.asked:
                self.problem(key, "no such argument", hint=did_you_mean(key, self.asked) if self.asked else "none")

    def _take(self, key: str) -> Any:
        self.asked[key] = None
        return self._values.get(key)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) != float("inf") else None


def _duration_ms(value: Any) -> int | None:
    text = str(value).strip() if isinstance(value, str) else ""
    if _DURATION.fullmatch(text):
        parts = re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", text)
        return round(sum(float(number) * _UNITS_MS[unit] for number, unit in parts))
    number = _number(value)
    return None if number is None or abs(number) > MOST_MS else round(number * 1000)
