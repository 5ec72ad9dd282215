"""Arguments of job plugins, in the form of Go's flag package: `--port=22`, `-port 22`, `--no-root`.

Written by hand because argparse speaks another dialect (no `-port`, abbreviations, exits on errors), and because a
bad argument is a problem to report with the others, where Volcano only logs it and goes on with defaults.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from flowbatch.errors import did_you_mean

Flag = str | int | bool
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


class Parsed(msgspec.Struct, frozen=True):
    """Values of all flags, given or default, and what could not be read: (index of the argument, problem, hint)."""

    values: dict[str, Flag]
    problems: tuple[tuple[int, str, str], ...] = ()

    def text(self, name: str) -> str:
        """The value of a string flag."""
        return str(self.values[name])

    def number(self, name: str) -> int:
        """The value of an integer flag."""
        return int(self.values[name])

    def truth(self, name: str) -> bool:
        """The value of a boolean flag."""
        return bool(self.values[name])


def parse_flags(arguments: Sequence[str], defaults: Mapping[str, Flag]) -> Parsed:
    """Read `arguments`; a flag's type is its default's. Reading goes on after a problem, so that all are seen."""
    values: dict[str, Flag] = dict(defaults)
    problems: list[tuple[int, str, str]] = []
    at = 0
    while at < len(arguments):
        start, word = at, arguments[at]
        at += 1
        name, equals, value = _split(word)
        if not name:
            problems.append((start, "is not a flag: write --name=value", ""))
            continue
        if name not in defaults:
            problems.append((start, "is not a flag of this plugin", _near(name, defaults)))
            continue
        if not equals and not isinstance(defaults[name], bool):
            if at >= len(arguments):
                problems.append((start, "needs a value", f"--{name}=..."))
                continue
            value, at = arguments[at], at + 1
        try:
            values[name] = _read(value if equals or not isinstance(defaults[name], bool) else "true", defaults[name])
        except ValueError as problem:
            problems.append((start, str(problem), ""))
    return Parsed(values, tuple(problems))


def _split(word: str) -> tuple[str, str, str]:
    """`--name=value` in its parts; an empty name for anything else."""
    if not word.startswith("-") or word in ("-", "--"):
        return "", "", ""
    name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
    return ("", "", "") if name.startswith("-") else (name, equals, value)


def _read(value: str, default: Flag) -> Flag:
    if isinstance(default, bool):
        if value not in _TRUE + _FALSE:
            raise ValueError("must be true or false")
        return value in _TRUE
    if isinstance(default, int):
        if not (value.isascii() and value.removeprefix("-").isdigit() and len(value) < 12):
            raise ValueError("must be a whole number")
        return int(value)
    return value


def _near(name: str, known: Iterable[str]) -> str:
    flags = [f"--{each}" for each in known]
    return did_you_mean(f"--{name[:100]}", flags) if flags else "it takes none"
