"""The one gate that every write passes: shut unless this replica leads, as far as it can know by its own clock.

Layers 1 and 2 of reliability.md 3.3. A lease alone is no fence: a leader that was stopped for a minute wakes up still
believing. So before *each* write the gate compares the monotonic clock with the last renewal that surely happened
(counted from before that request was sent), and grants the write only a short time to finish.
"""

import time
from collections.abc import Callable

from flowbatch.kube.errors import Fenced

#: What a program without an election grants each write.
UNFENCED_WRITE_S = 30.0


class WriteGate:
    """Open for ever by default; an `Elector` takes it over by `shut()` and then opens it only while it leads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = float("inf")
        self._write_s = UNFENCED_WRITE_S
        self._why = ""
        #: Rises with every change of leader; stamped on bindings, so that a server-side policy can refuse old ones.
        self.epoch = 0
        self.refused = 0

    @property
    def is_open(self) -> bool:
        """Whether a write sent now would pass."""
        return self._monotonic() < self._until

    def open(self, epoch: int, until: float, write_s: float) -> None:
        """Let writes pass until the monotonic moment `until`, each for at most `write_s` seconds."""
        self.epoch, self._until, self._write_s = epoch, until, write_s

    def shut(self, why: str) -> None:
        """Refuse every write from now on; `why` is what the refused will read."""
        self._until, self._why = float("-inf"), why

    def admit(self) -> float:
        """Seconds that a write starting now may take. Raises Fenced when this replica does not lead."""
        if self.is_open:
            return self._write_s
        self.refused += 1
        raise Fenced(self._why or "the lease was not renewed in time; this replica must assume that another one leads")
