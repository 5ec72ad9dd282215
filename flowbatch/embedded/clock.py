"""The one place of the embedded cluster that knows what time it is, and a loop on which time is virtual.

`VirtualTime` runs coroutines that sleep for hours in no time at all, in the same order every time: where nothing is
ready, the selector advances the clock to the next timer instead of sleeping. Where there is no next timer either,
everything waits for everything: that deadlock raises, where a real loop would hang.
"""

import asyncio
import selectors
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

#: Virtual time begins here, so that two runs print the same times.
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What the time is, and how to wait."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait on this clock."""
        ...


class RealClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)  # noqa: TID251  (this is the module that may)

    async def sleep(self, seconds: float) -> None:
        """Wait on the running loop; on `VirtualTime` that takes no time."""
        await asyncio.sleep(seconds)


class LoopClock:
    """The running loop's own time, counted from `EPOCH`: virtual on a `VirtualTime` loop."""

    def now(self) -> datetime:
        """`EPOCH` plus the loop's seconds."""
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, seconds: float) -> None:
        """Wait on the running loop."""
        await asyncio.sleep(seconds)


class Deadlock(RuntimeError):
    """On virtual time nothing is ready, nothing is scheduled, and somebody still waits."""


class _TimeSelector(selectors.BaseSelector):
    """Watches real files for the loop's own wake-ups, but never waits for them."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock(f"at virtual second {self.now_s:.3f} nothing is ready and no timer is set")
        self.now_s += timeout
        return []

    def register(self, fileobj: "FileDescriptorLike", events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: "FileDescriptorLike") -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping["FileDescriptorLike", selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop whose `time()` moves only when everybody sleeps. `asyncio.Runner(loop_factory=VirtualTime)`.

    Real sockets and threads have no place on it: they take time that it does not know of. An exception that asyncio
    would only log is raised from `run_until_complete`, so that no failed check goes unseen.
    """

    def __init__(self) -> None:
        self._selected = _TimeSelector()
        super().__init__(self._selected)
        self._failure: BaseException | None = None
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._selected.now_s

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception") or RuntimeError(str(context.get("message")))
        self._failure = self._failure or problem
        loop.stop()

    def run_forever(self) -> None:
        """Run; raises what a callback raised."""
        super().run_forever()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
