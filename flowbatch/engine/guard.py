"""The one place where a policy may fail. It is left out of that decision, counted, and reported.

A policy dropped by the shell's watchdog stays out until a new Policy is adopted; the event is in the journal, so a
replay drops it at the same point.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flowbatch.engine.decisions import PolicyReport
from flowbatch.errors import shorten

P = ParamSpec("P")
R = TypeVar("R")


class Guard:
    """Calls policies and survives them."""

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}
        self.dropped: dict[str, str] = {}
        self._news: dict[str, str] = {}

    def call(self, policy: object, function: Callable[P, R], default: R, *args: P.args, **kwargs: P.kwargs) -> R:
        """`function` of `policy`, or `default` where it raises or was dropped."""
        name = type(policy).__name__
        if self.dropped and name in self.dropped:
            return default
        try:
            return function(*args, **kwargs)
        except Exception as error:  # a user's policy may raise anything; it is counted and reported
            self.failures[name] = self.failures.get(name, 0) + 1
            self._news[name] = f"{type(error).__name__}: {shorten(str(error))}"
            return default

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
