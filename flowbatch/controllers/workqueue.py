"""Which keys need work, and when: the queue between watches and workers.

It refuses to know what a key stands for. A key is worked on by one lane at a time, however often it is added; added
while it is being worked on, it comes again afterwards, so no change is ever lost. Failures wait exponentially longer,
each key by itself, so that one hopeless object costs the others nothing.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: client-go's figures: 5 ms doubling up to about 16 minutes.
FIRST_RETRY_S = 0.005
LONGEST_RETRY_S = 1000.0
#: Each retry is lengthened by up to this share, so that keys which failed together do not return together.
JITTER = 0.25


class WorkQueue:
    """Keys with work, deduplicated, with delays and per-key back-off. Belongs to one event loop; not thread-safe."""

    def __init__(self, *, jitter: random.Random | None = None, monotonic: Callable[[], float] | None = None) -> None:
        self._jitter = jitter or random.Random()  # noqa: S311  (spreads load; no secret)
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._ready: deque[str] = deque()
        #: Keys that need work: those in `_ready`, and those to come again after the lane that holds them.
        self._dirty: set[str] = set()
        self._held: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.added = 0
        self.retried = 0

    def __len__(self) -> int:
        """Keys that could be worked on now: the depth."""
        return len(self._ready)

    @property
    def held(self) -> int:
        """Keys in work."""
        return len(self._held)

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return len(self._timers)

    @property
    def idle(self) -> bool:
        """No key is ready or in work; delayed ones may be waiting."""
        return not self._ready and not self._held

    def add(self, key: str) -> None:
        """Ask for work on `key` now. A delay that it was waiting out is over: the work will see everything."""
        self.added += 1
        self._cancel_timer(key)
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._held:
            self._push(key)

    def add_after(self, key: str, delay_s: float) -> None:
        """Ask for work on `key` in `delay_s` seconds at the latest; an earlier appointment stands."""
        if delay_s <= 0:
            self.add(key)
            return
        if key in self._dirty:
            return
        due = self._monotonic() + delay_s
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= due:
            return
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_at(due, self._on_time, key)

    def retry(self, key: str, *, longest_s: float = LONGEST_RETRY_S) -> float:
        """Ask for work on `key` after its back-off; gives the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retried += 1
        # 2**30 is past every cap; without the bound a key that fails for weeks would overflow a float.
        delay_s = min(FIRST_RETRY_S * (1 << min(failures, 30)), longest_s)
        delay_s *= 1 + JITTER * self._jitter.random()
        self.add_after(key, delay_s)
        return delay_s

    def failures(self, key: str) -> int:
        """How often `key` was retried since it last went well."""
        return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """`key` went well: its next failure waits the shortest time again."""
        self._failures.pop(key, None)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[str]:
        """Wait for a key and hold it; nobody else gets it until the block ends, whichever way."""
        key = await self._get()
        try:
            yield key
        finally:
            self._done(key)

    async def _get(self) -> str:
        while not self._ready:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # This lane was woken and cancelled at once: the key it was woken for needs another.
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._held.add(key)
        return key

    def _done(self, key: str) -> None:
        self._held.discard(key)
        if key in self._dirty:
            self._push(key)

    def _push(self, key: str) -> None:
        self._ready.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _on_time(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
