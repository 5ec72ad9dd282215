"""Is what a stranger's policy answered an answer? Checked by the name of what was asked; cheap, and total.

A key is wrapped so that any two of them compare, whatever they are made of. A blocker that only the engine can park is
turned into a plain refusal, and one that names a moment in the past into one a second from now: neither may make a gang
wait for ever, or the engine spin.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any, Final, TypeVar, cast, get_args

import msgspec
import numpy as np

from flowbatch.errors import FlowbatchError, shorten
from flowbatch.model.blockers import Blocker, NeedsHeadroom, NeedsQuota, NeedsTime, QueueClosed, Refused
from flowbatch.model.gangs import Task
from flowbatch.model.ids import Instant
from flowbatch.model.inquiry import Inquiry
from flowbatch.model.steps import Step
from flowbatch.policy.contract import Ceiling, Trend

R = TypeVar("R")

#: Parts of one stranger's sort key at most.
MOST_PARTS: Final = 8
#: A moment that has passed is put off by so much.
SOON_MS: Final = 1_000
#: Larger amounts cannot be meant, and would not fit the columns.
MOST_AMOUNT: Final = 1 << 60
#: The key of somebody whose policy failed: before all that did not.
SORTS_FIRST: Final = ((0,),)
PACES: Final = ("many", "lonely", "one")
#: Blockers that are cured by something the engine sees without further help.
PARKABLE: Final = (NeedsQuota, NeedsHeadroom, QueueClosed, NeedsTime)


class Misfit(FlowbatchError):
    """Not what was asked for."""


def checked(what: str, answer: R, args: Sequence[Any], name: str, rows: int) -> R:
    """The answer to `what`, made safe. Raises Misfit."""
    check = CHECKS.get(what)
    return answer if check is None else cast("R", check(answer, args, name, rows))


def fits(policy: object) -> str:
    """Why an object cannot be part of a Policy at all: attributes that the engine reads unguarded. Empty: it can."""
    try:
        if hasattr(policy, "score"):
            weight = policy.weight  # type: ignore[attr-defined]  # its absence is what is looked for
            if not isinstance(weight, Real) or not isfinite(weight) or weight < 0:
                return f"its weight is {shorten(weight)}"
            if policy.trend not in get_args(Trend):  # type: ignore[attr-defined]  # as above
                return f"its trend is none of {', '.join(get_args(Trend))}"
        if hasattr(policy, "limit") and not isinstance(policy.kind, str):  # type: ignore[attr-defined]  # as above
            return "its kind is no text"
        for each in ("own", "first_gang_may_exceed") if hasattr(policy, "limit") else ():
            getattr(policy, each)
        if hasattr(policy, "victims") and not policy.every_ms >= SOON_MS:  # type: ignore[attr-defined]  # as above
            return f"it wants to be asked every {shorten(policy.every_ms)} ms"  # type: ignore[attr-defined]  # as above
    except Exception as error:  # a property may raise anything
        return f"{type(error).__name__}: {error}"
    return ""


def _key(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if not isinstance(answer, tuple | list) or len(answer) > MOST_PARTS:
        raise Misfit(f"its key is no tuple of at most {MOST_PARTS}: {shorten(answer)}")
    return ((1, *(_part(each) for each in answer)),)


def _part(each: Any) -> tuple[int, float | str]:
    if isinstance(each, str):
        return (1, each)
    if isinstance(each, Real) and isfinite(each):
        return (0, float(each))
    raise Misfit(f"part of its key is neither a number nor text: {shorten(each)}")


def _blocker(answer: Any, args: Sequence[Any], name: str, rows: int) -> Blocker | None:
    if answer is None:
        return None
    if not isinstance(answer, Blocker):
        raise Misfit(f"it gave no blocker but {shorten(answer)}")
    if isinstance(answer, NeedsTime):
        now = args[1].now
        soon = Instant(now + SOON_MS)
        return answer if answer.until > now else msgspec.structs.replace(answer, until=soon)
    return answer if isinstance(answer, PARKABLE) else Refused(name, getattr(answer, "why", answer.name))


def _floats(answer: Any, size: int) -> Any:
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiu" or answer.shape != (size,):
        told = f"{answer.dtype} {answer.shape}" if isinstance(answer, np.ndarray) else shorten(answer)
        raise Misfit(f"it gave {told} where {size} numbers are due")
    return answer


def _score(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    where = args[1]
    points = _floats(answer, rows if isinstance(where, slice) else len(where))
    # One pass each; comparisons are false for what is no number.
    if points.size and not (points.min() >= 0.0 and points.max() <= 1.0):
        raise Misfit("a score is not between 0 and 1")
    return points.astype(np.float64, copy=False)


def _why(answer: Any, args: Sequence[Any], name: str, rows: int) -> str | None:
    if answer is None or isinstance(answer, str):
        return answer
    raise Misfit(f"it gave neither None nor a reason but {shorten(answer)}")


def _bools(answer: Any, size: int) -> Any:
    if not isinstance(answer, np.ndarray) or answer.dtype.kind != "b" or answer.shape != (size,):
        raise Misfit(f"it gave no {size} truth values")
    return answer


def _refusals(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    found = [tuple(each) for each in answer]
    for each in found:
        if len(each) != 2 or not isinstance(each[1], str):
            raise Misfit("it gave no pairs of rows and a reason")
        _bools(each[0], rows)
    return found


def _amounts(answer: Any) -> Mapping[int, int]:
    if not isinstance(answer, Mapping):
        raise Misfit(f"it gave no amounts by axis but {shorten(answer)}")
    for axis, amount in answer.items():
        if type(axis) is not int or not isinstance(amount, int) or not 0 <= amount <= MOST_AMOUNT:
            raise Misfit(f"an amount is no whole number of at least 0: {shorten((axis, amount))}")
    return dict(answer)


def _limit(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    return _amounts(answer)


def _ceilings(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    found = list(answer)
    for each in found:
        if not isinstance(each, Ceiling):
            raise Misfit(f"it gave no ceiling but {shorten(each)}")
        _amounts(each.most)
    return found


def _divide(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if not isinstance(answer, list | tuple) or len(answer) != len(args[0]):
        raise Misfit(f"it gave no list of {len(args[0])} shares")
    return [_amounts(each) for each in answer]


def _question(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if answer is None or isinstance(answer, str | Inquiry):
        return answer
    raise Misfit(f"it gave no question but {shorten(answer)}")


def _steps(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if isinstance(answer, tuple | list) and all(isinstance(each, Step) for each in answer):
        return tuple(answer)
    raise Misfit(f"it gave no steps but {shorten(answer)}")


def _moment(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if answer is None or (type(answer) is int and answer >= 0):
        return answer
    raise Misfit(f"it gave no moment but {shorten(answer)}")


def _later(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    """A moment after `view.now`, the last argument: one that has passed would be now again and again."""
    now = args[-1].now
    return answer if _moment(answer, args, name, rows) is None or answer > now else Instant(now + SOON_MS)


def _truth(answer: Any, args: Sequence[Any], name: str, rows: int) -> bool:
    return bool(answer)


def _pace(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if answer in PACES:
        return answer
    raise Misfit(f"it gave no pace but {shorten(answer)}")


def _victims(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    if isinstance(answer, list | tuple) and all(isinstance(each, Task) for each in answer):
        return answer
    raise Misfit("it gave no list of tasks")


def _copies(answer: Any, args: Sequence[Any], name: str, rows: int) -> Any:
    offered = args[1]
    if _floats(answer, offered.size).dtype.kind == "f":
        raise Misfit("it gave fractions where copies are counted")
    return np.clip(answer, 0, offered)


Check = Callable[[Any, Sequence[Any], str, int], Any]

#: By the method that was called.
CHECKS: Final[dict[str, Check]] = {
    "key": _key,
    "blocker": _blocker,
    "score": _score,
    "admits": _why,
    "refusals": _refusals,
    "spares": _why,
    "limit": _limit,
    "ceilings": _ceilings,
    "divide": _divide,
    "question": _question,
    "gate_question": _question,
    "steps": _steps,
    "due": _moment,
    "turns": _later,
    "concerns": _truth,
    "opens": _truth,
    "pace": _pace,
    "lonely": lambda answer, args, name, rows: _bools(answer, rows),
    "overused": _truth,
    "victims": _victims,
    "most": _copies,
}
