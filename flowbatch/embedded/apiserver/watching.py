"""Opening a watch: where it starts, what it sees first, and when it is too late."""

from collections.abc import Callable, Iterable, Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.listing import in_namespace, scope_of, selection_of, version_of
from flowbatch.embedded.apiserver.refusals import (
    Cause,
    Refusal,
    expired,
    forbidden_field,
    invalid,
    too_large_version,
)
from flowbatch.embedded.apiserver.rest import Rest
from flowbatch.embedded.apiserver.selectors import Selection
from flowbatch.embedded.apiserver.store import Entry, Event
from flowbatch.embedded.apiserver.watch import Render, Watcher, bookmark, frame

_INITIAL_MATCH = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"


class Watch:
    """An open watch: the lines it begins with, then the watcher's. `stop` must be called at its end."""

    def __init__(self, rest: Rest, call: Call, render: Render | None) -> None:
        self.call = call
        self.rest = rest
        self.render = render if render is not None else _in_version(call)
        self.bookmarks = call.flag("allowWatchBookmarks")
        self._selection = selection_of(call)
        matches = None if self._sees_all(self._selection) else self._matches
        self.watcher = Watcher(matches, self.render)
        self.initial: Iterable[bytes] = ()
        self._stop: Callable[[], None] = lambda: None

    def _sees_all(self, selection: Selection) -> bool:
        """Without selectors the scope alone decides, and no object needs to be looked at."""
        return selection.empty

    def _matches(self, obj: JsonObject) -> bool:
        namespace = self.call.namespace
        if namespace and obj["metadata"].get("namespace") != namespace and self.call.resource.namespaced:
            return False
        return self._selection.matches(obj)

    def open(self) -> None:
        """Start listening; what comes first is then in `initial`. Raises a Refusal for an impossible start."""
        call, store = self.call, self.rest.store
        _check_options(call)
        collection = self.rest.collection(call.resource)
        version = version_of(call)
        initial = call.params.get("sendInitialEvents")
        scope = scope_of(call, self._selection)
        if initial is not None and call.flag("sendInitialEvents"):
            if version > store.version:
                raise too_large_version(version, store.version)
            self.initial = self._state(collection.select(scope), end=self.bookmarks)
        elif version == 0 and initial is None:
            self.initial = self._state(collection.select(scope), end=False)
        elif version:
            if version < collection.forgotten:
                raise expired(f"too old resource version: {version} ({collection.forgotten})")
            self.initial = self._replay(list(collection.since(version)), scope)
        self._stop = collection.listen(self.watcher.offer, scope)
        self.rest.watches.setdefault(call.resource.storage_name, set()).add(self)

    def close(self) -> None:
        """End the watch after what is queued."""
        self.watcher.close()

    def stop(self) -> None:
        """No longer listen."""
        self._stop()
        self.rest.watches.get(self.call.resource.storage_name, set()).discard(self)

    def _state(self, entries: list[Entry], *, end: bool) -> Iterator[bytes]:
        """The present as ADDED events, and a bookmark that says that was all."""
        version = self.rest.store.version
        chosen = [entry for entry in entries if in_namespace(self.call, entry.key)]
        if not self._selection.empty:
            chosen = [entry for entry in chosen if self._selection.matches(entry.obj)]
        return self._state_lines(chosen, version, end=end)

    def _state_lines(self, entries: list[Entry], version: int, *, end: bool) -> Iterator[bytes]:
        for entry in entries:
            if self.render is None:
                yield b'{"type":"ADDED","object":%s}\n' % entry.data
            else:
                yield frame("ADDED", self.render("ADDED", entry.obj))
        if end:
            yield self.bookmark_line(version, initial_end=True)

    def _replay(self, events: list[Event], scope: tuple[str, str]) -> Iterator[bytes]:
        """What happened since the version the watch starts from."""
        for event in events:
            if scope[0] == "key" and event.key != scope[1]:
                continue
            if not in_namespace(self.call, event.key):
                continue
            kind = self.watcher.seen_as(event)
            if kind is not None:
                yield event.frame(kind) if self.render is None else frame(kind, self.render(kind, event.shown(kind)))

    def bookmark_line(self, version: int, *, initial_end: bool = False) -> bytes:
        """A BOOKMARK event at `version`."""
        resource = self.call.resource
        obj = bookmark(resource.api_version, resource.kind, version, initial_end=initial_end)
        shown_as_table = self.render is not None and self.call.params.get("includeObject") is not None
        return frame("BOOKMARK", self.render("ADDED", obj) if shown_as_table and self.render else obj)


def _in_version(call: Call) -> Render | None:
    """The render that shows objects in a version other than the stored one."""
    outward = call.resource.outward
    return None if outward is None else lambda kind, obj: outward(obj)


def _check_options(call: Call) -> None:
    match = call.params.get("resourceVersionMatch", "")
    initial = call.params.get("sendInitialEvents")
    causes: list[Cause] = []
    if match and initial is None:
        causes.append(
            forbidden_field(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )
        )
    if initial is not None and match != "NotOlderThan":
        causes.append(forbidden_field("resourceVersionMatch", _INITIAL_MATCH))
    if causes:
        raise invalid("ListOptions", "meta.k8s.io", "", causes)


def error_line(refusal: Refusal) -> bytes:
    """An ERROR event: how a watch that has begun is refused."""
    return frame("ERROR", refusal.status)
