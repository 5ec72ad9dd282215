"""One watch: from store events to lines on a wire, for a reader that may be slow.

A watcher keeps only references to shared frames. A reader that falls behind by more than `BACKLOG_BYTES` is cut off
rather than buffered for without bound: it resumes from its last version, as against a real API server.
"""

import asyncio
from collections.abc import Callable

import orjson

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.store import Event, EventType

BACKLOG_BYTES = 64 * 2**20
BOOKMARK_EVERY_S = 60.0

Render = Callable[[EventType, JsonObject], JsonObject]


class Watcher:
    """The pending lines of one watch; `offer` is called by the store, `take` by the connection."""

    def __init__(self, matches: Callable[[JsonObject], bool] | None, render: Render | None) -> None:
        self._matches = matches
        self._render = render
        self._pending: list[bytes] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self.cut = False
        self.closed = False
        #: Called once, when the reader is cut off; the connection may be stuck in a write.
        self.on_cut: Callable[[], None] = lambda: None

    def offer(self, event: Event) -> None:
        """A change happened; queue the line this watcher sees of it, if any."""
        kind = self.seen_as(event)
        if kind is not None:
            line = event.frame(kind) if self._render is None else frame(kind, self._render(kind, event.shown(kind)))
            self.push(line)

    def seen_as(self, event: Event) -> EventType | None:
        """What the event is to this watcher: an object that enters the selection is ADDED, one that leaves DELETED."""
        matches = self._matches
        if matches is None:
            return event.type
        was = event.before is not None and matches(event.before.obj)
        now = event.after is not None and matches(event.after.obj)
        if now:
            return "MODIFIED" if was else "ADDED"
        return "DELETED" if was else None

    def push(self, line: bytes) -> None:
        """Queue a line; cuts the reader off where too much is queued already."""
        if self.cut:
            return
        self._pending.append(line)
        self._bytes += len(line)
        self._wake.set()
        if self._bytes > BACKLOG_BYTES:
            self.cut = True
            self._pending.clear()
            self.on_cut()

    def close(self) -> None:
        """End the watch after what is queued."""
        self.closed = True
        self._wake.set()

    @property
    def pending(self) -> bool:
        """Whether anything is queued."""
        return bool(self._pending)

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.cut or (self.closed and not self._pending)

    def take(self) -> list[bytes]:
        """Everything queued so far."""
        lines, self._pending, self._bytes = self._pending, [], 0
        if not self.closed:
            self._wake.clear()
        return lines

    async def wait(self, timeout_s: float) -> None:
        """Until something is queued, the watch is closed, or the time is over."""
        if self._wake.is_set():
            return
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                await self._wake.wait()
        except TimeoutError:
            return


def frame(kind: str, obj: JsonObject) -> bytes:
    """One watch line."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), orjson.dumps(obj))


def bookmark(api_version: str, kind: str, version: int, *, initial_end: bool = False) -> JsonObject:
    """The object of a BOOKMARK: only a version, and the mark that the initial events are over."""
    metadata: JsonObject = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return {"kind": kind, "apiVersion": api_version, "metadata": metadata}
