"""Deciding in a flow by what a step gave: `(when(loss) < 0.5).then(publish, model)`.

An `if` in a flow would run once, when the flow is built. A condition is asked by the cluster, once the value is there;
in plain Python it is asked at once, and means the same.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn, ParamSpec, TypeVar

from flowbatch_dsl.origin import caller
from flowbatch_dsl.workflows.building import current, refuse
from flowbatch_dsl.workflows.node import Operator, Scalar, When, text_of
from flowbatch_dsl.workflows.promise import Promise, PromiseError, has_value, is_optional, source_of
from flowbatch_dsl.workflows.values import plain

P = ParamSpec("P")
R = TypeVar("R")

HINT = "pass a step, its map, or a function that returns what one of them gives"


class Subject:
    """What `when` is about; compare it to get a Condition."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __lt__(self, limit: float) -> "Condition":
        return self._condition("Lt", [limit])

    def __gt__(self, limit: float) -> "Condition":
        return self._condition("Gt", [limit])

    def among(self, *values: Scalar) -> "Condition":
        """It is one of these."""
        return self._condition("In", values)

    def not_among(self, *values: Scalar) -> "Condition":
        """It is none of these."""
        return self._condition("NotIn", values)

    def __bool__(self) -> bool:
        _no_truth()

    def _condition(self, operator: Operator, values: Sequence[Scalar]) -> "Condition":
        return Condition([(self._value, operator, values)])


class Condition:
    """Comparisons that must all hold; `&` adds more."""

    def __init__(self, parts: Sequence[tuple[object, Operator, Sequence[Scalar]]]) -> None:
        self._parts = tuple(parts)

    def __and__(self, other: "Condition") -> "Condition":
        return Condition([*self._parts, *other._parts])

    def __bool__(self) -> bool:
        _no_truth()

    def then(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """`step(*args, **kwargs)` if the condition holds, else None: its step is skipped.

        `step` may be a Step, a step's `map`, or a function that calls several.
        """
        builder = current()
        if builder is None:
            return step(*args, **kwargs) if all(holds(*part) for part in self._parts) else None
        known = [part for part in self._parts if not isinstance(part[0], Promise)]
        if not all(holds(*part) for part in known):
            return None
        _with_values(part[0] for part in self._parts)
        promised = [(part[0], part) for part in self._parts if isinstance(part[0], Promise)]
        conditions = [When(source_of(builder.own(promise)), *part[1:]) for promise, part in promised]
        with builder.under(conditions, [promise for promise, _ in promised]):
            result = step(*args, **kwargs)
        if conditions and result is not None and not (isinstance(result, Promise) and is_optional(result)):
            refuse("when", "then", "does not give the result of a step that is run on this condition", HINT)
        return result


def when(value: object) -> Subject:
    """`when(loss) < 0.5`, `when(state).among("ready")`: a condition on a step's result, for `then`."""
    return Subject(value)


def holds(value: object, operator: Operator, values: Sequence[Scalar]) -> bool:
    """Whether a value that is there satisfies a comparison, as the cluster would say; None is like no value."""
    made = plain(value)
    if operator in ("In", "NotIn"):
        among = made is not None and text_of(made) in [text_of(each) for each in values]
        return among == (operator == "In")
    number = number_of(made)
    if number is None:
        return False
    return number < float(values[0]) if operator == "Lt" else number > float(values[0])


def number_of(value: object) -> float | None:
    """`value` as a number, if it is one or its text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _with_values(subjects: Iterable[object]) -> None:
    for subject in subjects:
        if isinstance(subject, Promise) and not has_value(subject):
            refuse("when", "when", f"{subject!r} gives no value to decide by")


def _no_truth() -> NoReturn:
    at = caller()
    place = f"{at.file}:{at.line}: " if at else ""
    raise PromiseError(f"{place}a condition has no truth yet: write (when(result) < 0.5).then(STEP, ...), not if")
