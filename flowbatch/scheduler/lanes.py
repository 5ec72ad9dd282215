"""A bounded number of writes in flight: bindings before status, and never two at once for one object.

Not a queue of requests but of *turns*: what is sent is decided when the turn comes, from what is then known, so a
status that changed five times while it waited is written once.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from enum import IntEnum

import anyio
from anyio.abc import TaskGroup

Turn = Callable[[], Awaitable[None]]


class Rank(IntEnum):
    """Who goes first: what takes capacity, then what others wait for, then what people read."""

    BIND = 0
    PHASE = 1
    STATUS = 2


class Lanes:
    """Runs turns, at most `width` at a time, by rank and then in order of arrival.

    Turns of one key run one after another. A turn must deal with its own errors: one that raises ends the program.
    """

    def __init__(self, width: int = 64) -> None:
        self.width = width
        self._waiting: tuple[deque[tuple[str, Turn]], ...] = tuple(deque() for _ in Rank)
        #: Keys in flight, with the turns that must wait for them.
        self._busy: dict[str, deque[tuple[Rank, Turn]]] = {}
        self._tasks: TaskGroup | None = None
        self._idle = anyio.Event()
        self._idle.set()
        self._moved = anyio.Event()
        self._closed = anyio.Event()

    @property
    def in_flight(self) -> int:
        """Turns running now."""
        return len(self._busy)

    @property
    def backlog(self) -> int:
        """Turns that wait for a lane."""
        return sum(len(waiting) for waiting in self._waiting)

    def put(self, key: str, rank: Rank, turn: Turn) -> None:
        """Let `turn` run as soon as a lane and its key are free."""
        self._waiting[rank].append((key, turn))
        if self._idle.is_set():
            self._idle = anyio.Event()
        self._fill()

    async def run(self) -> None:
        """Own the running turns until `close`: a cancelled program still finishes the writes it has begun."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._fill()
                await self._closed.wait()
                self._tasks = None
                tasks.cancel_scope.cancel()

    async def close(self, grace_s: float) -> None:
        """Forget the turns that have not begun, let those in flight end within `grace_s`, and stop `run`."""
        with anyio.CancelScope(shield=True):
            self.discard()
            with anyio.move_on_after(grace_s):
                await self.drain()
            self._closed.set()

    async def drain(self) -> None:
        """Wait until nothing runs and nothing waits."""
        await self._idle.wait()

    async def below(self, backlog: int) -> None:
        """Wait until fewer than `backlog` turns wait for a lane."""
        while self.backlog >= backlog:
            self._moved = anyio.Event()
            await self._moved.wait()

    def discard(self) -> int:
        """Forget every turn that has not begun; how many those were."""
        dropped = self.backlog + sum(len(queued) for queued in self._busy.values())
        for waiting in self._waiting:
            waiting.clear()
        for queued in self._busy.values():
            queued.clear()
        if not self._busy:
            self._idle.set()
        return dropped

    def _fill(self) -> None:
        while self._tasks is not None and len(self._busy) < self.width and (taken := self._next()) is not None:
            key, rank, turn = taken
            if key in self._busy:
                self._busy[key].append((rank, turn))
            else:
                self._busy[key] = deque()
                self._tasks.start_soon(self._run, key, turn)

    def _next(self) -> tuple[str, Rank, Turn] | None:
        for rank in Rank:
            if self._waiting[rank]:
                key, turn = self._waiting[rank].popleft()
                return key, rank, turn
        return None

    async def _run(self, key: str, turn: Turn) -> None:
        try:
            await turn()
        finally:
            queued = self._busy.pop(key)
            for rank, later in reversed(queued):
                self._waiting[rank].appendleft((key, later))
            self._fill()
            self._moved.set()
            if not self._busy and not self.backlog:
                self._idle.set()
