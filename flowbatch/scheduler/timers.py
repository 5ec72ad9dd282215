"""One wake-up for many keys: what must happen at a time, without a task or a poll per key."""

import heapq
from collections.abc import Callable

import anyio


class Timers:
    """Calls `due(key)` when a key's time has come; a key has one time, the earliest asked for. Idle without keys."""

    def __init__(self, due: Callable[[str], None]) -> None:
        self._due = due
        self._heap: list[tuple[float, str]] = []
        self._times: dict[str, float] = {}
        self._changed = anyio.Event()

    def __len__(self) -> int:
        return len(self._times)

    def within(self, key: str, wait_s: float) -> None:
        """Have `key` called in `wait_s` seconds, or earlier if that was asked before."""
        moment = anyio.current_time() + wait_s
        if moment < self._times.get(key, float("inf")):
            self._times[key] = moment
            heapq.heappush(self._heap, (moment, key))
            if self._heap[0] == (moment, key):
                self._changed.set()

    def forget(self, key: str) -> None:
        """Do not call `key` after all."""
        self._times.pop(key, None)

    async def run(self) -> None:
        """Call what is due, for ever."""
        while True:
            self._changed = anyio.Event()
            wait_s = self._call_due()
            with anyio.move_on_after(wait_s):
                await self._changed.wait()

    def _call_due(self) -> float | None:
        """Call everything due; seconds until the next, None for never."""
        now = anyio.current_time()
        while self._heap:
            moment, key = self._heap[0]
            if self._times.get(key) == moment:
                if moment > now:
                    return moment - now
                del self._times[key]
                self._due(key)
            heapq.heappop(self._heap)
        return None
