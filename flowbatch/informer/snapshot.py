"""One complete read of a collection, told to the store object by object as it arrives.

What a read shows is true when it is shown, so it goes straight into the store and a big cluster is never in memory
twice. Only the end knows what is missing: `finish` then forgets everything the read did not show. So there is no
moment at which the store is empty, and no delete is ever lost.
"""

from typing import Any, Generic, TypeVar

from flowbatch.api.meta import ObjectMeta, Wire
from flowbatch.informer.store import Store, is_older

T = TypeVar("T", bound=Wire)


class Snapshot(Generic[T]):
    """Gathers the keys of one list or one WatchList."""

    def __init__(self, store: Store[T]) -> None:
        self._store = store
        self._keys: set[str] = set()

    def show(self, thing: T) -> None:
        """This object exists, in this state."""
        self._store.put(thing)
        anything: Any = thing
        self._keys.add(anything.metadata.key)

    def unreadable(self, key: str) -> None:
        """An object of this key exists but cannot be decoded: what is known of it stays."""
        self._keys.add(key)

    def gone(self, metadata: ObjectMeta) -> None:
        """An object that was shown has been deleted meanwhile (a WatchList may say so before its end)."""
        self._keys.discard(metadata.key)
        self._store.remove(metadata.key, metadata.resource_version)

    def finish(self) -> None:
        """All that exists has been shown."""
        self._store.keep_only(self._keys)


def went_back(version: str, last: str) -> bool:
    """Whether a quorum read answered with an older state than was seen before: restored from a backup (row 15)."""
    return bool(last) and is_older(version, last)
