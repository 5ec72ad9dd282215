"""The shape of the rule table: one line per rule, read by four consumers (DSL, CRDs, admission, controllers).

A `Rule` speaks about the values at one path. What takes more than that (a graph, a name made of three parts) is a
function in a module of its own and has no CEL form; the webhook and the DSL run it, a CRD cannot.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flowbatch.errors import SpecError

#: Paths, problems and hints quote names from the input; no quotation is longer than this.
LONGEST_TEXT = 400
#: More problems than this are counted, not shown: a list of a million bad labels helps nobody.
MOST_PROBLEMS = 200
#: After so many nobody looks any further: what is wrong a hundred thousand times must not keep an API server waiting.
MOST_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class Rule:
    """`holds` must be true of every value of type `of` at `path` (`spec.tasks[].replicas`); absent values are fine.

    `at` is appended to the path that people see, when the rule compares fields of an object. `cel` is the same rule
    for the CRD, where it can be said cheaply; `self` is the value at `path`.
    """

    path: str
    holds: Callable[[Any], bool]
    message: str
    cel: str | None = None
    of: type = int
    at: str = ""
    hint: str = ""


def broken(rules: Iterable[Rule], manifest: Any) -> Iterator[SpecError]:
    """Every place where one of `rules` does not hold."""
    for rule in rules:
        for path, value in values_at(manifest, rule.path):
            if _is(value, rule.of) and not rule.holds(value):
                yield _problem(rule, path, value)


def values_at(manifest: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every present value that `path` leads to, with its own path; `[]` goes over a list."""
    found: list[tuple[str, Any]] = [("", manifest)]
    for part in filter(None, path.split(".")):
        name = part.removesuffix("[]")
        found = [
            (f"{where}.{name}" if where else name, value[name])
            for where, value in found
            if isinstance(value, dict) and value.get(name) is not None
        ]
        if part.endswith("[]"):
            found = [
                (f"{where}[{index}]", item)
                for where, value in found
                if isinstance(value, list | tuple)
                for index, item in enumerate(value)
            ]
    yield from found


def bounded(problems: Iterable[SpecError]) -> list[SpecError]:
    """`problems` without repetitions, and with no more of them than people can read."""
    kept: dict[tuple[str, str], SpecError] = {}
    more = 0
    for number, problem in enumerate(problems):
        if number >= MOST_LOOKED_AT:
            more = MOST_LOOKED_AT
            break
        key = (problem.path, problem.problem)
        if key in kept:
            continue
        if len(kept) < MOST_PROBLEMS:
            kept[key] = _readable(problem)
        else:
            more += 1
    shown = list(kept.values())
    if more:
        count = f"more than {more}" if more == MOST_LOOKED_AT else f"{more} more"
        shown.append(SpecError("", f"and {count} problem{'s' if more > 1 else ''} of this kind"))
    return shown


def _readable(problem: SpecError) -> SpecError:
    """`problem` without walls of text that somebody's input has put into it."""
    texts = (problem.path, problem.problem, problem.hint)
    if max(map(len, texts)) <= LONGEST_TEXT:
        return problem
    path, said, hint = (text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…" for text in texts)
    return SpecError(path, said, problem.value, hint)


def _is(value: Any, kind: type) -> bool:
    """Whether the rule speaks about such a value. Integers beyond 64 bits are refused for that, and by nothing else."""
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, kind)


def _problem(rule: Rule, path: str, value: Any) -> SpecError:
    where = f"{path}.{rule.at}" if path and rule.at else path or rule.at
    shown = value.get(rule.at) if rule.at and isinstance(value, dict) else value
    return SpecError(where, rule.message, None if isinstance(shown, dict | list) else shown, rule.hint)
