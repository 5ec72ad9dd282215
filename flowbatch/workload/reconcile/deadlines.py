"""Ends that come with time: a job that runs too long fails, one that has ended (or is suspended) long enough goes.

All moments are counted from what the job's status says, so they are the same for whoever looks, whenever.
"""

from datetime import UTC, datetime, timedelta

from flowbatch.workload.changes import Delete
from flowbatch.workload.lifecycle import ACTIVE, FINISHED, Phase
from flowbatch.workload.reconcile.turn import Turn


def keep_deadline(turn: Turn) -> None:
    """Fail a job that has run for its `activeDeadlineSeconds`; time before its start and time suspended are free."""
    deadline_s = turn.job.spec.active_deadline_seconds
    if deadline_s is None or turn.phase not in ACTIVE:
        return
    if not turn.ledger.started:
        if turn.phase is not Phase.RUNNING:
            return
        turn.remember(started=int(turn.now.timestamp()))
    due = datetime.fromtimestamp(turn.ledger.started, UTC) + timedelta(seconds=deadline_s)
    if due > turn.moment:
        turn.wake(due)
    else:
        turn.enter(Phase.FAILED, "DeadlineExceeded", f"has run for its activeDeadlineSeconds ({deadline_s})")


def expire(turn: Turn) -> None:
    """Delete the job itself when its time after the end is up, and with it all it owns."""
    ttl, since = _time_to_live(turn), turn.status.state.last_transition_time
    if ttl is None or since is None:
        return
    moment = since + timedelta(seconds=ttl)
    if moment > turn.moment:
        turn.wake(moment)
        return
    meta = turn.job.metadata
    turn.deletes.append(Delete("Job", meta.namespace, meta.name, meta.uid, foreground=True))


def _time_to_live(turn: Turn) -> int | None:
    if turn.phase in FINISHED:
        return turn.job.spec.ttl_seconds_after_finished
    return turn.job.spec.ttl_seconds_after_suspended if turn.phase is Phase.ABORTED else None
