"""Suspension as a level, and Commands that set it or order something else.

A Command is carried out and then deleted (Volcano deletes it first, and loses it in a crash). Its uid stays in the
ledger until it is gone, so that carrying it out twice does nothing.
"""

from collections.abc import Iterator

from flowbatch.api.bus import Command
from flowbatch.workload.changes import Delete, Note, Patch
from flowbatch.workload.lifecycle import ACTIVE, FINISHED, HALTED, Phase, after_action
from flowbatch.workload.policies import Happening
from flowbatch.workload.reconcile.kills import complete_job, halt, restart_job, resume, terminate_job
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.suspension import suspended, suspension_patch
from flowbatch.workload.vocabulary import SUSPENDED_REASON

COMMAND_ISSUED = "CommandIssued"


def follow_orders(turn: Turn) -> None:
    """Obey the suspension level and all Commands."""
    wish = _wish(turn)
    level = suspended(turn.job)
    if turn.phase not in FINISHED:
        if wish is not None and wish != level:
            _set_level(turn, wish)
        _keep_level(turn, level if wish is None else wish, resumed=wish is False)
        for command in _fresh(turn):
            _obey(turn, command)
    _close(turn)


def _sorted(turn: Turn) -> list[Command]:
    def age(command: Command) -> tuple[str, str]:
        created = command.metadata.creation_timestamp
        return (created.isoformat() if created else "", command.metadata.name)

    return sorted(turn.children.commands, key=age)


def _wish(turn: Turn) -> bool | None:
    """What the newest Command about suspension wants; None if there is none."""
    wishes = {"AbortJob": True, "ResumeJob": False}
    said = [wishes[each.action] for each in _sorted(turn) if each.action in wishes]
    return said[-1] if said else None


def _set_level(turn: Turn, suspend: bool) -> None:
    """Write the level where the next look at the job will find it."""
    served = turn.served or frozenset()
    body = suspension_patch(suspend, served)
    if not suspend and turn.job.spec.suspend:
        body["spec"] = {"suspend": False}
    meta = turn.job.metadata
    turn.patches.append(Patch("Job", meta.namespace, meta.name, body, meta.uid))


def _keep_level(turn: Turn, suspend: bool, *, resumed: bool) -> None:
    """Bring the job down, or back, by its own level (`suspend`) and that of its queue."""
    queue = turn.children.suspended_queue
    if turn.phase in HALTED and not (suspend or turn.ledger.suspended or resumed):
        # Aborted by a policy: from here on that is a suspension like any other, and ends like one.
        _set_level(turn, True)
    elif suspend or queue:
        if turn.phase in ACTIVE:
            halt(turn, SUSPENDED_REASON, _why_suspended("" if suspend else queue))
        if turn.phase in HALTED and not turn.ledger.suspended:
            turn.remember(suspended=True)
        if resumed:
            turn.notes.append(Note("Warning", "StillSuspended", _why_suspended(queue)))
    elif turn.phase in HALTED:
        resume(turn)


def _why_suspended(queue: str) -> str:
    if not queue:
        return "suspended: it holds no pods and no queue room"
    return f"suspended with queue {queue}; resume that: flowbatch resume queue/{queue}"


def _fresh(turn: Turn) -> Iterator[Command]:
    for command in _sorted(turn):
        if command.metadata.uid not in turn.ledger.orders and command.action not in ("AbortJob", "ResumeJob"):
            turn.remember(orders=(*turn.ledger.orders, command.metadata.uid))
            yield command


def _obey(turn: Turn, command: Command) -> None:
    happening = Happening(COMMAND_ISSUED, uid=command.metadata.uid, version=turn.status.version)
    action = command.action
    if action == "RestartJob" and after_action(turn.phase, "RestartJob"):
        restart_job(turn, happening, charge=True)
    elif action == "TerminateJob" and after_action(turn.phase, "TerminateJob"):
        terminate_job(turn, happening)
    elif action == "CompleteJob" and after_action(turn.phase, "CompleteJob"):
        complete_job(turn, happening)
    elif action not in ("SyncJob", "EnqueueJob"):
        said = f"{action} means nothing for a job that is {turn.phase or Phase.PENDING}"
        turn.notes.append(Note("Warning", "CommandIgnored", said))


def _close(turn: Turn) -> None:
    """Delete what has been carried out; forget the uids of Commands that are gone."""
    for command in _sorted(turn):
        meta = command.metadata
        turn.deletes.append(Delete("Command", meta.namespace, meta.name, meta.uid))
    alive = {each.metadata.uid for each in turn.children.commands}
    if any(uid not in alive for uid in turn.ledger.orders):
        turn.remember(orders=tuple(uid for uid in turn.ledger.orders if uid in alive))
