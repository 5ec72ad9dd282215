"""Every problem of one write: the rule table, what may change, and rules that look at other objects.

What changes neither spec nor labels nor annotations is let through unread: a status, a finalizer that is taken off. An
object that was stored before a rule existed must still be able to end.
"""

from collections.abc import Callable, Iterable, Iterator

from flowbatch.admission.neighbours import check_flow_neighbours, check_group_neighbours, check_job_neighbours
from flowbatch.admission.queues import check_deletion, check_paths, check_place, check_root
from flowbatch.admission.world import World
from flowbatch.api.kinds import (
    JOB,
    JOB_FLOW,
    POD,
    POD_GROUP,
    QUEUE,
)
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.errors import SpecError
from flowbatch.workload import rules
from flowbatch.workload.rules.reading import text_of

#: (old, new, world) -> problems; `old` is None for what is new.
Judge = Callable[[JsonObject | None, JsonObject, World], Iterable[SpecError]]


def problems(
    api_version: str, kind: str, old: JsonObject | None, new: JsonObject | None, world: World
) -> list[SpecError]:
    """What is wrong with a creation (no `old`), an update, or a deletion (no `new`). Defaults are filled in by then."""
    if new is None:
        return list(check_deletion(old, world)) if (api_version, kind) == (QUEUE.api_version, QUEUE.kind) else []
    judge = JUDGES.get((api_version, kind))
    if judge is None or (old is not None and not _means_otherwise(old, new)):
        return []
    return list(judge(old, new, world))


def remarks(api_version: str, kind: str, new: JsonObject | None, world: World) -> list[SpecError]:
    """What is no mistake and worth a word: kubectl prints it as a warning, and the write goes through."""
    if new is None or (api_version, kind) != (JOB_FLOW.api_version, JOB_FLOW.kind):
        return []
    return list(check_flow_neighbours(new, world))


def _means_otherwise(old: JsonObject, new: JsonObject) -> bool:
    if any(old.get(part) != new.get(part) for part in {**old, **new}.keys() - {"metadata", "status"}):
        return True
    before, after = old.get("metadata"), new.get("metadata")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return True
    return any((before.get(part) or {}) != (after.get(part) or {}) for part in ("labels", "annotations"))


def _job(old: JsonObject | None, new: JsonObject, world: World) -> Iterator[SpecError]:
    yield from rules.check_job(new)
    if old is None:
        yield from check_job_neighbours(new, world)
    elif old.get("spec") != new.get("spec"):
        yield from rules.check_job_update(old, new)


def _queue(old: JsonObject | None, new: JsonObject, world: World) -> Iterator[SpecError]:
    yield from rules.check_queue(new)
    yield from check_root(old, new)
    if old is None or old.get("spec") != new.get("spec"):
        yield from check_place(new, old, world)
    yield from check_paths(new, world)


def _pod_group(old: JsonObject | None, new: JsonObject, world: World) -> Iterator[SpecError]:
    yield from rules.check_pod_group(new)
    if old is None:
        yield from check_group_neighbours(new, world)


def _by_table(check: Callable[[JsonObject], Iterable[SpecError]]) -> Judge:
    """Kinds that look at nothing but themselves."""
    return lambda _old, new, _world: check(new)


def _pod(old: JsonObject | None, new: JsonObject, _world: World) -> Iterable[SpecError]:
    ours = text_of(new, "spec", "schedulerName") == SCHEDULER_NAME
    return rules.check_pod(new) if old is None and ours else ()


#: What looks further than at itself, or has no table of its own.
_FURTHER: dict[tuple[str, str], Judge] = {
    (kind.api_version, kind.kind): judge
    for kind, judge in ((JOB, _job), (QUEUE, _queue), (POD_GROUP, _pod_group), (POD, _pod))
}
JUDGES: dict[tuple[str, str], Judge] = {kind: _by_table(check) for kind, check in rules.CHECKS.items()} | _FURTHER
