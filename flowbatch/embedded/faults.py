"""Faults by rule for the embedded API server: what may go wrong with a request, said in words, without monkeypatching.

A server asks its one `StoreRule` at three points of every request: when it has arrived (nothing is done yet), when its
reply is ready (the write *is* done), and for each line of a watch. The rule answers with a `Fault` or None. `Rules` is
such a rule made of declarations, which may come from a file; its choices depend only on what it has seen, so that a
run can be repeated.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

Point = Literal["request", "reply", "event"]
Action = Literal[
    "delay",  # wait `seconds`, then go on
    "drop_request",  # close the connection; nothing was done
    "drop_reply",  # done, but the caller never hears of it
    "reset_mid_body",  # half of the reply, then the connection breaks
    "status",  # answer `code` with `reason`, `retry_after_s`
    "garbage",  # 200 with a body that is not JSON
    "truncate",  # the reply's body (or the watch line) ends early, and the connection with it
    "dup",  # a watch line twice
    "skip",  # a watch line not at all: an event is lost
    "freeze",  # the watch stays open and says nothing more
    "close_watch",  # the watch ends, `how`: clean or rst
    "gone_410",  # the watch ends with an ERROR event 410 (at "request": HTTP 410)
]


class Moment(msgspec.Struct, frozen=True):
    """What the rule is asked about. `resource` is `pods`, `subresource` `binding`; `data` the body, reply or line."""

    point: Point
    verb: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    data: bytes = b""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens instead."""

    action: Action
    seconds: float = 0.0
    code: int = 500
    reason: str = "InternalError"
    message: str = "injected fault"
    retry_after_s: int | None = None
    how: Literal["clean", "rst"] = "clean"


StoreRule = Callable[[Moment], Fault | None]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a moment matches everything given here, `fault` happens; empty criteria match anything.

    `nth` is the first match that counts (1 is the very first), `times` how many from there (0: for ever).
    """

    fault: Fault
    point: Point = "request"
    verb: str = ""
    resource: str = ""
    subresource: str | None = None
    namespace: str = ""
    name: str = ""
    user_agent: str = ""
    body: str = ""
    nth: int = 1
    times: int = 1

    def matches(self, moment: Moment) -> bool:
        """Whether the rule concerns `moment`; counting is done by `Rules`."""
        if self.point != moment.point or (self.subresource is not None and self.subresource != moment.subresource):
            return False
        pairs = (
            (self.verb, moment.verb),
            (self.resource, moment.resource),
            (self.namespace, moment.namespace),
            (self.name, moment.name),
        )
        if any(wanted and wanted != found for wanted, found in pairs):
            return False
        if self.user_agent and not moment.user_agent.startswith(self.user_agent):
            return False
        return not self.body or re.search(self.body.encode(), moment.data) is not None


class Rules:
    """A `StoreRule` of declarations; the first one that fires wins. `fired` is the log for a replay."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self._seen = [0] * len(self.rules)
        self.fired: list[tuple[int, Moment]] = []

    @classmethod
    def from_json(cls, declared: Iterable[Mapping[str, Any]]) -> "Rules":
        """From plain mappings, as a file holds them. Raises msgspec.ValidationError naming the wrong field."""
        return cls(msgspec.convert(each, Rule) for each in declared)

    def __call__(self, moment: Moment) -> Fault | None:
        """The fault for this moment, if any."""
        for index, rule in enumerate(self.rules):
            if not rule.matches(moment):
                continue
            self._seen[index] += 1
            late = self._seen[index] - rule.nth
            if late >= 0 and (rule.times == 0 or late < rule.times):
                self.fired.append((index, moment))
                return rule.fault
        return None
