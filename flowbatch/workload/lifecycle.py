"""The phases of a job, and every move between them: one total table for actions, one function for the rest.

Volcano's machine (volcano.md 4.2, 4.3) with these repairs: an order that arrives while a job restarts is obeyed;
resuming costs no retry; what a dependency holds back for ever ends the job instead of leaving it to hang.
"""

from collections.abc import Mapping, Set
from enum import StrEnum

import msgspec

from flowbatch.workload.vocabulary import Action


class Phase(StrEnum):
    """Where a job is in its life. The empty phase is that of a job nobody has looked at."""

    NEW = ""
    PENDING = "Pending"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    ABORTING = "Aborting"
    ABORTED = "Aborted"
    COMPLETING = "Completing"
    COMPLETED = "Completed"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"
    FAILED = "Failed"


#: Pods are made, and pods' ends are answered by policies.
ACTIVE = frozenset({Phase.NEW, Phase.PENDING, Phase.RUNNING, Phase.RESTARTING})
#: Suspended by a level, a Command or a policy; everything but finished pods is stopped.
HALTED = frozenset({Phase.ABORTING, Phase.ABORTED})
#: Nothing leads out of these; what still runs is stopped, what has finished stays for its logs.
FINISHED = frozenset({Phase.COMPLETED, Phase.TERMINATED, Phase.FAILED})
#: On the way to an end, until the last pod has stopped.
ENDING = {
    Phase.ABORTING: Phase.ABORTED,
    Phase.COMPLETING: Phase.COMPLETED,
    Phase.TERMINATING: Phase.TERMINATED,
}

_RESTARTS: tuple[Action, ...] = ("RestartJob", "RestartTask", "RestartPod", "RestartPartition")
_FROM_ACTIVE: dict[Action, Phase] = {
    **dict.fromkeys(_RESTARTS, Phase.RESTARTING),
    "AbortJob": Phase.ABORTING,
    "CompleteJob": Phase.COMPLETING,
    "TerminateJob": Phase.TERMINATING,
}
_FROM_HALTED: dict[Action, Phase] = {"ResumeJob": Phase.RESTARTING}
_NOTHING: dict[Action, Phase] = {}

#: (phase -> action -> next phase); an action that is not named changes nothing.
MOVES: dict[Phase, dict[Action, Phase]] = {
    phase: _FROM_ACTIVE if phase in ACTIVE else _FROM_HALTED if phase in HALTED else _NOTHING for phase in Phase
}


class Tally(msgspec.Struct, frozen=True):
    """A job's pods in numbers, leftovers of earlier incarnations apart."""

    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    unknown: int = 0
    #: On their way out, and those that this reconcile sends there: their names are taken.
    terminating: int = 0
    #: Those of them that still run.
    stopping: int = 0
    #: Finished pods among the replicas, per task: succeeded only.
    succeeded_by_task: dict[str, int] = {}
    #: Members that a dependency holds back and that can never start.
    hopeless: int = 0
    #: Those of the pending ones that have no node.
    unplaced: int = 0
    #: Tasks without pods, which a dependency holds back.
    held: frozenset[str] = frozenset()
    #: Pods per task that have failed for good: no policy is going to answer that, and nobody replaces them.
    lost_by_task: dict[str, int] = {}

    @property
    def finished(self) -> int:
        """Pods that have ended, either way."""
        return self.succeeded + self.failed

    @property
    def live(self) -> int:
        """Pods that have yet to end."""
        return self.pending + self.running + self.unknown + self.stopping


class Terms(msgspec.Struct, frozen=True):
    """What the spec says that the machine goes by."""

    replicas: int
    min_available: int
    task_minimums: dict[str, int] = {}
    task_replicas: dict[str, int] = {}
    min_success: int | None = None
    max_retry: int = 3


class Move(msgspec.Struct, frozen=True):
    """A phase to be in, and why."""

    phase: Phase
    reason: str = ""
    message: str = ""


def after_action(phase: Phase, action: Action) -> Phase | None:
    """The phase that `action` leads to, or None where it is ignored."""
    return MOVES[phase].get(action)


def after_sync(phase: Phase, tally: Tally, terms: Terms, retry_count: int) -> Move | None:
    """The move that the pods' states call for, or None."""
    match phase:
        case Phase.NEW:
            return Move(Phase.PENDING)
        case Phase.PENDING:
            return Move(Phase.RUNNING) if _started(tally, terms) else _dead_end(tally, terms)
        case Phase.RUNNING:
            return _running(tally, terms)
        case Phase.RESTARTING:
            return _restarting(tally, terms, retry_count)
        case _:
            target = ENDING.get(phase)
            return Move(target) if target is not None and tally.live == 0 else None


def _started(tally: Tally, terms: Terms) -> bool:
    least = least_started(terms.min_available, terms.task_minimums, terms.task_replicas, tally.held)
    return least <= tally.running + tally.finished


def least_started(gang_size: int, minimums: Mapping[str, int], replicas: Mapping[str, int], held: Set[str]) -> int:
    """How many of a job's members must run while the tasks in `held` cannot: the gang without those."""
    if not held:
        return gang_size
    if gang_size >= sum(minimums.values()):
        return max(1, gang_size - sum(minimums[name] for name in held))
    return max(1, min(gang_size, sum(replicas.values()) - sum(replicas[name] for name in held)))


def _dead_end(tally: Tally, terms: Terms) -> Move | None:
    """Everything that could run has ended, and the rest waits for what will not come."""
    if tally.live > tally.unplaced:
        return None
    if tally.hopeless and not tally.live and tally.finished + tally.hopeless >= terms.replicas:
        return Move(Phase.FAILED, "DependencyFailed", "tasks that others wait for have ended without success")
    short = _never_whole(tally, terms) if tally.unplaced else ""
    return Move(Phase.FAILED, "GangBroken", f"{tally.unplaced} pods can no longer start: {short}") if short else None


def _never_whole(tally: Tally, terms: Terms) -> str:
    """Why no scheduler would start what waits: with those that failed, too few are left to start together."""
    lost = sum(tally.lost_by_task.values())
    if lost and terms.replicas - lost < terms.min_available:
        return f"{lost} failed, and {terms.min_available} of {terms.replicas} are needed together"
    if terms.min_available >= sum(terms.task_minimums.values()):
        for task, least in terms.task_minimums.items():
            failed, replicas = tally.lost_by_task.get(task, 0), terms.task_replicas.get(task, 0)
            if failed and replicas - failed < least:
                return f"{failed} of task {task} failed, and {least} of {replicas} are needed together"
    return ""


def _running(tally: Tally, terms: Terms) -> Move | None:
    if terms.replicas == 0:
        return None
    if terms.min_success is not None and tally.succeeded >= terms.min_success:
        return Move(Phase.COMPLETED)
    if tally.finished >= terms.replicas:
        return _verdict(tally, terms)
    if tally.pending > terms.replicas - terms.min_available:
        return Move(Phase.PENDING)
    return _dead_end(tally, terms)


def _verdict(tally: Tally, terms: Terms) -> Move:
    """All pods have ended: well enough?"""
    if terms.min_available >= sum(terms.task_minimums.values()):
        for task, least in terms.task_minimums.items():
            done = tally.succeeded_by_task.get(task, 0)
            if done < least:
                said = f"task {task}: {done} of at least {least} pods succeeded"
                return Move(Phase.FAILED, "TaskBelowMinimum", said)
    if terms.min_success is not None:
        said = f"{tally.succeeded} of at least {terms.min_success} pods succeeded"
        return Move(Phase.FAILED, "BelowMinSuccess", said)
    if tally.succeeded >= terms.min_available:
        return Move(Phase.COMPLETED)
    said = f"{tally.succeeded} of at least {terms.min_available} pods succeeded"
    return Move(Phase.FAILED, "BelowMinAvailable", said)


def _restarting(tally: Tally, terms: Terms, retry_count: int) -> Move | None:
    if retry_count >= terms.max_retry:
        return Move(Phase.FAILED, "RetriesSpent", f"failed {retry_count} times: maxRetry is {terms.max_retry}")
    if terms.replicas - tally.terminating >= terms.min_available:
        return Move(Phase.PENDING)
    return None
