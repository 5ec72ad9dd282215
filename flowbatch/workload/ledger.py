"""What a job's controller must remember and cannot see: kept in the job's status, so that any successor knows it.

It lives as JSON under one key of `status.controlledResources`, a free map that Volcano's CRD serves as well as ours.
It is written by the same patch that changes the phase, so an action and its record cannot come apart.
"""

import msgspec

from flowbatch.api.batch import JobStatus
from flowbatch.workload.ranges import from_text, to_text

KEY = "flowbatch.dev/ledger"


class Ledger(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Everything here is a level; absent means none."""

    #: Scope -> version: a pod of the scope with an older version is a leftover. Scopes: "" (the job), "task",
    #: "task/partition", "task#index".
    floors: dict[str, int] = {}
    #: Task -> indexes whose pod has been seen alive: if it is gone and we did not end it, it was evicted.
    launched: dict[str, str] = {}
    #: Task -> indexes that have succeeded in this run of the job, whether their pod still exists or not.
    done: dict[str, str] = {}
    #: "event|task|index" -> epoch seconds at which its policy acts.
    timers: dict[str, int] = {}
    #: Conditions that still hold and have been acted on ("Unknown", "TaskCompleted|worker").
    fired: tuple[str, ...] = ()
    #: Uids of Commands that have been carried out and may still exist.
    orders: tuple[str, ...] = ()
    #: metadata.generation that policies on JobUpdated have seen.
    generation: int = 0
    #: Failures that were not the user's: evictions, lost nodes, kubelets that refused.
    infrastructure: int = 0
    #: "uid/event/version" of the last action: who caused it.
    cause: str = ""
    #: Scope (as in floors) -> epoch seconds before which none of its pods is made: the back-off of a retry.
    holds: dict[str, int] = {}
    #: Nodes on which pods have failed and that new ones keep off, the newest last.
    avoided: tuple[str, ...] = ()
    #: Epoch seconds of the first Running since the job was made or resumed, where a deadline counts from it.
    started: int = 0
    #: "task|container" -> how often its memory has been raised after an OOM kill.
    raised: dict[str, int] = {}
    #: The job is down because of the suspension level, and comes back with it.
    suspended: bool = False

    def indexes(self, field: str, task: str) -> set[int]:
        """The indexes of `task` in `launched` or `done`."""
        ranges: dict[str, str] = getattr(self, field)
        return from_text(ranges.get(task, ""))


_DECODER = msgspec.json.Decoder(Ledger)


def read(status: JobStatus) -> Ledger:
    """The ledger of a job; one that cannot be read is an empty one, and the job goes on from what is to be seen."""
    text = status.controlled_resources.get(KEY)
    if not text:
        return Ledger()
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:
        return Ledger()


def write(controlled: dict[str, str], ledger: Ledger) -> dict[str, str]:
    """`controlled` with the ledger in it, or without it if there is nothing to remember."""
    rest = {key: value for key, value in controlled.items() if key != KEY}
    text = msgspec.json.encode(ledger, order="sorted").decode()
    return {**rest, KEY: text} if text != "{}" else rest


def packed(sets: dict[str, set[int]]) -> dict[str, str]:
    """Task -> set as task -> text, without empty ones."""
    return {task: to_text(indexes) for task, indexes in sorted(sets.items()) if indexes}
