"""What phase a PodGroup is in: Volcano's rules, with its known errors put right.

Running: as many members as the minimum have their place, leaving ones included, so a gang that terminates gracefully
stays Running. Completed: nothing waits or runs and as many have finished as are expected, not merely all that were ever
scheduled (volcano#5871). A gang that lost members while it ran is Unknown once it is clear that it cannot be completed
at once: a pod that is merely being replaced does not flap the phase. A gang that lost all of them goes back to Pending.
"""

from flowbatch.model.blockers import Blocker, Gated, NeedsMembers
from flowbatch.model.facts import GangPhase
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import Instant
from flowbatch.model.lifecycle import TaskState

#: A running gang that lacks members for so long is Unknown.
UNKNOWN_AFTER_MS = 2_000


def next_phase(gang: Gang, blocker: Blocker | None, now: Instant) -> GangPhase:
    """The phase that follows from the gang's tasks and its last phase."""
    waiting = len(gang.pending) + gang.gated + gang.held_back
    finished = gang.count(TaskState.SUCCEEDED) + gang.count(TaskState.FAILED)
    scheduled = gang.ready + gang.count(TaskState.RELEASING)
    live = gang.live
    if not live and not waiting and finished and (finished >= expected(gang) or gang.phase == "Completed"):
        return "Completed"
    if scheduled >= max(1, gang.min_members) and (live or waiting):
        return "Running"
    if live or gang.ready:
        return _short(gang, blocker, now)
    return "Inqueue" if gang.phase == "Inqueue" else "Pending"


def expected(gang: Gang) -> int:
    """How many members must have finished."""
    declared = sum(role.declared.count for role in gang.roles.values() if role.declared)
    return max(1, gang.min_members, declared)


def _short(gang: Gang, blocker: Blocker | None, now: Instant) -> GangPhase:
    if gang.phase not in ("Running", "Unknown"):
        return "Inqueue"
    being_replaced = blocker is None or isinstance(blocker, NeedsMembers | Gated)
    late = gang.short_since is not None and now - gang.short_since >= UNKNOWN_AFTER_MS
    if gang.count(TaskState.RUNNING) and (late or not being_replaced):
        return "Unknown"
    return gang.phase


def is_short(gang: Gang) -> bool:
    """It runs with fewer members than its minimum."""
    return gang.phase in ("Running", "Unknown") and 0 < gang.ready + gang.count(TaskState.RELEASING) < gang.min_members
