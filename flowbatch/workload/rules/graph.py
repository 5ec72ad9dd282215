"""dependsOn: every name exists, nobody waits for himself, and there is an order in which all can start.

Iterative (Kahn), so that a chain of 100,000 tasks is read as fast as three, and as safely.
"""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules.reading import dict_of, dicts_of, task_name, text_of, texts_of
from flowbatch.workload.vocabulary import SUCCEEDED

#: A longer cycle is shown by its first tasks.
_SHOWN = 6


def check_graph(manifest: JsonObject) -> Iterator[SpecError]:
    """The graph of tasks."""
    tasks = list(dicts_of(dict_of(manifest, "spec"), "tasks"))
    by_name = {task_name(index, task): task for index, task in tasks}
    places = {task_name(index, task): index for index, task in tasks}
    waits: dict[int, list[int]] = {}
    few = list(places)[:100]
    for index, task in tasks:
        seen: set[str] = set()
        succeeded = text_of(task, "dependsOn", "status") == SUCCEEDED
        for at, name in texts_of(task, "dependsOn", "name"):
            path = f"spec.tasks[{index}].dependsOn.name[{at}]"
            if name in seen:
                yield SpecError(path, "is named twice", name)
            elif name not in places:
                yield SpecError(path, "is not a task of this job", name, did_you_mean(name[:100], few))
            elif places[name] == index:
                yield SpecError(path, "is the task itself, which would wait for ever", name)
            else:
                waits.setdefault(index, []).append(places[name])
            if succeeded and name in places and not ends(by_name[name]):
                problem = "never succeeds: its containers are started again whenever they end"
                yield SpecError(path, problem, name, f"set restartPolicy: Never or OnFailure in task {name[:100]}")
            seen.add(name)
    cycle = find_cycle(waits)
    if cycle:
        names = {index: task_name(index, task) for index, task in tasks}
        ring = [names[index] for index in cycle]
        shown = " -> ".join([*ring[:_SHOWN], *(["..."] if len(ring) > _SHOWN else []), ring[0]])
        yield SpecError(
            f"spec.tasks[{cycle[0]}].dependsOn",
            f"closes a cycle of {len(ring)} tasks, none of which can start: {shown}",
        )


def ends(task: JsonObject) -> bool:
    """Whether the task's pods can succeed; Kubernetes restarts containers for ever unless told otherwise."""
    return text_of(task, "template", "spec", "restartPolicy") in ("Never", "OnFailure")


def find_cycle(waits: dict[int, list[int]]) -> list[int]:
    """One cycle of `waits` (task -> tasks it waits for), or an empty list."""
    left = {index: len(targets) for index, targets in waits.items() if targets}
    followers: dict[int, list[int]] = {}
    for index, targets in waits.items():
        for target in targets:
            followers.setdefault(target, []).append(index)
    ready = [index for index in followers if index not in left]
    while ready:
        for follower in followers.get(ready.pop(), ()):
            left[follower] -= 1
            if left[follower] == 0:
                ready.append(follower)
    stuck = {index for index, count in left.items() if count > 0}
    if not stuck:
        return []
    # Every stuck task waits for a stuck one: walking on must come back to where it has been.
    walk: dict[int, int] = {}
    at = min(stuck)
    while at not in walk:
        walk[at] = len(walk)
        at = next(target for target in waits[at] if target in stuck)
    return [index for index in walk if walk[index] >= walk[at]]
