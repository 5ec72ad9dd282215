"""What a queue's state should be: a pure function of the queue, its parent, its PodGroups and its Commands.

Volcano's rules (volcano.md 6.1) as a level: closing a queue that still has unfinished PodGroups makes it Closing, and
Closed once the last has finished; a closed parent closes its open children and marks them; an open parent opens those
it marked, and no others. A parent still closed keeps its children closed, whatever they are told.
"""

from collections.abc import Iterable, Sequence

import msgspec

from flowbatch.api.bus import Command
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import CLOSED, CLOSED_BY_PARENT, ROOT_QUEUE
from flowbatch.api.scheduling import PodGroup, Queue

OPEN_ACTION, CLOSE_ACTION = "OpenQueue", "CloseQueue"
_SHUT = ("Closing", "Closed")
#: PodGroup phases and the status field that counts each; no phase yet counts as pending.
_COUNTED = {
    "": "pending",
    "Pending": "pending",
    "Inqueue": "inqueue",
    "Running": "running",
    "Unknown": "unknown",
    "Completed": "completed",
}


class Verdict(msgspec.Struct, frozen=True):
    """What a queue should look like: merge patches for the object and its status (empty: right already)."""

    object_patch: JsonObject
    status_patch: JsonObject
    #: The state is not what it was: to be written at once, not with the next counts.
    urgent: bool
    #: Which goes first. A mark must be on before the state it explains, and off after it: a crash between the two
    #: then never leaves a queue that seems closed by its own account.
    status_first: bool
    notes: tuple[tuple[str, str], ...] = ()


def judge(queue: Queue, parent: Queue | None, groups: Iterable[PodGroup], commands: Sequence[Command]) -> Verdict:
    """The verdict on `queue`; `commands` are those aimed at it, oldest first."""
    counts = count(groups)
    shut_by_parent = parent is not None and parent.status.state in _SHUT
    shut_itself, notes = _shut_itself(queue, commands, shut_by_parent=shut_by_parent)
    marked = shut_by_parent and not shut_itself
    shut = shut_itself or shut_by_parent
    state = "Open" if not shut else "Closing" if unfinished(counts) else "Closed"
    return Verdict(
        _object_patch(queue, marked=marked),
        _status_patch(queue, state, counts),
        urgent=state != queue.status.state,
        status_first=not marked,
        notes=tuple(notes),
    )


def _shut_itself(
    queue: Queue, commands: Sequence[Command], *, shut_by_parent: bool
) -> tuple[bool, list[tuple[str, str]]]:
    """Whether the queue is shut by its own account, and what there is to say about refused Commands."""
    shut = queue.status.state in _SHUT and CLOSED_BY_PARENT not in queue.metadata.annotations
    notes: list[tuple[str, str]] = []
    for command in commands:
        if command.action == CLOSE_ACTION and queue.metadata.name == ROOT_QUEUE:
            notes.append(("CloseRefused", "the root queue cannot be closed"))
        elif command.action == CLOSE_ACTION:
            shut = True
        elif command.action == OPEN_ACTION and shut_by_parent:
            notes.append(("OpenRefused", f"the parent queue {queue.spec.parent} is closed: open it first"))
        elif command.action == OPEN_ACTION:
            shut = False
        else:
            notes.append(("UnknownAction", f"a queue knows OpenQueue and CloseQueue, not {command.action[:80]!r}"))
    level = queue.metadata.annotations.get(CLOSED)
    if level is not None and queue.metadata.name != ROOT_QUEUE:
        shut = level == "true"
    return shut, notes


def count(groups: Iterable[PodGroup]) -> dict[str, int]:
    """PodGroups by phase, under the names of QueueStatus."""
    counts = dict.fromkeys(_COUNTED.values(), 0)
    for group in groups:
        counts[_COUNTED.get(group.status.phase, "unknown")] += 1
    return counts


def unfinished(counts: dict[str, int]) -> bool:
    """Whether any PodGroup still holds the queue open; finished ones stay around as long as their jobs do."""
    return any(number for name, number in counts.items() if name != "completed")


def _object_patch(queue: Queue, *, marked: bool) -> JsonObject:
    patch: JsonObject = {}
    if (CLOSED_BY_PARENT in queue.metadata.annotations) != marked:
        patch["metadata"] = {"annotations": {CLOSED_BY_PARENT: "true" if marked else None}}
    if not queue.spec.parent and queue.metadata.name != ROOT_QUEUE:
        patch["spec"] = {"parent": ROOT_QUEUE}
    return patch


def _status_patch(queue: Queue, state: str, counts: dict[str, int]) -> JsonObject:
    status = queue.status
    patch: JsonObject = {name: number for name, number in counts.items() if getattr(status, name) != number}
    if status.state != state:
        patch["state"] = state
    if patch and not status.allocated:
        # Volcano's own CRD demands the field of every status. The scheduler fills it; an empty merge erases nothing.
        patch["allocated"] = {}
    return {"status": patch} if patch else {}
