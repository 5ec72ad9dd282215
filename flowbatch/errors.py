"""The base of every error flowbatch raises on purpose, and the one shape of "your input is wrong".

A refusal of bad input lists *every* problem: its path, the offending value, what is allowed and the nearest
valid spelling. A program that meets a `SpecErrors` prints it, creates nothing and exits 2.
"""

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

#: Longest piece of an offending value that is shown to people.
SHOWN_VALUE_CHARS = 80


class FlowbatchError(Exception):
    """Everything flowbatch raises on purpose derives from this."""


class SpecError(FlowbatchError):
    """One problem in a specification: where it is, what is wrong, and what would be right.

    `path` is spelled as on the wire (`spec.tasks[1].replicas`); `value` is the offending value, if there is one;
    `hint` says what to do, for example the nearest valid name.
    """

    def __init__(self, path: str, problem: str, value: object = None, hint: str = "") -> None:
        super().__init__(path, problem, value, hint)
        self.path = path
        self.problem = problem
        self.value = value
        self.hint = hint

    def __str__(self) -> str:
        shown = "" if self.value is None else f"{shorten(self.value)}: "
        hint = f" ({self.hint})" if self.hint else ""
        return escaped(f"{self.path}: {shown}{self.problem}{hint}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpecError) and self.args == other.args

    def __hash__(self) -> int:
        return hash((self.path, self.problem))


class SpecErrors(FlowbatchError):
    """Every problem found in one specification, in path order of discovery; never empty."""

    def __init__(self, problems: Iterable[SpecError], subject: str = "") -> None:
        self.problems: Sequence[SpecError] = tuple(problems)
        self.subject = subject
        assert self.problems, "SpecErrors without a problem"
        super().__init__(self.problems, subject)

    def __iter__(self) -> Iterator[SpecError]:
        return iter(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{self.subject or 'specification'}: {count} problem{'s' if count > 1 else ''}; nothing was created"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


def escaped(text: str) -> str:
    """`text` with what moves a cursor, turns the direction of writing or cannot be seen made visible."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def shorten(value: object) -> str:
    """`value` as it may be shown to people: quoted, control and bidirectional characters escaped, cut short."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN_VALUE_CHARS else text[: SHOWN_VALUE_CHARS - 1] + "…"


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """A hint that names the nearest valid spelling of `value`, or all of them where none is near."""
    names = list(known)
    near = get_close_matches(value, names, n=1, cutoff=0.6)
    if not near:
        near = [name for name in names if name.lower() == value.lower()]
    return f'did you mean "{near[0]}"?' if near else "one of " + ", ".join(names)
