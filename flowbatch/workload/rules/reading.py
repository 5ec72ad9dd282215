"""Careful hands for raw JSON: rules look through these and so never trip over a list where a map belongs.

A value of the wrong type has its own problem by then (`shapes`); here it counts as absent.
"""

from collections.abc import Iterator
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.workload.vocabulary import DEFAULT_TASK_NAME


def dict_of(value: Any, *path: str) -> JsonObject:
    """The object at `path` inside `value`, or an empty one."""
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def list_of(value: Any, *path: str) -> list[Any]:
    """The list at `path` inside `value`, or an empty one."""
    inside = dict_of(value, *path[:-1]).get(path[-1]) if path else value
    return list(inside) if isinstance(inside, list | tuple) else []


def dicts_of(value: Any, *path: str) -> Iterator[tuple[int, JsonObject]]:
    """The objects of the list at `path`, with their indexes; items of other types are left out."""
    return ((index, item) for index, item in enumerate(list_of(value, *path)) if isinstance(item, dict))


def items_of(value: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """The fields of the object at `path`; names that are no strings (YAML has them) are refused elsewhere."""
    return ((key, item) for key, item in dict_of(value, *path).items() if isinstance(key, str))


def texts_of(value: Any, *path: str) -> list[tuple[int, str]]:
    """The strings of the list at `path`, with their indexes."""
    return [(index, item) for index, item in enumerate(list_of(value, *path)) if isinstance(item, str)]


def text_of(value: Any, *path: str) -> str:
    """The string at `path`, or an empty one."""
    inside = dict_of(value, *path[:-1]).get(path[-1])
    return inside if isinstance(inside, str) else ""


def whole_of(value: Any, *path: str) -> int | None:
    """The integer at `path`, or None; one beyond 64 bits, which Python may refuse to print, is refused as such."""
    inside = dict_of(value, *path[:-1]).get(path[-1])
    fits = isinstance(inside, int) and not isinstance(inside, bool) and abs(inside) < 2**63
    return inside if fits else None


def task_name(index: int, task: JsonObject) -> str:
    """The task's name as it will be after defaulting."""
    return text_of(task, "name") or f"{DEFAULT_TASK_NAME}{index}"


def replicas_of(task: JsonObject) -> int:
    """The task's replicas as far as they make sense."""
    return max(0, whole_of(task, "replicas") or 0)


def minimum_of(task: JsonObject) -> int:
    """The task's minAvailable as it will be after defaulting."""
    stated = whole_of(task, "minAvailable")
    if stated is not None:
        return stated
    partitions = dict_of(task, "partitionPolicy")
    least = (whole_of(partitions, "minPartitions") or 0) * (whole_of(partitions, "partitionSize") or 0)
    return least if least > 0 else replicas_of(task)
