"""Statuses computed but not yet written: the place where a burst of changes becomes one write.

A one-pod job that runs for a moment passes through three phases; a big gang's counts change with every pod. Written
each time, they would cost more than the pods. So what is no end and pays for no action may wait a little, and the
next reconcile continues from it as if it had been written. A crash forgets a draft; what it said is computed again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from flowbatch.api.batch import JobStatus
from flowbatch.controllers.difference import wire_difference
from flowbatch.controllers.settings import Settings
from flowbatch.workload import ledger

#: Phases that may wait to be written. All others end something or ended it.
_MAY_WAIT = ("", "Pending", "Running")
_COUNTS = ("pending", "running", "succeeded", "failed", "terminating", "unknown", "task_status_count")
#: What the ledger says of pods that can be seen again; the rest of it pays for actions or dates timers.
_SEEN_AGAIN: dict[str, Any] = {"launched": {}, "done": {}, "fired": ()}


@dataclass(slots=True)
class Draft:
    """The status that the job should have, and when it must be on the server."""

    uid: str
    status: JobStatus
    due: float


class Drafts:
    """The draft of each job that has one."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float]) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._of: dict[str, Draft] = {}
        #: How many writes in a row have changed nothing but counts.
        self._streak: dict[str, int] = {}
        self.saved = 0

    def __len__(self) -> int:
        return len(self._of)

    def status(self, key: str, uid: str, written: JobStatus) -> JobStatus:
        """The status to go on from: the draft if there is one, else what the server has."""
        draft = self._of.get(key)
        if draft is not None and draft.uid != uid:
            del self._of[key]
            draft = None
        return written if draft is None else draft.status

    def keep(self, key: str, uid: str, written: JobStatus, wanted: JobStatus) -> float:
        """Hold `wanted` back; gives the seconds until it must be written (0: now)."""
        now = self._monotonic()
        draft = self._of.get(key)
        due = now + self._delay_s(key, written, wanted)
        if draft is not None:
            self.saved += draft.status != wanted
            due = min(due, draft.due)
        self._of[key] = Draft(uid, wanted, due)
        return max(0.0, due - now)

    def _delay_s(self, key: str, written: JobStatus, wanted: JobStatus) -> float:
        if not only_counts(written, wanted):
            return self._settings.phase_delay_s
        doubled = self._settings.counts_delay_s * (1 << min(self._streak.get(key, 0), 10))
        return min(doubled, self._settings.counts_longest_s)

    def written(self, key: str, before: JobStatus, after: JobStatus) -> None:
        """`after` is on the server in place of `before`."""
        self._of.pop(key, None)
        self._streak[key] = self._streak.get(key, 0) + 1 if only_counts(before, after) else 0

    def drop(self, key: str) -> None:
        """The server has, after all, what the draft says."""
        self._of.pop(key, None)

    def forget(self, key: str) -> None:
        """The job is gone."""
        self._of.pop(key, None)
        self._streak.pop(key, None)


def may_wait(written: JobStatus, wanted: JobStatus) -> bool:
    """Whether nobody is hurt if `wanted` is written a little later: no end, no retry, no new version."""
    return (
        wanted.state.phase in _MAY_WAIT
        and written.state.phase in _MAY_WAIT
        and wanted.version == written.version
        and wanted.retry_count == written.retry_count
        and _lasting(written) == _lasting(wanted)
    )


def only_counts(written: JobStatus, wanted: JobStatus) -> bool:
    """Whether two statuses differ in numbers of pods alone."""
    if _notes(written) != _notes(wanted) or _lasting(written) != _lasting(wanted):
        return False
    counts = {name: getattr(wanted, name) for name in _COUNTS}
    levelled = replace(written, **counts, controlled_resources=wanted.controlled_resources)
    return not wire_difference(levelled, wanted)


def _lasting(status: JobStatus) -> ledger.Ledger:
    """The part of the ledger that cannot be seen again."""
    return replace(ledger.read(status), **_SEEN_AGAIN)


def _notes(status: JobStatus) -> dict[str, str]:
    """What the status notes of support objects."""
    return {name: note for name, note in status.controlled_resources.items() if name != ledger.KEY}
