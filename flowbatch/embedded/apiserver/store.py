"""The versioned object store: one counter, objects by key, a window of events per collection, and its listeners.

Everything is synchronous and runs on one event loop, so a read-modify-write between two awaits is a transaction.
Stored objects are immutable by convention: a change builds a new object that shares what it did not touch, and its
bytes are made at most once, whoever asks for them.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import orjson

from flowbatch.api.meta import JsonObject

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class Entry:
    """One version of one object, with its encoded bytes made on first use."""

    __slots__ = ("_data", "key", "obj", "version")

    def __init__(self, key: str, obj: JsonObject, version: int) -> None:
        self.key = key
        self.obj = obj
        self.version = version
        self._data: bytes | None = None

    @property
    def data(self) -> bytes:
        """The object as JSON, in its stored version."""
        if self._data is None:
            self._data = orjson.dumps(self.obj)
        return self._data


class Event:
    """One change: `before` and `after` are the entries around it; at least one is set."""

    __slots__ = ("after", "before", "frames", "type", "version")

    def __init__(self, kind: EventType, version: int, before: Entry | None, after: Entry | None) -> None:
        self.type: EventType = kind
        self.version = version
        self.before = before
        self.after = after
        #: Encoded watch lines by event type; shared by every watcher that shows the stored form.
        self.frames: dict[str, bytes] = {}

    @property
    def key(self) -> str:
        """Key of the object that changed."""
        return (self.after or self.before).key  # type: ignore[union-attr]  # one of them is always set

    def shown(self, kind: EventType) -> JsonObject:
        """The object as a watcher sees it under event type `kind`: what left carries the version of its leaving."""
        if kind != "DELETED":
            assert self.after is not None
            return self.after.obj
        gone = self.before or self.after
        assert gone is not None
        return with_version(gone.obj, self.version)

    def frame(self, kind: EventType) -> bytes:
        """The watch line of this event under `kind`, made once."""
        line = self.frames.get(kind)
        if line is None:
            same = kind != "DELETED" and self.after is not None
            data = self.after.data if same and self.after is not None else orjson.dumps(self.shown(kind))
            line = self.frames[kind] = b'{"type":"%s","object":%s}\n' % (kind.encode(), data)
        return line


Listener = Callable[[Event], None]


def with_version(obj: JsonObject, version: int) -> JsonObject:
    """`obj` with `metadata.resourceVersion` set; everything else is shared."""
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}


class Collection:
    """The objects of one storage name, in key order, with the recent events and everyone who listens."""

    def __init__(self, name: str, window: int, indexed: Callable[[JsonObject], str] | None = None) -> None:
        self.name = name
        self.entries: dict[str, Entry] = {}
        self.keys: list[str] = []
        self.indexed = indexed
        self._by_value: dict[str, dict[str, None]] = {}
        self.events: deque[Event] = deque(maxlen=window)
        #: Watches from before this version cannot be served: its events have left the window.
        self.forgotten = 0
        self.listeners: dict[tuple[str, str], list[Listener]] = {}

    def listen(self, listener: Listener, scope: tuple[str, str] = ("all", "")) -> Callable[[], None]:
        """Call `listener` on each event in `scope` (all, a namespace, a key, an indexed value); returns the undoing."""
        self.listeners.setdefault(scope, []).append(listener)

        def stop() -> None:
            found = self.listeners.get(scope, [])
            if listener in found:
                found.remove(listener)
            if not found:
                self.listeners.pop(scope, None)

        return stop

    def record(self, event: Event) -> None:
        """Fold `event` in and tell everyone; called by the store only."""
        self._index(event)
        if len(self.events) == self.events.maxlen:
            self.forgotten = self.events[0].version
        self.events.append(event)
        for scope in self._scopes(event):
            for listener in tuple(self.listeners.get(scope, ())):
                listener(event)

    def _index(self, event: Event) -> None:
        key = event.key
        if event.after is None:
            del self.entries[key]
            del self.keys[bisect_left(self.keys, key)]
        else:
            if event.before is None:
                insort(self.keys, key)
            self.entries[key] = event.after
        if self.indexed is not None:
            old = self.indexed(event.before.obj) if event.before else None
            new = self.indexed(event.after.obj) if event.after else None
            if old != new:
                if old is not None:
                    self._by_value[old].pop(key, None)
                if new is not None:
                    self._by_value.setdefault(new, {})[key] = None

    def _scopes(self, event: Event) -> Iterator[tuple[str, str]]:
        yield ("all", "")
        if len(self.listeners) == (("all", "") in self.listeners):
            return
        yield ("namespace", event.key.partition("/")[0])
        yield ("key", event.key)
        if self.indexed is not None:
            values = {self.indexed(entry.obj): None for entry in (event.before, event.after) if entry}
            yield from (("value", value) for value in values)

    def select(self, scope: tuple[str, str]) -> list[Entry]:
        """Entries of a scope in key order."""
        kind, value = scope
        if kind == "all":
            return [self.entries[key] for key in self.keys]
        if kind == "namespace":
            first, last = bisect_left(self.keys, value + "/"), bisect_left(self.keys, value + "0")
            return [self.entries[key] for key in self.keys[first:last]]
        if kind == "value":
            return [self.entries[key] for key in sorted(self._by_value.get(value, ()))]
        return [self.entries[value]] if value in self.entries else []

    def as_of(self, version: int) -> list[Entry] | None:
        """All entries as they were at `version`, or None if the window no longer reaches back so far."""
        if version < self.forgotten:
            return None
        state = dict(self.entries)
        for event in reversed(self.events):
            if event.version <= version:
                break
            if event.before is None:
                state.pop(event.key, None)
            else:
                state[event.key] = event.before
        return [state[key] for key in sorted(state)]

    def since(self, version: int) -> Iterable[Event]:
        """Events after `version`, oldest first; the caller has checked `forgotten`."""
        recent: list[Event] = []
        for event in reversed(self.events):
            if event.version <= version:
                break
            recent.append(event)
        return reversed(recent)


class ObjectStore:
    """Every collection, and the one counter that orders all changes across them."""

    def __init__(self, window: int = 10_000) -> None:
        self.window = window
        self.version = 1
        self.collections: dict[str, Collection] = {}
        #: Called on every change of every collection, after the collection's own listeners.
        self._listeners: list[Callable[[Collection, Event], None]] = []

    def listen(self, listener: Callable[[Collection, Event], None]) -> Callable[[], None]:
        """Call `listener` on every change anywhere; returns the undoing. Collections that come later are included."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _record(self, collection: Collection, event: Event) -> None:
        collection.record(event)
        for listener in tuple(self._listeners):
            listener(collection, event)

    def collection(self, name: str, indexed: Callable[[JsonObject], str] | None = None) -> Collection:
        """The collection of that name; made, with its index, on first use."""
        found = self.collections.get(name)
        if found is None:
            found = self.collections[name] = Collection(name, self.window, indexed)
        return found

    def put(self, collection: Collection, key: str, obj: JsonObject) -> Entry:
        """Store `obj` (which now belongs to the store) as the newest version of `key`."""
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        before = collection.entries.get(key)
        after = Entry(key, obj, self.version)
        self._record(collection, Event("MODIFIED" if before else "ADDED", self.version, before, after))
        return after

    def remove(self, collection: Collection, key: str) -> int:
        """Forget `key`; returns the version of the deletion."""
        self.version += 1
        self._record(collection, Event("DELETED", self.version, collection.entries[key], None))
        return self.version

    def drop(self, name: str) -> None:
        """Forget a whole (empty) collection and its window; a CRD is gone."""
        self.collections.pop(name, None)
