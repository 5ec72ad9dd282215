"""The time of day as controllers go by it: one that a jump of the machine's clock neither hurries nor holds up.

Deadlines and times to live are compared with times that others wrote, so they need a time of day; but a clock that is
set wrong for a minute must not end a job. What the machine says is followed while it goes with the time that has really
passed, and otherwise believed only when it has said so for a while.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

#: A difference that clocks have anyway, and a jump that has lasted so long that it is a correction.
SLACK_S: Final = 1.0
BELIEVED_S: Final = 600.0


def wall_clock() -> datetime:
    """What the machine says; tests hand in their own."""
    return datetime.now(UTC)  # noqa: TID251  (the default of a program's setting)


class SteadyClock:
    """Call it for the time of day."""

    def __init__(
        self,
        wall: Callable[[], datetime] = wall_clock,
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._passed = passed
        #: The time of day when no time had passed yet.
        self._begin = wall().timestamp() - passed()
        #: When the machine's clock was first seen to have jumped.
        self._doubted: float | None = None

    def __call__(self) -> datetime:
        """Now."""
        passed = self._passed()
        begin = self._wall().timestamp() - passed
        if abs(begin - self._begin) <= SLACK_S:
            self._begin, self._doubted = begin, None
        elif self._doubted is None:
            self._doubted = passed
        elif passed - self._doubted >= BELIEVED_S:
            self._begin, self._doubted = begin, None
        return datetime.fromtimestamp(passed + self._begin, UTC)
