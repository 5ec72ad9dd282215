"""The one thread behind all blocking verbs: an event loop of its own, started when first needed.

So the blocking face works where a loop already runs (a notebook), in several threads at once, and after a fork.
"""

import atexit
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

T = TypeVar("T")

#: How many items an async iterator may be ahead of the thread that reads it.
AHEAD = 1000
#: How long the end of the interpreter waits for what still runs.
CLOSE_S = 3.0


class _Portal:
    """Starts the loop's thread once per process, and stops it when the interpreter ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._open: BlockingPortal | None = None
        self._thread: threading.Thread | None = None

    def get(self) -> BlockingPortal:
        with self._lock:
            if self._open is None or self._pid != os.getpid():
                started: Future[BlockingPortal] = Future()
                self._thread = threading.Thread(target=_serve, args=(started,), name="flowbatch-portal", daemon=True)
                self._thread.start()
                self._open = started.result()
                self._pid = os.getpid()
                atexit.register(self.close)
            return self._open

    def close(self) -> None:
        """Cancel what still runs and join the thread; a forked child has no such thread.

        The join is bounded: something that will not be cancelled must not keep the user's interpreter from ending.
        """
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None and self._thread is not None and self._pid == os.getpid():
            with contextlib.suppress(RuntimeError):
                opened.call(opened.stop, True)
            self._thread.join(CLOSE_S)


def _serve(started: "Future[BlockingPortal]") -> None:
    """The thread: a loop that runs what is handed to its portal until it is told to stop."""

    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result(portal)
            await portal.sleep_until_stopped()

    try:
        anyio.run(serve)
    except BaseException as problem:
        if started.done():
            raise
        started.set_exception(problem)


_PORTAL = _Portal()


def call(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work()` on the portal's loop and wait for it; Ctrl-C cancels it and passes on."""
    future: Future[T] = _PORTAL.get().start_task_soon(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterate(make: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
    """The items of an async generator, for a blocking `for`; leaving the loop closes the generator."""
    portal = _PORTAL.get()
    send, receive = anyio.create_memory_object_stream[T](AHEAD)

    async def pump() -> None:
        async with send, contextlib.aclosing(make()) as items:
            async for item in items:
                await send.send(item)

    async def batch() -> list[T]:
        found = [await receive.receive()]
        with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
            while len(found) < AHEAD:
                found.append(receive.receive_nowait())
        return found

    future = portal.start_task_soon(pump)
    try:
        while True:
            try:
                yield from portal.call(batch)
            except anyio.EndOfStream:
                break
            except CancelledError:
                return  # The interpreter is ending, and the loop ended first.
        future.result()
    finally:
        future.cancel()
        with contextlib.suppress(RuntimeError):
            portal.call(receive.aclose)
