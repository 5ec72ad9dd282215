"""Serving one watch over HTTP: lines in batches, bookmarks by the minute, an end in time, and no wait for the slow."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from aiohttp import web

from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.refusals import Refusal, expired
from flowbatch.embedded.apiserver.watch import BOOKMARK_EVERY_S
from flowbatch.embedded.apiserver.watching import Watch, error_line
from flowbatch.embedded.faults import Fault

#: How long a watch lives that names no time: between this and twice this, as on a real API server.
_LIFETIME_S = 1800.0
_BATCH_LINES = 500
#: The shortest time between two writes of one watch: a line after a pause goes out at once, a flood in batches, so that
#: neither side pays a system call and a wake-up for each event.
_FLUSH_S = 0.004

#: What a fault rule does to one watch line; see `faulty`.
LineFault = Callable[[bytes], Fault | None]


class Ended(Exception):
    """A fault ended the watch; `reset` says whether the connection breaks."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__(reset)
        self.reset = reset


async def stream_watch(
    request: web.BaseRequest, call: Call, watch: Watch, fault: LineFault | None
) -> web.StreamResponse:
    """Serve `watch` until its time is over, the reader goes, or the server stops."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    transport = request.transport
    watch.watcher.on_cut = transport.abort if transport is not None else lambda: None
    try:
        try:
            watch.open()
        except Refusal as refusal:
            if refusal.code != 410:
                raise
            # A watch that starts too early is told inside the stream, as a real API server does.
            await response.prepare(request)
            await response.write(error_line(refusal))
            return response
        await response.prepare(request)
        await _run(response, call, watch, fault)
    except Ended as ended:
        if ended.reset and transport is not None:
            transport.abort()
    except ConnectionError:
        # The reader went away in the middle of a write: a watch's usual end.
        pass
    finally:
        watch.stop()
    return response


async def _run(response: web.StreamResponse, call: Call, watch: Watch, fault: LineFault | None) -> None:
    loop = asyncio.get_running_loop()
    seconds = call.number("timeoutSeconds") or _LIFETIME_S * (1 + random.random())  # noqa: S311  (spreads reconnects)
    deadline = loop.time() + seconds
    for batch in _batches(watch.initial):
        await _write(response, batch, fault)
    watcher = watch.watcher
    bookmark_at = loop.time() + BOOKMARK_EVERY_S if watch.bookmarks else deadline
    written_at = 0.0
    while not watcher.ended:
        if watcher.pending and (early_s := written_at + _FLUSH_S - loop.time()) > 0:
            await asyncio.sleep(early_s)
        lines = watcher.take()
        if lines:
            for batch in _batches(lines):
                await _write(response, batch, fault)
            written_at = loop.time()
            continue
        now = loop.time()
        if now >= deadline:
            if watch.bookmarks:
                await _write(response, [watch.bookmark_line(watch.rest.store.version)], fault)
            return
        if now >= bookmark_at:
            await _write(response, [watch.bookmark_line(watch.rest.store.version)], fault)
            bookmark_at = now + BOOKMARK_EVERY_S
        await watcher.wait(min(deadline, bookmark_at) - now)


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    remaining = iter(lines)
    while batch := list(islice(remaining, _BATCH_LINES)):
        yield batch


async def _write(response: web.StreamResponse, lines: list[bytes], fault: LineFault | None) -> None:
    if fault is None:
        await response.write(b"".join(lines))
        return
    for line in lines:
        await _faulty(response, line, fault(line))


async def _faulty(response: web.StreamResponse, line: bytes, fault: Fault | None) -> None:
    """Write one line as a fault rule wants it."""
    action = fault.action if fault is not None else ""
    assert fault is not None or not action
    if fault is not None and action == "delay":
        await asyncio.sleep(fault.seconds)
    elif action == "skip":
        return
    elif action == "freeze":
        await asyncio.Event().wait()
    elif fault is not None and action == "close_watch":
        raise Ended(reset=fault.how == "rst")
    elif action == "gone_410":
        await response.write(error_line(expired("too old resource version: injected fault")))
        raise Ended(reset=False)
    elif action in ("truncate", "reset_mid_body"):
        await response.write(line[: len(line) // 2])
        raise Ended(reset=True)
    elif action == "garbage":
        line = b"<html>not JSON</html>\n"
    elif action == "dup":
        line += line
    await response.write(line)
