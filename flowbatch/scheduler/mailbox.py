"""Where facts wait for the driver: one slot per key, because facts are levels and the latest says it all.

Bounded by construction: it never holds more than one fact per object plus one per open order.
"""

from collections.abc import Hashable
from itertools import islice

import anyio

from flowbatch.engine.events import Event


class Mailbox:
    """Coalesces by key and wakes the one driver that drains it. Never call it from another thread."""

    def __init__(self) -> None:
        self._facts: dict[Hashable, Event] = {}
        self._filled = anyio.Event()
        #: Facts ever posted, and those that replaced one not yet drained.
        self.posted = 0
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._facts)

    def post(self, key: Hashable, fact: Event) -> None:
        """Leave `fact`; one of the same key that was not drained yet is replaced, in its place in the order."""
        self.posted += 1
        if key in self._facts:
            self.coalesced += 1
        self._facts[key] = fact
        self._filled.set()

    async def wait(self) -> None:
        """Return as soon as there is something to drain."""
        await self._filled.wait()

    def wake(self) -> None:
        """Let the driver look, though there is nothing to drain."""
        self._filled.set()

    def drain(self, limit: int) -> list[Event]:
        """Up to `limit` facts, oldest first."""
        if len(self._facts) <= limit:
            drained = list(self._facts.values())
            self._facts.clear()
        else:
            keys = list(islice(self._facts, limit))
            drained = [self._facts.pop(key) for key in keys]
        if not self._facts:
            self._filled = anyio.Event()
        return drained
