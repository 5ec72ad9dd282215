"""What to do about a job now: everything that has to happen, as one value, computed from what there is.

Level-triggered and idempotent: nothing is heard, everything is seen; a settled job yields `Changes.empty`; a crash
between any two writes loses nothing, because what pays for an action is written before it and what remains to be done
can be seen. Nothing here waits, asks the time, or talks to anyone.
"""

from datetime import datetime

from flowbatch.api.batch import Job
from flowbatch.api.kinds import manifest
from flowbatch.workload.census import Children
from flowbatch.workload.changes import Changes, Note
from flowbatch.workload.dependencies import held_tasks, hopeless_members
from flowbatch.workload.effective import effective
from flowbatch.workload.expand.support import needs_keys
from flowbatch.workload.lifecycle import ACTIVE, Phase, after_sync
from flowbatch.workload.reconcile.answers import answer_all
from flowbatch.workload.reconcile.deadlines import expire, keep_deadline
from flowbatch.workload.reconcile.group import drop_group
from flowbatch.workload.reconcile.orders import follow_orders
from flowbatch.workload.reconcile.settled import is_settled
from flowbatch.workload.reconcile.summary import summary
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.reconcile.upkeep import keep_up
from flowbatch.workload.roles.contract import SshKeys
from flowbatch.workload.rules import check_job
from flowbatch.workload.staging.outcome import note_data
from flowbatch.workload.staging.pod import IMAGE

__all__ = ["Children", "is_settled", "needs_keys", "reconcile"]

#: New, Pending, Running, an end: no job makes more moves at once.
_MOST_MOVES = 5


def reconcile(
    job: Job,
    children: Children,
    now: datetime,
    keys: SshKeys | None = None,
    *,
    served: frozenset[str] | None = None,
    staging_image: str = IMAGE,
) -> Changes:
    """The changes that `job` calls for.

    `keys`: an ssh key pair, wanted while `needs_keys(job)`. `served`: the optional fields that the cluster's schemas
    know (None: all). `staging_image` runs the program that fetches inputs and stores outputs.
    """
    if job.metadata.deletion_timestamp is not None:
        return Changes()
    turn = Turn(effective(job), children, now, keys, served)
    if turn.phase is Phase.NEW:
        _inspect(turn)
    turn.status = note_data(turn.job, turn.status, turn.census.current)
    follow_orders(turn)
    if turn.phase in ACTIVE and turn.phase is not Phase.NEW:
        answer_all(turn)
    _settle(turn)
    keep_deadline(turn)
    if turn.phase in ACTIVE:
        keep_up(turn, staging_image)
    else:
        _wind_down(turn)
    expire(turn)
    return _changes(turn, job)


def _inspect(turn: Turn) -> None:
    """Refuse a job that no admission has seen and that the rules refuse, before anything is made of it."""
    problems = check_job(manifest(turn.job))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        message = f"{problems[0]}{more}"
        turn.notes.append(Note("Warning", "InvalidSpec", message))
        turn.move(Phase.FAILED, "InvalidSpec", message)


def _settle(turn: Turn) -> None:
    """Make the moves that the pods' states call for. A restart is seen before the job goes on."""
    came_to_restart = turn.phase is Phase.RESTARTING and turn.status.state.reason != "Resumed" and turn.pays
    for _ in range(_MOST_MOVES):
        census = turn.census
        tally = census.tally(hopeless=hopeless_members(census), held=held_tasks(census))
        move = after_sync(turn.phase, tally, turn.terms, turn.status.retry_count)
        if move is None or (came_to_restart and move.phase is Phase.PENDING):
            return
        turn.enter(move.phase, move.reason, move.message)


def _wind_down(turn: Turn) -> None:
    """Stop what still runs; finished pods stay for their logs until the job is deleted."""
    for member in turn.census.members:
        if not member.deleting and not member.ended:
            turn.delete_pod(member)
    drop_group(turn)


def _changes(turn: Turn, job: Job) -> Changes:
    status = summary(turn)
    changed = status != job.status
    return Changes(
        creates=tuple(turn.creates),
        patches=tuple(turn.patches),
        deletes=tuple(turn.deletes),
        status=status if changed else None,
        status_first=changed and (turn.pays or any(each.kind == "Pod" for each in turn.deletes)),
        notes=tuple(turn.notes),
        wake_at=min(turn.wakes, default=None),
    )
