"""A queue of keys and the one loop that works through it: what all embedded controllers are made of."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from flowbatch.embedded.apiserver.refusals import Refusal

K = TypeVar("K", bound=Hashable)

#: After so many keys the loop lets everyone else on.
_SLICE = 50
_RETRY_S = 0.5


class Worker(Generic[K]):
    """Handles each key that was added, once for any number of additions meanwhile, in order of arrival.

    A key whose handling is refused by the API server is tried again a little later; `refusals` counts them.
    """

    def __init__(self, handle: Callable[[K], None]) -> None:
        self._handle = handle
        self._pending: dict[K, None] = {}
        self._wake = asyncio.Event()
        self.refusals = 0

    def add(self, key: K) -> None:
        """Handle `key` soon."""
        self._pending[key] = None
        self._wake.set()

    def add_later(self, key: K, seconds: float) -> None:
        """Handle `key` after `seconds`."""
        asyncio.get_running_loop().call_later(seconds, self.add, key)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be handled."""
        return not self._pending

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._work()
            await asyncio.sleep(0)

    def _work(self) -> None:
        for _ in range(min(_SLICE, len(self._pending))):
            key = next(iter(self._pending))
            del self._pending[key]
            try:
                self._handle(key)
            except Refusal:
                self.refusals += 1
                self.add_later(key, _RETRY_S)
        if not self._pending:
            self._wake.clear()
