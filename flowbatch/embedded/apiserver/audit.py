"""Who asked for what, how often: counters for benchmarks and tests ("how many requests did a pod cost?")."""

from collections import Counter
from typing import NamedTuple


class Request(NamedTuple):
    """One kind of request; `resource` is `pods` or `pods/binding`."""

    verb: str
    resource: str
    user_agent: str
    code: int


class Audit:
    """Counts of requests since the last `clear`."""

    def __init__(self) -> None:
        self.counts: Counter[Request] = Counter()

    def count(self, verb: str, resource: str, user_agent: str, code: int) -> None:
        """One request was answered."""
        self.counts[Request(verb, resource, user_agent, code)] += 1

    def total(self, verb: str = "", resource: str = "", user_agent: str = "") -> int:
        """How many requests match; an empty criterion matches all, the user agent by prefix."""
        return sum(
            number
            for each, number in self.counts.items()
            if verb in ("", each.verb) and resource in ("", each.resource) and each.user_agent.startswith(user_agent)
        )

    def clear(self) -> None:
        """Start counting anew."""
        self.counts.clear()
