"""Which labels of pods anybody asks for. The engine is told only those: all of them would be most of what a pod is.

Selectors (of affinity terms, spread constraints, disruption budgets) mention keys. The set only grows: a key that
nobody mentions any more costs a few bytes, and forgetting it would mean counting who still does.
"""

from collections.abc import Iterable, Mapping

#: Sorted pairs.
LabelPairs = tuple[tuple[str, str], ...]


class MentionedLabels:
    """The keys that selectors mention, and the labels of pods cut down to them; equal cuts are one object."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}
        self._fresh: list[str] = []
        self._cuts: dict[LabelPairs, LabelPairs] = {}

    def mention(self, keys: Iterable[str]) -> None:
        """Some selector asks for these."""
        for key in keys:
            if key not in self._keys:
                self._keys[key] = None
                self._fresh.append(key)

    def fresh(self) -> list[str]:
        """Keys mentioned for the first time since the last call: pods that have them are to be told anew."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def of(self, labels: Mapping[str, str]) -> LabelPairs:
        """The mentioned ones among `labels`, sorted."""
        if not self._keys or not labels:
            return ()
        cut = tuple(sorted((key, labels[key]) for key in self._keys if key in labels))
        return self._cuts.setdefault(cut, cut)
