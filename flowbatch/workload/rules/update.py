"""What may change in a job that exists: its size, its urgency, and whether it is suspended.

Everything else was read when its pods were made; a change that only new pods would follow leaves half a job of each.
"""

from collections.abc import Iterator
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.defaults import default_job
from flowbatch.workload.rules.reading import dict_of, dicts_of, task_name

#: Fields of spec, and of each task, that may change.
JOB_FIELDS = ("minAvailable", "priorityClassName", "suspend")
TASK_FIELDS = ("replicas", "minAvailable")
_HINT = "what may change: minAvailable, priorityClassName, suspend, and of tasks replicas and minAvailable"


def check_changes(old: JsonObject, new: JsonObject) -> Iterator[SpecError]:
    """Every change from `old` to `new` that is not allowed. Defaults are no change."""
    before, after = dict_of(_defaulted(old), "spec"), dict_of(_defaulted(new), "spec")
    for field in dict.fromkeys((*before, *after)):
        if field in (*JOB_FIELDS, "tasks"):
            continue
        if _settled(field, before.get(field)) != _settled(field, after.get(field)):
            yield SpecError(f"spec.{field}", "must not change", _scalar(after.get(field)), _HINT)
    yield from _tasks(before, after)


def _tasks(before: JsonObject, after: JsonObject) -> Iterator[SpecError]:
    had = [task_name(index, task) for index, task in dicts_of(before, "tasks")]
    has = [task_name(index, task) for index, task in dicts_of(after, "tasks")]
    if had != has:
        gone = [name for name in had if name not in has]
        added = [name for name in has if name not in had]
        said = [f"without {', '.join(gone[:5])}"] * bool(gone) + [f"with {', '.join(added[:5])}"] * bool(added)
        yield SpecError(
            "spec.tasks", "must not be added, removed or moved" + ": now " * bool(said) + " and ".join(said)
        )
        return
    for (index, one), (_, other) in zip(dicts_of(before, "tasks"), dicts_of(after, "tasks"), strict=True):
        for field in dict.fromkeys((*one, *other)):
            if field not in TASK_FIELDS and one.get(field) != other.get(field):
                yield SpecError(f"spec.tasks[{index}].{field}", "must not change", _scalar(other.get(field)), _HINT)


def _settled(field: str, value: Any) -> Any:
    """`value` without the claim names that a controller fills in (Volcano's does)."""
    if field != "volumes":
        return value
    return [
        {**volume, "volumeClaimName": ""} if volume.get("volumeClaim") else volume
        for _, volume in dicts_of({"volumes": value}, "volumes")
    ]


def _defaulted(manifest: JsonObject) -> JsonObject:
    return default_job(manifest)


def _scalar(value: Any) -> Any:
    return value if isinstance(value, str | int | bool) else None
