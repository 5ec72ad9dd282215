"""An object as we know it to be: the cache's copy, or the answer to our own write while the cache is behind it.

Without it, a status that goes there and back faster than the watch would be compared with the state before both
(reliability.md 2.3, I8: read your own writes).
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.topology import HyperNode
from flowbatch.kube.watch import EventDecoder, Malformed

T = TypeVar("T", bound=PodGroup | Queue | HyperNode)


class Mirror(Generic[T]):
    """Looks objects up by key, newest first."""

    def __init__(self, kind: Kind[T], lookup: Callable[[str], T | None]) -> None:
        self._lookup = lookup
        self._decoder = EventDecoder(kind)
        self._written: dict[str, T] = {}

    def get(self, key: str) -> T | None:
        """The object, or None where the cache has none: what is deleted is not kept alive by our memory of it."""
        cached = self._lookup(key)
        written = self._written.get(key)
        if written is None:
            return cached
        if cached is None or not is_newer(written.metadata, cached.metadata):
            del self._written[key]
            return cached
        return written

    def wrote(self, key: str, body: bytes) -> None:
        """Remember the server's answer to a write."""
        try:
            self._written[key] = self._decoder.plain(body)
        except Malformed:
            self._written.pop(key, None)

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._written.pop(key, None)


def is_newer(one: ObjectMeta, other: ObjectMeta) -> bool:
    """Whether `one` is a later version of the same object; versions that are no numbers are never later."""
    if one.uid != other.uid:
        return False
    try:
        return int(one.resource_version) > int(other.resource_version)
    except ValueError:
        return False
