"""Keeps a store equal to a collection of the API server, through everything that can happen to a watch.

The loop is client-go's (tools/cache/reflector.go, read for its behaviour) with a dead-stream guard and without its
known gaps; the list of what it must survive is python.md 2.3 and rows 1-8 of reliability.md 3.2:

- read everything (WatchList where the server can, else a paged list), then watch from there;
- a clean end or a cut connection resumes at the last resourceVersion, without reading anything again;
- 410, as a status or inside the stream, reads everything again: first "not older than what we have", then by quorum;
- whatever fails twice waits longer, with jitter.
"""

import asyncio
import logging
import random
import time
from typing import Any, Generic, TypeVar

import msgspec

from flowbatch import metrics
from flowbatch.api.kinds import Kind
from flowbatch.api.meta import Wire
from flowbatch.informer.snapshot import Snapshot, went_back
from flowbatch.informer.store import Store
from flowbatch.informer.timing import Timing
from flowbatch.kube.backoff import Backoff
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, Gone, ServerError, Throttled, TransportError, Unauthorized
from flowbatch.kube.request import watch_objects
from flowbatch.kube.stream import LineStream
from flowbatch.kube.watch import DELETED, Event, Malformed, ends_initial_events

T = TypeVar("T", bound=Wire)

log = logging.getLogger(__name__)

#: So many lines are decoded between two looks at the clock: about half a millisecond.
LINES_PER_LOOK = 32
#: WatchLists that may break in a row before a plain list is tried.
BROKEN_SNAPSHOTS = 2


class ShortWatch(Exception):
    """The server ends watches at once: waiting is better than asking again."""


class Reflector(Generic[T]):
    """One collection into one store. `run` never returns; `synced` is set once everything has been read once."""

    def __init__(
        self,
        client: Client,
        kind: Kind[T],
        store: Store[T],
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        watch_list: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self.synced = asyncio.Event()
        #: Synced, or told by the server that the kind is not served or not for us: no use waiting for it.
        self.settled = asyncio.Event()
        #: Monotonic moment at which anything last arrived; a health check compares it.
        self.last_event_at = time.monotonic()
        self._client, self._kind, self._store = client, kind, store
        self._namespace = namespace
        self._label_selector, self._field_selector = label_selector, field_selector
        self._timing = timing or Timing()
        self._decoder = client.decoder(kind)
        self._backoff = Backoff(self._timing.first_backoff_s, self._timing.max_backoff_s)
        self._short_backoff = Backoff(self._timing.first_short_s, self._timing.max_backoff_s)
        self._watch_list = watch_list
        self._version = ""
        #: The last version is not accepted any more: only a quorum read helps.
        self._version_refused = False
        self._must_read = True
        self._broken_snapshots = 0

    async def run(self) -> None:
        """Read and follow, for ever; ends only by being cancelled."""
        while True:
            asked_s: float | None = None
            try:
                await self._round()
                continue
            except ShortWatch:
                self._failed("short watch", "the server closed it at once")
                await asyncio.sleep(self._short_backoff.delay_s())
                continue
            except Gone as problem:
                self._gone(problem)
            except (Throttled, Unauthorized) as problem:
                asked_s = problem.retry_after
                self._failed(problem.reason or str(problem.status), problem)
            except ApiError as problem:
                asked_s = problem.retry_after
                self._refused(problem)
            except TransportError as problem:
                self._failed("connection", problem)
            await asyncio.sleep(self._backoff.delay_s(asked_s))

    async def _round(self) -> None:
        if not self._must_read:
            await self._watch()
        elif self._watch_list and self._broken_snapshots < BROKEN_SNAPSHOTS:
            await self._watch(Snapshot(self._store))
        else:
            await self._list()

    # What went wrong ---------------------------------------------------------------------------------------------

    def _failed(self, reason: str, problem: object) -> None:
        metrics.WATCH_FAILURES.labels(self._kind.plural, reason).inc()
        log.info("watch of %s: %s", self._kind.plural, problem)

    def _gone(self, problem: Gone) -> None:
        """The first relist still asks for nothing older than what we have; if that is refused, for a quorum read."""
        metrics.GONE.labels(self._kind.plural).inc()
        log.info("watch of %s: %s; reading everything again", self._kind.plural, problem)
        self._version_refused = self._version_refused or self._must_read
        self._must_read = True

    def _refused(self, problem: ApiError) -> None:
        self._failed(problem.reason or str(problem.status), problem)
        if problem.status in (403, 404):
            self.settled.set()
        if problem.version_too_large:
            self._must_read = self._version_refused = True
        elif not isinstance(problem, ServerError) and self._must_read and problem.status in (400, 405, 406, 415, 422):
            self._watch_list = False

    # Reading everything ------------------------------------------------------------------------------------------

    @property
    def _not_older_than(self) -> str:
        return "" if self._version_refused else self._version

    async def _list(self) -> None:
        snapshot = Snapshot(self._store)
        version, checked = "", False
        since = self._not_older_than
        async for page in self._client.pages(
            self._kind,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version=since or None,
            resource_version_match="NotOlderThan" if since else "",
        ):
            version = page.metadata.resource_version
            if not checked:
                self._accept(version)
                checked = True
            await self._show(snapshot, page.items or [])
        self._complete(snapshot, version, "list")

    async def _show(self, snapshot: Snapshot[T], items: list[msgspec.Raw]) -> None:
        slice_ends = time.perf_counter() + self._timing.slice_s
        for item in items:
            try:
                snapshot.show(self._decoder.plain(item))
            except Malformed as problem:
                self._unreadable(problem)
                snapshot.unreadable(problem.key)
            if time.perf_counter() > slice_ends:
                await asyncio.sleep(0)
                slice_ends = time.perf_counter() + self._timing.slice_s

    def _accept(self, version: str) -> None:
        """A read that is older than what we saw: by quorum it is the new truth, from a cache it is only late."""
        if not went_back(version, self._version):
            return
        if self._not_older_than:
            raise TransportError(f"a stale list: version {version}, but {self._version} was seen already")
        log.warning("the %s of the API server went back from %s to %s", self._kind.plural, self._version, version)
        self._store.forget_versions()

    def _complete(self, snapshot: Snapshot[T], version: str, how: str) -> None:
        snapshot.finish()
        metrics.RELISTS.labels(self._kind.plural, how).inc()
        self._version, self._version_refused, self._must_read = version, False, False
        self._broken_snapshots = 0
        metrics.INFORMER_OBJECTS.labels(self._kind.plural).set(len(self._store))
        self.synced.set()
        self.settled.set()
        self._note()

    # Following ---------------------------------------------------------------------------------------------------

    async def _watch(self, snapshot: Snapshot[T] | None = None) -> None:
        """Follow from the last version; with a snapshot, let the server show everything first (WatchList)."""
        request = watch_objects(
            self._kind,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            resource_version=self._not_older_than or None if snapshot else self._version,
            initial_events=snapshot is not None,
            timeout_s=random.randint(*self._timing.watch_s),  # noqa: S311  (spreads load; no secret)
        )
        started, brought = time.monotonic(), self.last_event_at
        try:
            async with self._client.stream(request, idle_timeout_s=self._timing.idle_s) as stream:
                await self._follow(stream, snapshot)
        finally:
            lived_s = time.monotonic() - started
            if lived_s >= self._timing.healthy_s:
                self._backoff.reset()
            if self.last_event_at != brought:
                self._short_backoff.reset()
        if self._must_read:
            raise TransportError("the watch ended before it had shown everything")
        if lived_s < self._timing.short_watch_s and self.last_event_at == brought:
            raise ShortWatch

    async def _follow(self, stream: LineStream, snapshot: Snapshot[T] | None) -> None:
        if snapshot is not None:
            self._broken_snapshots += 1  # until it is complete
        try:
            async for lines in stream.batches():
                snapshot = await self._take(lines, snapshot)
        except (Gone, Throttled):
            raise
        except ApiError as problem:
            # After HTTP 200: the server cannot do WatchList (etcd 3.4: "RequestWatchProgress is disabled"), or this
            # watch is broken at this version; either way, asking again in the same words is no use.
            if snapshot is not None and not problem.version_too_large:
                self._watch_list = False
            self._must_read = True
            raise

    async def _take(self, lines: list[bytes], snapshot: Snapshot[T] | None) -> Snapshot[T] | None:
        """Decode and apply what has arrived, letting others run in between; gives the snapshot while it goes on."""
        self._note()
        metrics.WATCH_EVENTS.labels(self._kind.plural).inc(len(lines))
        slice_began = time.perf_counter()
        for start in range(0, len(lines), LINES_PER_LOOK):
            snapshot = self._apply(lines[start : start + LINES_PER_LOOK], snapshot)
            if time.perf_counter() - slice_began > self._timing.slice_s:
                await asyncio.sleep(0)
                slice_began = time.perf_counter()
        metrics.INFORMER_OBJECTS.labels(self._kind.plural).set(len(self._store))
        return snapshot

    def _apply(self, lines: list[bytes], snapshot: Snapshot[T] | None) -> Snapshot[T] | None:
        fast, tombstone, put = self._decoder.fast, self._decoder.tombstone, self._store.put
        event: Any  # of T, or a Tombstone
        for line in lines:
            try:
                event = tombstone(line) if line.startswith(DELETED) else fast(line)
            except msgspec.MsgspecError:
                event = self._second_look(line, snapshot)
            if snapshot is not None or event.type not in ("ADDED", "MODIFIED"):
                snapshot = self._rare(line, event, snapshot)
            else:
                put(event.object)
                self._version = event.object.metadata.resource_version
        return snapshot

    def _second_look(self, line: bytes, snapshot: Snapshot[T] | None) -> Event[T]:
        """Bookmarks, errors and objects that do not decode: the last are counted and count as unchanged."""
        try:
            return self._decoder.slowly(line)
        except Malformed as problem:
            self._unreadable(problem)
            if snapshot is not None:
                snapshot.unreadable(problem.key)
            return self._decoder.bookmark_of(line)

    def _rare(self, line: bytes, event: Event[Any], snapshot: Snapshot[T] | None) -> Snapshot[T] | None:
        if event.type == "ERROR":
            self._decoder.slowly(line)
        thing: Any = event.object
        if snapshot is None:
            if event.type == "DELETED":
                self._store.remove(thing.metadata.key, thing.metadata.resource_version)
            self._version = thing.metadata.resource_version or self._version
            return None
        return self._initial(event, snapshot)

    def _initial(self, event: Event[Any], snapshot: Snapshot[T]) -> Snapshot[T] | None:
        """An event before a WatchList's end. The versions of these are in no order: only the bookmark's counts."""
        if event.type == "BOOKMARK":
            if not ends_initial_events(event):
                return snapshot
            thing: Any = event.object
            self._end_initial(snapshot, thing.metadata.resource_version)
            return None
        if event.type == "DELETED":
            snapshot.gone(event.object.metadata)
        else:
            snapshot.show(event.object)
        return snapshot

    def _end_initial(self, snapshot: Snapshot[T], version: str) -> None:
        if went_back(version, self._version):
            # What it showed looked old and was ignored; now that this is known to be the truth, read it once more.
            self._accept(version)
            self._version = ""
            raise TransportError("the API server went back in time; reading everything again")
        self._complete(snapshot, version, "watchlist")

    def _unreadable(self, problem: Malformed) -> None:
        metrics.UNREADABLE_OBJECTS.labels(self._kind.plural).inc()
        log.warning("cannot read %s %s", self._kind.kind, problem)

    def _note(self) -> None:
        self.last_event_at = time.monotonic()
