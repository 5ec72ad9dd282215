"""Watch streams without the stream: bytes in, events out; the reflector supplies sockets and patience.

One JSON object a line, `{"type": ..., "object": ...}`. Ordinary events are decoded in one step straight to the kind's
narrow Struct. What does not fit that (bookmarks carry `"containers": null`, errors carry a Status) takes a second,
slower look, so the common case pays nothing for it.
"""

from typing import Any, Generic, Literal, TypeVar

import msgspec

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import ObjectMeta, Wire
from flowbatch.kube.errors import ApiError, TransportError, api_error

T = TypeVar("T", bound=Wire)
E = TypeVar("E", bound=msgspec.Struct)

#: An object in etcd is at most 1.5 MiB and JSON may double it; a longer line is not a Kubernetes event.
MAX_LINE_BYTES = 16 * 2**20
#: API servers put the type first; where one does not, the event is merely decoded at more cost.
DELETED = b'{"type":"DELETED"'
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


class LineFramer:
    """Cuts a byte stream into lines, whatever the chunks are."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their ends; empty lines are skipped. Raises TransportError."""
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        lines = chunk.split(b"\n")
        if self._parts:
            self._parts.append(lines[0])
            lines[0] = b"".join(self._parts)
        self._parts, self._size = [], 0
        self._keep(lines.pop())
        return [line for line in lines if line] if b"" in lines else lines

    def rest(self) -> bytes:
        """What came after the last line end: at the end of a log, its last line."""
        return b"".join(self._parts)

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._parts.append(piece)
            self._size += len(piece)
        if self._size > self._max:
            raise TransportError(f"a line longer than {self._max} bytes")


class Event(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """One line of a watch. Of a BOOKMARK's object only the metadata is set."""

    type: EventType
    object: E


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """What a DELETED event says that is not known already: who, and when."""

    metadata: ObjectMeta


class _Envelope(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class Malformed(Exception):
    """An object that does not decode as its kind: counted and left out, the rest goes on (catalogue row 26)."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


class EventDecoder(Generic[T]):
    """Decodes the lines of one kind's watch, and single objects of that kind."""

    def __init__(self, kind: Kind[T]) -> None:
        self._type = kind.type
        self._event: msgspec.json.Decoder[Event[T]] = msgspec.json.Decoder(Event[kind.type])  # type: ignore[name-defined]  # the Struct is only known at run time
        self._object: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind.type)
        self._envelope = msgspec.json.Decoder(_Envelope)
        #: The fast path, for callers that handle its exception by `slowly`.
        self.fast = self._event.decode
        #: For lines that begin with DELETED: half the cost.
        self.tombstone = msgspec.json.Decoder(Event[Tombstone]).decode

    def event(self, line: bytes) -> Event[T]:
        """The event of one line. Raises ApiError for an ERROR, Malformed for an unreadable object, TransportError."""
        try:
            event = self.fast(line)
        except msgspec.MsgspecError as problem:
            return self.slowly(line, problem)
        return event if event.type != "ERROR" else self.slowly(line)

    def slowly(self, line: bytes, problem: msgspec.MsgspecError | None = None) -> Event[T]:
        """As `event`, for the lines that the fast path refuses."""
        try:
            envelope = self._envelope.decode(line)
        except msgspec.MsgspecError as broken:
            shown = line[:80].decode(errors="replace")
            raise TransportError(f"not a watch event ({broken}): {shown!r}") from problem
        if envelope.type == "ERROR":
            raise in_stream_error(envelope.object)
        if envelope.type not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            raise TransportError(f"an unknown type of watch event: {envelope.type[:40]!r}") from problem
        kind_of_event: Any = envelope.type
        metadata_only = envelope.type == "BOOKMARK"
        return Event(kind_of_event, self.object(envelope.object, metadata_only=metadata_only))

    def plain(self, raw: bytes | msgspec.Raw) -> T:
        """An object that came outside a watch. Raises Malformed."""
        try:
            return self._object.decode(raw)
        except msgspec.MsgspecError:
            return self.object(raw)

    def bookmark_of(self, line: bytes) -> Event[T]:
        """A bookmark in place of an event whose object cannot be read: time goes on without it."""
        envelope = self._envelope.decode(line)
        return Event("BOOKMARK", self.object(envelope.object, metadata_only=True))

    def object(self, raw: bytes | msgspec.Raw, *, metadata_only: bool = False) -> T:
        """`raw` as the kind's Struct; null counts as unset, as it does for Kubernetes. Raises Malformed."""
        try:
            plain = without_nulls(msgspec.json.decode(raw))
        except msgspec.MsgspecError as problem:
            raise Malformed("?", str(problem)) from None
        if metadata_only:
            plain = {"metadata": plain.get("metadata", {})}
        try:
            return msgspec.convert(plain, self._type)
        except msgspec.MsgspecError as problem:
            metadata = plain.get("metadata") if isinstance(plain, dict) else None
            raise Malformed(_key_of(metadata), str(problem)) from None


def in_stream_error(status: bytes | msgspec.Raw) -> ApiError:
    """The error that a server reports inside a stream whose HTTP status was 200."""
    return api_error(0, bytes(status))


def without_nulls(value: Any) -> Any:
    """`value` without members that are null, at any depth."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def _key_of(metadata: object) -> str:
    if not isinstance(metadata, dict):
        return "?"
    name, namespace = str(metadata.get("name", "?")), metadata.get("namespace")
    return f"{namespace}/{name}" if namespace else name


def ends_initial_events(event: Event[Any]) -> bool:
    """Whether this bookmark says that a WatchList has sent everything that there was."""
    return event.type == "BOOKMARK" and event.object.metadata.annotations.get(INITIAL_EVENTS_END) == "true"
