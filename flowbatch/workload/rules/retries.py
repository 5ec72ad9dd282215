"""How restarted pods are tried again: waits that make sense, and memory that can be raised."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.rules.reading import dict_of, dicts_of, whole_of
from flowbatch.workload.rules.resources import read_quantity

#: A longer wait between two tries is a slip: a week.
LONGEST_WAIT_S = 7 * 24 * 3600
MOST_PERCENT = 1000


def check_retries(manifest: JsonObject) -> Iterator[SpecError]:
    """`retry` of the job and of each task."""
    spec = dict_of(manifest, "spec")
    yield from _one(dict_of(spec, "retry"), "spec.retry")
    for index, task in dicts_of(spec, "tasks"):
        yield from _one(dict_of(task, "retry"), f"spec.tasks[{index}].retry")


def _one(retry: JsonObject, where: str) -> Iterator[SpecError]:
    first, longest = whole_of(retry, "backoffSeconds"), whole_of(retry, "maxBackoffSeconds")
    for field, value in (("backoffSeconds", first), ("maxBackoffSeconds", longest)):
        if value is not None and not 0 <= value <= LONGEST_WAIT_S:
            yield SpecError(f"{where}.{field}", f"must be 0 to {LONGEST_WAIT_S} (a week)", value)
    if longest is not None and first is None:
        yield SpecError(f"{where}.maxBackoffSeconds", "bounds nothing: there is no backoffSeconds", longest)
    elif longest is not None and first is not None and longest < first:
        yield SpecError(f"{where}.maxBackoffSeconds", "must not be less than backoffSeconds", longest)
    yield from _memory(retry, where)


def _memory(retry: JsonObject, where: str) -> Iterator[SpecError]:
    percent, limit = whole_of(retry, "memoryIncreasePercent"), retry.get("memoryLimit")
    if percent is not None and not 1 <= percent <= MOST_PERCENT:
        yield SpecError(f"{where}.memoryIncreasePercent", f"must be 1 to {MOST_PERCENT}", percent)
    if limit is None:
        if percent is not None:
            yield SpecError(f"{where}.memoryLimit", "is missing: memory must not grow for ever", None, 'e.g. "64Gi"')
        return
    exact, problem = read_quantity(limit, f"{where}.memoryLimit")
    if problem is not None:
        yield problem
    elif exact is not None and exact < 1:
        yield SpecError(f"{where}.memoryLimit", "must be at least one byte", limit)
    if percent is None:
        yield SpecError(f"{where}.memoryLimit", "bounds nothing: there is no memoryIncreasePercent", limit)
