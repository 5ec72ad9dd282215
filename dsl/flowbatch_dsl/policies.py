"""What to do when something happens to a pod or task: Volcano's lifecycle policies, typed.

Events and actions are spelled as on the wire, so that what one reads in a job's YAML is what one writes here.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec
from msgspec.structs import force_setattr

from flowbatch.workload.vocabulary import Action, Event


class _Trigger(msgspec.Struct, frozen=True):
    #: One event, or several; "" where `exit_code` is the trigger.
    event: Event | Literal[""] | Sequence[Event] = ""


class On(_Trigger, frozen=True, kw_only=True):
    """`On("PodEvicted", do="RestartTask")`: when the event happens, do the action, `after` a delay if there is one.

    `exit_code` (1 to 255) triggers on the exit code of a pod's first container instead of an event. `after` is a Go
    duration ("90s", "1h30m"), a timedelta, or a number of seconds. Source: Volcano LifecyclePolicy.
    """

    do: Action
    exit_code: int | None = None
    after: str | int | timedelta | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.event, str):
            force_setattr(self, "event", tuple(self.event))
        if isinstance(self.after, timedelta):
            force_setattr(self, "after", _duration(self.after))
        elif isinstance(self.after, int) and not isinstance(self.after, bool):
            force_setattr(self, "after", f"{self.after}s")


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How what a policy restarts is tried again: `Retry(backoff_s=10, avoid_failed_nodes=True)`.

    The n-th retry waits `backoff_s` times 2 to the n-1, at most `max_backoff_s` (600, if not given). With
    `avoid_failed_nodes`, new pods keep off nodes on which a pod of the job has failed. After a container was killed for
    want of memory, it asks for `memory_percent` more, each time again, up to `memory_limit` ("64Gi").
    """

    backoff_s: int | None = None
    max_backoff_s: int | None = None
    avoid_failed_nodes: bool = False
    memory_percent: int | None = None
    memory_limit: str | None = None


def _duration(delay: timedelta) -> str:
    """`delay` as the shortest exact Go duration."""
    micros = delay // timedelta(microseconds=1)
    for unit, size in (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000)):
        if micros % size == 0:
            return f"{micros // size}{unit}"
    return f"{micros}us"
