"""What actions do to a job: raise floors so that pods become leftovers, forget what was of them, change the phase.

Nothing here deletes a pod. The floor, the retry that pays for it and the phase are one status write; whatever is below
the floor is deleted by this turn or by any later one, after a crash too.
"""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from flowbatch.workload.census import partition_scope, pod_scope
from flowbatch.workload.changes import Note
from flowbatch.workload.ledger import packed
from flowbatch.workload.policies import Happening
from flowbatch.workload.reconcile.lessons import hold_back
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.vocabulary import Action


def halt(turn: Turn, reason: str, message: str) -> None:
    """Stop what runs, keep what has finished, and stay down."""
    _keep_done(turn)
    _soft(turn, "AbortJob", reason, message)


def complete_job(turn: Turn, happening: Happening) -> None:
    """Stop what runs: the job has done its work."""
    _keep_done(turn)
    _announce(turn, "CompleteJob", happening)
    _soft(turn, "CompleteJob", happening.event, f"{happening}: CompleteJob")


def terminate_job(turn: Turn, happening: Happening) -> None:
    """Stop what runs, for good."""
    _keep_done(turn)
    _announce(turn, "TerminateJob", happening)
    _soft(turn, "TerminateJob", happening.event, f"{happening}: TerminateJob")


def abort_job(turn: Turn, happening: Happening) -> None:
    """Stop what runs until somebody resumes the job."""
    _announce(turn, "AbortJob", happening)
    halt(turn, happening.event, f"{happening}: AbortJob")


def restart_job(turn: Turn, happening: Happening, *, charge: bool) -> None:
    """Delete every pod and begin again, if there are retries left; else keep finished pods for their logs."""
    spent = _pay(turn, [happening], {"": happening.task}, charge=charge)
    _announce(turn, "RestartJob", happening)
    version = turn.new_version()
    turn.remember(launched={}, timers={}, fired=(), cause=_cause(happening))
    if not spent:
        turn.remember(floors={"": version}, done={})
    turn.obey("RestartJob", happening.event, f"{happening}: RestartJob")


def restart_targets(turn: Turn, targets: dict[str, Happening], *, charge: bool) -> None:
    """Delete the pods of some scopes (see `Ledger.floors`) and begin those again, for one retry together."""
    reasons = list(targets.values())
    spent = _pay(turn, reasons, {scope: each.task for scope, each in targets.items()}, charge=charge)
    version = turn.new_version()
    if not spent:
        raise_floors(turn, targets, version)
    first = reasons[0]
    more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    message = f"{first}: restart of {', '.join(list(targets)[:3])}{more}"
    turn.notes.append(Note("Warning", "RestartPods", message))
    turn.remember(cause=_cause(first))
    turn.obey("RestartPod", first.event, message)


def raise_floors(turn: Turn, scopes: Iterable[str], version: int) -> None:
    """Make every present pod of `scopes` a leftover, and forget what was known of their places."""
    wanted = list(scopes)
    floors = {**turn.ledger.floors, **dict.fromkeys(wanted, version)}
    turn.remember(
        floors=floors,
        launched=_without(turn, "launched", wanted),
        done=_without(turn, "done", wanted),
        timers={key: due for key, due in turn.ledger.timers.items() if not _concerns(turn, key, wanted)},
    )


def resume(turn: Turn) -> None:
    """Bring a halted job back: succeeded work stays, the rest begins again, and it costs no retry."""
    version = turn.new_version()
    turn.remember(floors={"": version}, launched={}, timers={}, fired=(), holds={}, started=0, suspended=False)
    turn.obey("ResumeJob", "Resumed", "")


def _soft(turn: Turn, action: Action, reason: str, message: str) -> None:
    turn.new_version()
    turn.remember(launched={}, timers={}, fired=())
    turn.obey(action, reason, message)


def _keep_done(turn: Turn) -> None:
    """Note which indexes have succeeded: their pods may go, their success stays."""
    turn.remember(done=packed(turn.census.done))


def _pay(turn: Turn, reasons: list[Happening], scopes: dict[str, str], *, charge: bool) -> bool:
    """Count a retry, which waits its turn, or an infrastructure failure; gives whether that was the last retry."""
    if all(each.infrastructure for each in reasons):
        turn.remember(infrastructure=turn.ledger.infrastructure + 1)
        return False
    if charge:
        turn.status = replace(turn.status, retry_count=turn.status.retry_count + 1)
    spent = turn.status.retry_count >= turn.terms.max_retry
    if charge and not spent:
        hold_back(turn, scopes)
    return spent


def _announce(turn: Turn, action: str, happening: Happening) -> None:
    turn.notes.append(Note("Normal" if action == "CompleteJob" else "Warning", action, f"{happening}: {action}"))
    turn.remember(cause=_cause(happening))


def _cause(happening: Happening) -> str:
    return f"{happening.uid or happening.key}/{happening.event}/{happening.version}"


def _without(turn: Turn, field: str, scopes: list[str]) -> dict[str, str]:
    kept = {}
    for name, task in turn.census.tasks.items():
        size = task.partition_policy.partition_size if task.partition_policy else 0
        out = _inside(name, size, scopes)
        kept[name] = {index for index in turn.ledger.indexes(field, name) if not out(index)}
    return packed(kept)


def _inside(task: str, size: int, scopes: list[str]) -> Callable[[int], bool]:
    wanted = set(scopes)

    def inside(index: int) -> bool:
        scope = partition_scope(task, index // size) if size > 0 else ""
        return task in wanted or pod_scope(task, index) in wanted or (bool(scope) and scope in wanted)

    return inside


def _concerns(turn: Turn, key: str, scopes: list[str]) -> bool:
    """Whether the timer of that key is about a pod or task inside `scopes`."""
    _, task, *rest = key.split("|")
    if task not in turn.census.tasks:
        return False
    policy = turn.census.tasks[task].partition_policy
    inside = _inside(task, policy.partition_size if policy else 0, scopes)
    return inside(int(rest[0])) if rest and rest[0].isdigit() else task in scopes
