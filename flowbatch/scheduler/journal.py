"""What went into the engine and a hash of what came out: enough to replay any decision elsewhere.

The ring holds the last steps as objects and costs nothing to keep; a file, where one is asked for, holds all of them
as JSON lines. A bug report is such a file, and `engine.replay` finds the first step that decides differently.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from flowbatch.engine.decisions import Plan, Tick
from flowbatch.engine.events import Event
from flowbatch.engine.replay import Adopted, Cycled, Ended, Entry, Observed, decode, digest_of, encode
from flowbatch.policy.reading import Asked

#: Steps kept in memory.
RING_STEPS: Final = 512
#: A journal file stops growing here, rather than fill the disk; it then says so in its last line.
MAX_FILE_BYTES: Final = 4 * 2**30


class Decided(msgspec.Struct, frozen=True):
    """A cycle in the ring: hashed only if somebody asks."""

    tick: Tick
    plan: Plan


class Journal:
    """Keeps the last steps, and writes them all to `path` if there is one."""

    def __init__(self, path: Path | None = None, ring_steps: int = RING_STEPS) -> None:
        self._ring: deque[Sequence[Event] | Decided | Adopted] = deque(maxlen=ring_steps)
        self._file: IO[bytes] | None = None if path is None else path.open("wb", buffering=1 << 16)
        self._written = 0

    def observed(self, facts: Sequence[Event]) -> None:
        """Note facts, before the engine sees them: the journal must tell of those that break it."""
        self._ring.append(facts)
        if self._file is not None:
            self._write(Observed(tuple(facts)))

    def cycled(self, tick: Tick, plan: Plan) -> None:
        """Note a cycle."""
        self._ring.append(Decided(tick, plan))
        if self._file is not None:
            self._write(Cycled(tick, plan.cycle, digest_of(plan)))

    def adopted(self, asked: Asked, *, anew: bool = False) -> None:
        """Note by which policy the engine decides from here on; `anew`: it is a new engine that knows nothing."""
        entry = Adopted(dict(asked) if isinstance(asked, Mapping) else asked, anew)
        self._ring.append(entry)
        if self._file is not None:
            self._write(entry)

    def recent(self) -> Iterator[Entry]:
        """The steps in the ring, oldest first."""
        for step in self._ring:
            if isinstance(step, Decided):
                yield Cycled(step.tick, step.plan.cycle, digest_of(step.plan))
            elif isinstance(step, Adopted):
                yield step
            else:
                yield Observed(tuple(step))

    def close(self) -> None:
        """Flush and close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, entry: Entry) -> None:
        assert self._file is not None
        line = encode(entry) + b"\n"
        try:
            self._written += self._file.write(line)
            if self._written > MAX_FILE_BYTES:
                self._file.write(encode(Ended("the file reached its largest size")) + b"\n")
                self.close()
        except OSError:
            # A full disk must not stop scheduling (reliability.md 3.2, row 30).
            self._file = None


def read_journal(path: Path) -> Iterator[Entry]:
    """The entries of a journal file."""
    with path.open("rb") as lines:
        yield from decode(lines)
