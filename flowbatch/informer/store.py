"""The objects of one kind as last seen, with indexes; many read, one reflector writes, all in one event loop.

An update that changes nothing flowbatch reads (managedFields, fields outside the narrow Struct) ends here: the new
resourceVersion is noted on the object that is already held, and nobody is told.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

from msgspec.structs import force_setattr

from flowbatch.api.meta import Wire

T = TypeVar("T", bound=Wire)

#: Gives the index values under which an object is found; called again whenever the object changes, so it must be pure.
IndexFunction = Callable[[T], Iterable[str]]
#: Told (old, new) after the store has changed; None stands for "did not exist" and for "exists no more".
Handler = Callable[[T | None, T | None], None]
#: Makes the parts of a new object, beside those it shares with its former self, one with equal ones; see `interning`.
Compact = Callable[[T, T | None], None]


class Store(Generic[T]):
    """Objects by key (`namespace/name`, or `name`); what it gives out is frozen and may be kept."""

    def __init__(
        self, indexes: Mapping[str, IndexFunction[T]] | None = None, compact: Compact[T] | None = None
    ) -> None:
        self._objects: dict[str, T] = {}
        self._indexes = {name: _Index(function) for name, function in (indexes or {}).items()}
        self._compact = compact
        self._handlers: list[Handler[T]] = []

    # For readers -------------------------------------------------------------------------------------------------

    def get(self, key: str) -> T | None:
        """The object of that key, if there is one."""
        return self._objects.get(key)

    def values(self) -> Collection[T]:
        """All objects; a live view, so copy it before waiting for anything."""
        return self._objects.values()

    def keys(self) -> Collection[str]:
        """All keys; a live view."""
        return self._objects.keys()

    def index(self, name: str, value: str) -> list[T]:
        """The objects that index `name` puts under `value`, oldest in the store first."""
        objects = self._objects
        return [objects[key] for key in self._indexes[name].keys_of(value)]

    def count(self, name: str, value: str) -> int:
        """How many objects index `name` puts under `value`."""
        return self._indexes[name].count(value)

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def subscribe(self, handler: Handler[T], *, replay: bool = True) -> None:
        """Call `handler` after each change from now on, and, to `replay`, now once for every object that is there."""
        self._handlers.append(handler)
        if replay:
            for each in list(self._objects.values()):
                handler(None, each)

    # For the reflector -------------------------------------------------------------------------------------------

    def put(self, new: T) -> None:
        """Take in an object as some event or list showed it. One that is older than what is held is ignored."""
        thing: Any = new
        seen = thing.metadata
        key = f"{seen.namespace}/{seen.name}" if seen.namespace else seen.name
        held: Any = self._objects.get(key)
        if held is None:
            self._add(key, new)
            return
        known = held.metadata
        if seen.resource_version == known.resource_version or is_older(seen.resource_version, known.resource_version):
            return
        if seen.uid != known.uid:
            # Deleted and made again under the same name while nobody watched: two different objects.
            self.remove(key)
            self._add(key, new)
        else:
            self._update(key, held, new)

    def take(self, new: T) -> None:
        """Take in what another store has judged to be new, and may share parts with what is held here: no comparing."""
        thing: Any = new
        key = thing.metadata.key
        held = self._objects.get(key)
        if held is None:
            self._add(key, new)
        else:
            self._change(key, held, new)

    def _add(self, key: str, new: T) -> None:
        if self._compact is not None:
            self._compact(new, None)
        self._objects[key] = new
        for each in self._indexes.values():
            each.add(key, new)
        for handler in self._handlers:
            handler(None, new)

    def _update(self, key: str, held: Any, new: Any) -> None:
        if _differs(held, new):
            if self._compact is not None:
                self._compact(new, held)
            self._change(key, held, new)

    def _change(self, key: str, held: Any, new: Any) -> None:
        self._objects[key] = new
        for each in self._indexes.values():
            each.move(key, held, new)
        for handler in self._handlers:
            handler(held, new)

    def remove(self, key: str, resource_version: str = "") -> None:
        """Forget an object; unless what is held is newer than the version that was deleted."""
        held: Any = self._objects.get(key)
        if held is None or is_older(resource_version, held.metadata.resource_version):
            return
        del self._objects[key]
        for each in self._indexes.values():
            each.remove(key, held)
        for handler in self._handlers:
            handler(held, None)

    def keep_only(self, keys: Collection[str]) -> None:
        """Forget what a complete list did not show: the deletes that nobody saw happen."""
        for key in [key for key in self._objects if key not in keys]:
            self.remove(key)

    def forget_versions(self) -> None:
        """Take whatever comes next as newer: the API server itself went back in time (restored from a backup)."""
        for each in self._objects.values():
            thing: Any = each
            force_setattr(thing.metadata, "resource_version", "")


def _differs(held: Any, new: Any) -> bool:
    """Whether the two differ beside their resourceVersion.

    Parts that are equal become one on the way, so an update costs memory only for what it changed. That includes
    metadata: where only its resourceVersion differs, `held` takes that over.
    """
    differs = False
    metadata = held.metadata
    version = metadata.resource_version
    force_setattr(metadata, "resource_version", new.metadata.resource_version)
    for name in new.__struct_fields__:
        part = getattr(held, name)
        if part == getattr(new, name):
            force_setattr(new, name, part)
        else:
            differs = True
    if new.metadata is not metadata:
        force_setattr(metadata, "resource_version", version)
    return differs


def is_older(version: str, than: str) -> bool:
    """Whether one resourceVersion is older than another; they are comparable integers (KEP-5504), or unknown."""
    if not (version.isdigit() and than.isdigit()):
        return False
    return version < than if len(version) == len(than) else len(version) < len(than)


class _Index(Generic[T]):
    """Which keys each value has. Values are computed again from the old object, rather than kept."""

    __slots__ = ("_function", "_keys")

    def __init__(self, function: IndexFunction[T]) -> None:
        self._function = function
        # Dicts as ordered sets: what an index gives must not depend on hashes.
        self._keys: dict[str, dict[str, None]] = {}

    def keys_of(self, value: str) -> Iterable[str]:
        return self._keys.get(value, ())

    def count(self, value: str) -> int:
        return len(self._keys.get(value, ()))

    def add(self, key: str, thing: T) -> None:
        for value in self._function(thing):
            self._keys.setdefault(value, {})[key] = None

    def remove(self, key: str, thing: T) -> None:
        for value in self._function(thing):
            keys = self._keys.get(value, {})
            keys.pop(key, None)
            if not keys:
                self._keys.pop(value, None)

    def move(self, key: str, old: T, new: T) -> None:
        before, after = list(self._function(old)), list(self._function(new))
        if before != after:
            self.remove(key, old)
            self.add(key, new)
