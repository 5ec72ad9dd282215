"""Evictions for nobody's sake (Volcano: shuffle): sources are asked in turn, each at its own pace."""

from collections.abc import Iterator, Sequence

from flowbatch.engine.candidates import EVICTABLE
from flowbatch.engine.guard import Guard
from flowbatch.model.gangs import Task
from flowbatch.model.ids import Instant, PodUid
from flowbatch.model.view import View
from flowbatch.policy.policy import Policy
from flowbatch.policy.victims import Conformance, WithinBudget


class Shuffle:
    """When each source is asked next, and what is spared whatever it says."""

    def __init__(self, view: View, policy: Policy, guard: Guard) -> None:
        self._view = view
        self._guard = guard
        self._sources = policy.shufflers if "shuffle" in policy.actions else ()
        self._due: list[Instant] = [Instant(0)] * len(self._sources)
        #: Those that named somebody last time: they may name more when it is their turn, whatever happens.
        self._busy = [False] * len(self._sources)

    def victims(self, now: Instant) -> Iterator[Task]:
        """Who goes now. Ask for the next one only when the last has been told to go."""
        for place, source in enumerate(self._sources):
            if self._due[place] <= now:
                self._due[place] = Instant(now + max(1, source.every_ms))
                named = self._guard.call(source, source.victims, (), self._view)
                self._busy[place] = bool(named)
                yield from self._of(named)

    def hurry(self) -> None:
        """A policy has changed its mind by the clock: every source is asked at once."""
        self._due = [Instant(0)] * len(self._sources)

    def _of(self, named: Sequence[Task]) -> Iterator[Task]:
        seen: dict[PodUid, None] = {}
        for task in named:
            if task.fact.uid not in seen and self._may_go(task):
                seen[task.fact.uid] = None
                yield task

    def _may_go(self, task: Task) -> bool:
        gang, fact = task.gang, task.fact
        if task.state not in EVICTABLE or gang is None or gang.fact is None or gang.fact.preemptable is False:
            return False
        if not fact.preemptable or self._view.now < task.spared_until:
            return False
        return all(each.spares(task, gang, self._view) is None for each in (Conformance(), WithinBudget()))

    def wake_at(self) -> Instant | None:
        """When the next source is due that has something to do; an idle one waits for something to happen."""
        return min((due for due, busy in zip(self._due, self._busy, strict=True) if busy), default=None)
