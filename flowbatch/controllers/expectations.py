"""Read your own writes (reliability.md I8): no reconcile of an object while the cache is older than our last write.

Every write leaves an expectation with its owner; the owner is settled once the cache shows all of them. A cache that
lags past a deadline is not trusted and not ignored: the server is asked, and only its answer ends the wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import ObjectMeta, Wire

LOOK_AGAIN_S = 0.25


class Cache(Protocol):
    """What there is to wait for."""

    def look(self, kind: Kind[Any], key: str) -> ObjectMeta | None:
        """The cached metadata of an object."""
        ...

    def watches(self, kind: Kind[Any]) -> bool:
        """Whether writes to this kind come back at all."""
        ...


@dataclass(slots=True)
class Expected:
    """One write that the cache must show: this uid at this version or newer, or this uid gone."""

    kind: Kind[Any]
    key: str
    uid: str
    version: int
    gone: bool
    #: When the server is asked itself; then again after `patience_s`, doubled each time.
    ask_at: float
    patience_s: float

    def shown_by(self, seen: ObjectMeta | None) -> bool:
        """Whether a cache with `seen` under this key has caught up with the write."""
        if self.gone:
            return seen is None or seen.uid != self.uid or seen.deletion_timestamp is not None
        # Versions of one kind are comparable (KEP-5504): another uid is a successor only if it is newer.
        return seen is not None and version_of(seen) >= self.version


class Expectations:
    """Who waits for which writes to come back by the watch."""

    def __init__(self, cache: Cache, monotonic: Callable[[], float], lag_s: float = 5.0) -> None:
        self._cache = cache
        self._monotonic = monotonic
        self._lag_s = lag_s
        self._of: dict[str, dict[tuple[str, str], Expected]] = {}
        self.asked = 0

    def written(self, owner: str, kind: Kind[Any], meta: ObjectMeta) -> None:
        """`owner` created or changed an object, and this is the metadata that came back."""
        self._expect(owner, kind, meta.key, meta.uid, version_of(meta), gone=False)

    def deleted(self, owner: str, kind: Kind[Any], key: str, uid: str) -> None:
        """`owner` asked for the end of the object with this uid."""
        self._expect(owner, kind, key, uid, 0, gone=True)

    def _expect(self, owner: str, kind: Kind[Any], key: str, uid: str, version: int, *, gone: bool) -> None:
        if not self._cache.watches(kind):
            return
        ask_at = self._monotonic() + self._lag_s
        expected = Expected(kind, key, uid, version, gone, ask_at, self._lag_s)
        if not expected.shown_by(self._cache.look(kind, key)):
            self._of.setdefault(owner, {})[kind.kind, key] = expected

    def saw_gone(self, owner: str, kind: Kind[Any], meta: ObjectMeta) -> None:
        """The watch said that this object has been deleted: nothing about it is still to come."""
        pending = self._of.get(owner)
        expected = pending.get((kind.kind, meta.key)) if pending else None
        if pending and expected and (expected.uid == meta.uid or version_of(meta) >= expected.version):
            del pending[kind.kind, meta.key]

    def settled(self, owner: str) -> bool:
        """Whether the cache shows every write of `owner`."""
        pending = self._of.get(owner)
        if not pending:
            return True
        for name in [name for name, each in pending.items() if each.shown_by(self._cache.look(each.kind, each.key))]:
            del pending[name]
        if pending:
            return False
        del self._of[owner]
        return True

    def overdue(self, owner: str) -> list[Expected]:
        """Expectations of `owner` that have lagged too long: ask the server about each, then `answer`."""
        now = self._monotonic()
        return [each for each in self._of.get(owner, {}).values() if each.ask_at <= now]

    def answer(self, owner: str, expected: Expected, live: ObjectMeta | None) -> None:
        """What the server itself shows. Gone or replaced: no event need come. Else the cache is late: wait longer.

        An object that is there after all, and not on its way out, was never deleted: there is nothing to wait for.
        """
        self.asked += 1
        pending = self._of.get(owner, {})
        if pending.get((expected.kind.kind, expected.key)) is not expected:
            return
        undone = expected.gone and live is not None and live.deletion_timestamp is None
        if live is None or live.uid != expected.uid or undone:
            del pending[expected.kind.kind, expected.key]
            return
        expected.patience_s *= 2
        expected.ask_at = self._monotonic() + expected.patience_s

    def wait_s(self, owner: str) -> float:
        """Seconds until to look again. Events usually come first; one that changes no field we read makes none."""
        asks = [each.ask_at for each in self._of.get(owner, {}).values()]
        return min(LOOK_AGAIN_S, max(0.0, min(asks) - self._monotonic())) if asks else 0.0

    def forget(self, owner: str) -> None:
        """`owner` is gone."""
        self._of.pop(owner, None)

    def __len__(self) -> int:
        """Owners that wait."""
        return len(self._of)


def version_of(meta: ObjectMeta) -> int:
    """The resourceVersion as a number; 0 for an object that has none."""
    return int(meta.resource_version) if meta.resource_version.isdecimal() else 0


def metadata_of(value: Wire | None) -> ObjectMeta | None:
    """The metadata of any wire value that has some."""
    meta = getattr(value, "metadata", None)
    return meta if isinstance(meta, ObjectMeta) else None
