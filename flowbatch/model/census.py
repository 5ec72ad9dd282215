"""Which shapes ask for shared devices, and how often: the past as a guess at what will come.

Every pod counts once, when it is first seen. Old counts fade: each time so many pods have been seen, all are halved.
Policies keep what they derive from the counts here, because they have no state of their own.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar

from flowbatch.model.shapes import ShapeSpec

T = TypeVar("T")

#: Counts are halved when they add up to this.
FADE_AT = 8192
#: Once there are many, what is derived from the counts follows every so many pods.
EPOCH_PODS = 64


class Census:
    """Counts by shape."""

    def __init__(self) -> None:
        self.counts: dict[ShapeSpec, float] = {}
        self.total = 0.0
        #: Grows when the counts have moved enough to look again: with each doubling, then every `EPOCH_PODS`.
        self.epoch = 0
        self._since = 0
        self._derived: dict[Hashable, tuple[Hashable, object]] = {}

    def note(self, spec: ShapeSpec) -> None:
        """One more pod of `spec`."""
        self.counts[spec] = self.counts.get(spec, 0.0) + 1.0
        self.total += 1.0
        self._since += 1
        if self._since >= min(EPOCH_PODS, max(1.0, self.total / 2)):
            self._since = 0
            self.epoch += 1
        if self.total >= FADE_AT:
            self.counts = {each: count / 2 for each, count in self.counts.items() if count >= 1.0}
            self.total = sum(self.counts.values())

    def derived(self, who: Hashable, version: Hashable, make: Callable[[], T]) -> T:
        """What `make` gave last time, as long as `version` is the same."""
        known = self._derived.get(who)
        if known is None or known[0] != version:
            known = self._derived[who] = (version, make())
        return known[1]  # type: ignore[return-value]  # what `make` of the same `who` made
