"""Lifecycle policies: known words, no contradictions, nothing that could never fire."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import parse_duration
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules.reading import dict_of, dicts_of, text_of, texts_of, whole_of
from flowbatch.workload.vocabulary import ACTIONS, ANY_EVENT, EVENTS, POD_PENDING


def check_policies(manifest: JsonObject) -> Iterator[SpecError]:
    """The policies of the job and of each task."""
    spec = dict_of(manifest, "spec")
    parted = any(isinstance(task.get("partitionPolicy"), dict) for _, task in dicts_of(spec, "tasks"))
    yield from _scope(spec, "spec", partitions=parted)
    for index, task in dicts_of(spec, "tasks"):
        yield from _scope(task, f"spec.tasks[{index}]", partitions=isinstance(task.get("partitionPolicy"), dict))


def _scope(holder: JsonObject, path: str, *, partitions: bool) -> Iterator[SpecError]:
    events: dict[str, str] = {}
    codes: dict[int, str] = {}
    for index, policy in dicts_of(holder, "policies"):
        where = f"{path}.policies[{index}]"
        yield from _one(policy, where, partitions=partitions)
        for place, event in _events(policy, where):
            if event in events:
                yield SpecError(place, f"is handled by {events[event]} already", event)
            events.setdefault(event, where)
        code = whole_of(policy, "exitCode")
        if code is not None and code in codes:
            yield SpecError(f"{where}.exitCode", f"is handled by {codes[code]} already", code)
        if code is not None:
            codes.setdefault(code, where)
    if ANY_EVENT in events and len(events) > 1:
        yield SpecError(f"{path}.policies", f'"*" in {events[ANY_EVENT]} leaves nothing to other events', None)


def _events(policy: JsonObject, where: str) -> list[tuple[str, str]]:
    """Every event that a policy names, with its place; an event repeated inside one policy counts once."""
    found: dict[str, str] = {}
    if event := text_of(policy, "event"):
        found[event] = f"{where}.event"
    for index, each in texts_of(policy, "events"):
        found.setdefault(each, f"{where}.events[{index}]")
    return [(place, event) for event, place in found.items()]


def _one(policy: JsonObject, where: str, *, partitions: bool) -> Iterator[SpecError]:
    action, code = text_of(policy, "action"), policy.get("exitCode")
    events = _events(policy, where)
    if not action:
        yield SpecError(f"{where}.action", "is missing", None, "one of " + ", ".join(ACTIONS))
    elif action not in ACTIONS:
        yield SpecError(f"{where}.action", "is not an action", action, did_you_mean(action[:100], ACTIONS))
    elif action == "RestartPartition" and not partitions:
        yield SpecError(f"{where}.action", "needs a task with a partitionPolicy", action)
    for place, event in events:
        if event not in EVENTS:
            yield SpecError(place, "is not an event", event, did_you_mean(event[:100], EVENTS))
    if events and code is not None:
        yield SpecError(where, "must not have both an event and an exitCode")
    elif not events and code is None:
        yield SpecError(where, "must have an event, events or an exitCode")
    number = whole_of(policy, "exitCode")
    if number is not None and not 1 <= number <= 255:
        reason = "is success and no reason to act" if number == 0 else "is no exit code: 1 to 255"
        yield SpecError(f"{where}.exitCode", reason, number)
    yield from _timeout(policy, where, pending=any(event == POD_PENDING for _, event in events))


def _timeout(policy: JsonObject, where: str, *, pending: bool) -> Iterator[SpecError]:
    stated = policy.get("timeout")
    if stated is None:
        if pending:
            yield SpecError(f"{where}.timeout", "is missing: every pod is pending at first", None, 'e.g. "10m"')
        return
    if not isinstance(stated, str):
        return
    try:
        wait = parse_duration(stated)
    except ValueError as problem:
        yield SpecError(f"{where}.timeout", str(problem), stated)
        return
    if wait.total_seconds() < 0 or (pending and not wait):
        yield SpecError(f"{where}.timeout", "must be longer than nothing", stated)
