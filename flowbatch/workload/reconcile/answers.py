"""Policies at work: each happening gets its answer, at once or when its timer is due, and never twice."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from flowbatch.workload.census import Member, partition_scope, pod_scope
from flowbatch.workload.ledger import packed
from flowbatch.workload.lifecycle import Phase
from flowbatch.workload.policies import Answer, Happening, answer, listens_to
from flowbatch.workload.reconcile.happenings import happenings
from flowbatch.workload.reconcile.kills import (
    abort_job,
    complete_job,
    raise_floors,
    restart_job,
    restart_targets,
    terminate_job,
)
from flowbatch.workload.reconcile.lessons import holds_back, learn
from flowbatch.workload.reconcile.turn import Turn
from flowbatch.workload.vocabulary import (
    JOB_UPDATED,
    POD_EVICTED,
    POD_FAILED,
    POD_PENDING,
    TASK_COMPLETED,
    TASK_FAILED,
    UNKNOWN,
)

#: A pod that its node refused is replaced when it is this old: a node that refuses at once must not spin us.
REPLACE_AFTER_S = 5
#: Conditions that last: answered when they begin, and again only after they have ended in between.
_LASTING = (UNKNOWN, TASK_COMPLETED, TASK_FAILED)


def answer_all(turn: Turn) -> None:
    """Find what has happened, start and stop timers, and act on what is due."""
    found = happenings(turn)
    due = [pair for pair in (_due(turn, each) for each in found) if pair is not None]
    _note_lasting(turn, found)
    due += _ripe_timers(turn, {each.key for each in found})
    _note_launched(turn, found)
    _note_generation(turn)
    if due:
        _act(turn, due)
    else:
        _replace_lost(turn, found)


def _due(turn: Turn, happening: Happening) -> tuple[Happening, Answer] | None:
    """`happening` with its answer if that is to be given now; else its timer is running, or nobody cares."""
    if happening.event in _LASTING and happening.key in turn.ledger.fired:
        return None
    if happening.event == UNKNOWN and holds_back(turn):
        # The gang is short because we wait before we try again: nobody's trouble, now and until it has ended.
        return None
    reply = _reply(turn, happening)
    if reply is None:
        return None
    begun = _created(turn, happening) if happening.event == POD_PENDING else None
    moment = begun + reply.delay if begun is not None else _timer(turn, happening, reply.delay)
    if moment <= turn.moment:
        return happening, reply
    turn.wake(moment)
    return None


def _reply(turn: Turn, happening: Happening) -> Answer | None:
    task = turn.census.tasks.get(happening.task)
    reply = answer(turn.job, task, happening)
    if reply is None and happening.event == POD_FAILED and happening.infrastructure:
        # A pod that was taken away may end as Failed first: to its user it was evicted.
        reply = answer(turn.job, task, replace(happening, event=POD_EVICTED))
    return reply


def _timer(turn: Turn, happening: Happening, delay: timedelta) -> datetime:
    """When the answer is due; a delay starts its timer in the ledger the first time it is asked for."""
    if not delay:
        return turn.moment
    stored = turn.ledger.timers.get(happening.key)
    if stored is None:
        stored = int((turn.now + delay).timestamp())
        turn.remember(timers={**turn.ledger.timers, happening.key: stored})
    return datetime.fromtimestamp(stored, UTC)


def _created(turn: Turn, happening: Happening) -> datetime:
    for member in turn.census.current:
        if member.uid == happening.uid and member.pod.metadata.creation_timestamp is not None:
            return member.pod.metadata.creation_timestamp
    return turn.now


def _ripe_timers(turn: Turn, seen: set[str]) -> list[tuple[Happening, Answer]]:
    """Timers whose happening is history (a pod evicted and made anew): due, or stopped by a pod that runs again."""
    ripe: list[tuple[Happening, Answer]] = []
    kept: dict[str, int] = {}
    for key, due in turn.ledger.timers.items():
        happening = _from_key(turn, key)
        if key not in seen and _over(turn, happening):
            continue
        kept[key] = due
        if key in seen:
            continue
        moment = datetime.fromtimestamp(due, UTC)
        reply = _reply(turn, happening)
        if reply is None:
            del kept[key]
        elif moment <= turn.moment:
            ripe.append((happening, reply))
        else:
            turn.wake(moment)
    if kept != turn.ledger.timers:
        turn.remember(timers=kept)
    return ripe


def _from_key(turn: Turn, key: str) -> Happening:
    event, task, *rest = key.split("|")
    index = int(rest[0]) if rest and rest[0].isdigit() else -1
    return Happening(event, task, index, version=turn.status.version, infrastructure=event == POD_EVICTED)


def _over(turn: Turn, happening: Happening) -> bool:
    """Whether what the timer waits about has mended itself."""
    if happening.event == UNKNOWN:
        return True
    if happening.index < 0:
        return False
    here = _at(turn, happening)
    return any(each.phase in ("Running", "Succeeded") for each in here) or happening.task not in turn.census.tasks


def _at(turn: Turn, happening: Happening) -> list[Member]:
    return [each for each in turn.census.current if (each.task, each.index) == (happening.task, happening.index)]


def _note_lasting(turn: Turn, found: list[Happening]) -> None:
    lasting = {each.key for each in found if each.event in _LASTING}
    waiting = {key for key in lasting if key in turn.ledger.timers}
    fired = tuple(sorted(lasting - waiting))
    if fired != turn.ledger.fired:
        turn.remember(fired=fired)


def _note_launched(turn: Turn, found: list[Happening]) -> None:
    """Which places have a pod that lives; those just lost are answered for by now."""
    answered = {(each.task, each.index) for each in found if each.event == POD_EVICTED}
    alive: dict[str, set[int]] = {name: set() for name in turn.census.tasks}
    done = {name: set(indexes) for name, indexes in turn.census.done.items()}
    for member in turn.census.members:
        if turn.census.leftover(member):
            continue
        if member.phase == "Succeeded":
            done[member.task].add(member.index)
        elif not member.deleting and (member.task, member.index) not in answered:
            alive[member.task].add(member.index)
    turn.remember(launched=packed(alive), done=packed(done))


def _note_generation(turn: Turn) -> None:
    generation = turn.job.metadata.generation
    if turn.ledger.generation != generation and listens_to(turn.job, JOB_UPDATED):
        turn.remember(generation=generation)


def _act(turn: Turn, due: list[tuple[Happening, Answer]]) -> None:
    """The first answer about the whole job, else all those about parts of it together."""
    learn(turn, {happening.uid for happening, _ in due if happening.event == POD_FAILED})
    targets: dict[str, Happening] = {}
    for happening, reply in due:
        scope = _scope(turn, happening, reply)
        if scope:
            targets.setdefault(scope, happening)
            continue
        match reply.action:
            case "AbortJob":
                abort_job(turn, happening)
            case "CompleteJob":
                complete_job(turn, happening)
            case "TerminateJob":
                terminate_job(turn, happening)
            case "ResumeJob":
                continue
            case _:
                restart_job(turn, happening, charge=_charged(turn, happening))
        return
    if targets:
        restart_targets(turn, targets, charge=any(_charged(turn, each) for each in targets.values()))


def _scope(turn: Turn, happening: Happening, reply: Answer) -> str:
    """What of the job an answer is about; "" is all of it. What cannot be told apart is restarted together."""
    task = turn.census.tasks.get(happening.task)
    if task is None or reply.action not in ("RestartTask", "RestartPod", "RestartPartition"):
        return ""
    if happening.index < 0 or reply.action == "RestartTask":
        return task.name
    if reply.action == "RestartPod":
        return pod_scope(task.name, happening.index)
    size = task.partition_policy.partition_size if task.partition_policy else 0
    return partition_scope(task.name, happening.index // size) if size > 0 else task.name


def _charged(turn: Turn, happening: Happening) -> bool:
    """One blow that fells several pods costs one retry: those seen a moment later, while restarting, are free."""
    return not happening.infrastructure and not (
        turn.phase is Phase.RESTARTING and happening.version < turn.status.version
    )


def _replace_lost(turn: Turn, found: list[Happening]) -> None:
    """Pods that a node refused or took away, and that no policy answers for, are made again, at nobody's cost."""
    taken = {each.uid for each in found if each.event == POD_FAILED and each.infrastructure}
    taken = {uid for uid in taken if not _timed(turn, found, uid)}
    ready: list[str] = []
    uids: set[str] = set()
    for member in turn.census.current:
        if not (member.phase == "Failed" and (member.refused or member.uid in taken)):
            continue
        created = member.pod.metadata.creation_timestamp
        moment = created + timedelta(seconds=REPLACE_AFTER_S) if created is not None else turn.moment
        if moment <= turn.moment:
            ready.append(pod_scope(member.task, member.index))
            uids.add(member.uid)
        else:
            turn.wake(moment)
    if ready:
        learn(turn, uids)
        turn.remember(infrastructure=turn.ledger.infrastructure + len(ready))
        raise_floors(turn, ready, turn.new_version())


def _timed(turn: Turn, found: list[Happening], uid: str) -> bool:
    return any(each.uid == uid and each.key in turn.ledger.timers for each in found)
