"""The one place where a policy may fail. It is left out of that decision, counted, and reported.

flowbatch's own policies are trusted to give what they promise. What others have written is not: it is asked through a
proxy (`strangers`) that checks each answer and counts looks at nodes, so that a replay comes to the same end. Time is
the shell's business: it lends a stopwatch, and drops a policy that is too slow by an event, which is in the journal. A
policy that was dropped stays out until a new Policy is adopted.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar, cast

from flowbatch.engine.decisions import PolicyReport
from flowbatch.engine.strangers import Meter, Stranger, stranger
from flowbatch.engine.verdicts import SORTS_FIRST, Misfit, fits
from flowbatch.errors import shorten
from flowbatch.policy.policy import Policy, members_of, replaced

P = ParamSpec("P")
R = TypeVar("R")

#: Where flowbatch's own policies live.
OWN: Final = "flowbatch.policy."


class Guard:
    """Calls policies and survives them. `rows` is how many rows the table of nodes has now."""

    def __init__(self, rows: Callable[[], int] = lambda: 0) -> None:
        self.failures: dict[str, int] = {}
        self.dropped: dict[str, str] = {}
        self.meter = Meter(rows)
        #: Failures of all kinds so far: whoever caches an answer can see that it is not the whole one.
        self.troubles = 0
        self._news: dict[str, str] = {}

    def adopt(self, policy: Policy) -> Policy:
        """The policy with proxies for strangers, without those that are no policies; forgets who was dropped."""
        self.dropped.clear()
        stand_ins: dict[int, Stranger | None] = {}
        for each in members_of(policy):
            if type(each).__module__.startswith(OWN) or isinstance(each, Stranger):
                continue
            why = fits(each)
            if why:
                self._note(type(each).__name__, why)
            stand_ins[id(each)] = None if why else stranger(each, self.meter)
        return replaced(policy, stand_ins) if stand_ins else policy

    def call(self, policy: object, function: Callable[P, R], default: R, *args: P.args, **kwargs: P.kwargs) -> R:
        """`function` of `policy`, or `default` where it raises or was dropped."""
        name = type(policy).__name__
        if self.dropped and name in self.dropped:
            return default
        try:
            return function(*args, **kwargs)
        except Exception as error:  # a user's policy may raise anything; it is counted and reported
            self._note(name, str(error) if isinstance(error, Misfit) else f"{type(error).__name__}: {error}")
            if isinstance(policy, Stranger) and function.__name__ == "key":
                return cast("R", SORTS_FIRST)
            return default

    def _note(self, name: str, why: str) -> None:
        self.troubles += 1
        self.failures[name] = self.failures.get(name, 0) + 1
        self._news[name] = shorten(why).strip("'\"")

    def drop(self, policy: str, reason: str) -> None:
        """The watchdog's word: leave it out from now on."""
        if policy not in self.dropped:
            self.dropped[policy] = reason
            self._news[policy] = reason

    def reports(self) -> list[PolicyReport]:
        """What went wrong since the last call, by name."""
        news = sorted(self._news.items())
        self._news.clear()
        return [PolicyReport(name, reason, self.failures.get(name, 0)) for name, reason in news]
