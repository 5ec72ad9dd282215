"""Rules of the tree of queues (volcano.md 7, "queues validate"): a queue beside its parent, children and ancestors.

A tree that has gone wrong all the same stops nobody: the scheduler leaves out what is wrong and says so. Walks end at
the bound on depth, so a circle is found and not followed.
"""

from collections.abc import Iterator
from fractions import Fraction

from flowbatch.admission.world import World, name_of
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, HIERARCHY, ROOT_QUEUE
from flowbatch.errors import SpecError
from flowbatch.workload.rules.reading import dict_of, items_of, text_of
from flowbatch.workload.rules.resources import read_quantity

#: How many queues there may be from the root to a leaf, the root not counted (Volcano: --max-queue-depth).
MAX_DEPTH = 5
_SHARED = (("guarantee", "resource"), ("deserved",))


def check_place(queue: JsonObject, old: JsonObject | None, world: World) -> Iterator[SpecError]:
    """The queue where it is to stand in the tree."""
    name, parent_name = name_of(queue), text_of(queue, "spec", "parent") or ROOT_QUEUE
    if name == ROOT_QUEUE or parent_name == name:
        return
    parent = world("Queue", "", parent_name)
    if parent_name != ROOT_QUEUE:
        if parent is None:
            yield SpecError("spec.parent", "no such queue", parent_name, "create the parent first")
            return
        if old is None or text_of(old, "spec", "parent") != text_of(queue, "spec", "parent"):
            yield from _new_child(parent, name, world)
        yield from _ancestors(queue, name, parent, world)
    if parent is not None:
        yield from _siblings(queue, name, parent, world)
    yield from _children(queue, name, world)


def check_paths(queue: JsonObject, world: World) -> Iterator[SpecError]:
    """drf's path of the queue: no other queue may stand on the way, or hang below this one's leaf."""
    name, path = name_of(queue), text_of(queue, "metadata", "annotations", HIERARCHY)
    if not path:
        return
    for other in world.every("Queue"):
        theirs = text_of(other, "metadata", "annotations", HIERARCHY)
        if theirs and name_of(other) != name and (f"{theirs}/".startswith(f"{path}/")):
            yield SpecError(
                f"metadata.annotations.{HIERARCHY}", f"is the path, or on the path, of queue {name_of(other)}", path
            )
            return


def check_deletion(queue: JsonObject | None, world: World) -> Iterator[SpecError]:
    """The two queues that every cluster needs stay, and so does a queue that others hang from."""
    name = name_of(queue)
    if name in (DEFAULT_QUEUE, ROOT_QUEUE):
        yield SpecError("metadata.name", "cannot be deleted: the cluster needs this queue", name)
        return
    below = sorted(name_of(each) for each in _below(name, world))
    if below:
        shown = ", ".join(below[:5]) + (", ..." if len(below) > 5 else "")
        yield SpecError("metadata.name", f"cannot be deleted: it has queues below it ({shown})", name)


def check_root(old: JsonObject | None, queue: JsonObject) -> Iterator[SpecError]:
    """What makes the root the root does not change."""
    if old is None or name_of(queue) != ROOT_QUEUE:
        return
    before, after = dict_of(old, "spec"), dict_of(queue, "spec")
    for field in ("parent", "reclaimable", "weight"):
        if field in after and after[field] != before.get(field, after[field]):
            value = after[field] if isinstance(after[field], str | int) else None
            yield SpecError(f"spec.{field}", "must not change: this is the root of all queues", value)


def _new_child(parent: JsonObject, name: str, world: World) -> Iterator[SpecError]:
    """A queue that runs pods of its own is a leaf and stays one until they are gone."""
    has_children = any(name_of(each) != name for each in _below(name_of(parent), world))
    pods = _amounts(parent, "status", "allocated").get("pods", Fraction(0))
    if pods and not has_children:
        yield SpecError(
            "spec.parent", f"runs {int(pods)} pods of its own and can have no queues below it", name_of(parent)
        )


def _ancestors(queue: JsonObject, name: str, parent: JsonObject, world: World) -> Iterator[SpecError]:
    """Depth, circles, and the nearest limit above."""
    limits, unlimited = _amounts(queue, "spec", "capability"), set(_amounts(queue, "spec", "capability"))
    at: JsonObject | None = parent
    depth = 2
    while at is not None and name_of(at) != ROOT_QUEUE:
        if name_of(at) == name:
            yield SpecError("spec.parent", "hangs below this very queue", name_of(parent))
            return
        if depth > MAX_DEPTH:
            yield SpecError("spec.parent", f"would make this queue the {depth}th level: at most {MAX_DEPTH}", name)
            return
        above = _amounts(at, "spec", "capability")
        for resource in sorted(unlimited & above.keys()):
            unlimited.discard(resource)
            if limits[resource] > above[resource]:
                yield _too_much(queue, ("capability",), resource, f"the capability of queue {name_of(at)} above it")
        at, depth = world("Queue", "", text_of(at, "spec", "parent") or ROOT_QUEUE), depth + 1


def _siblings(queue: JsonObject, name: str, parent: JsonObject, world: World) -> Iterator[SpecError]:
    """What all children of a parent are promised together, the parent must be promised itself."""
    others = [each for each in _below(name_of(parent), world) if name_of(each) != name]
    for part in _SHARED:
        mine, bound = _amounts(queue, "spec", *part), _amounts(parent, "spec", *part)
        for resource in sorted(mine.keys() & bound.keys()):
            total = mine[resource] + sum(_amounts(each, "spec", *part).get(resource, 0) for each in others)
            if total > bound[resource]:
                yield _too_much(queue, part, resource, f"what is left of queue {name_of(parent)} above it")


def _children(queue: JsonObject, name: str, world: World) -> Iterator[SpecError]:
    """The same from above: a queue must not be promised less than its children are."""
    children = [each for each in _below(name, world) if name_of(each) != name]
    for part in _SHARED if children else ():
        for resource, bound in sorted(_amounts(queue, "spec", *part).items()):
            if sum(_amounts(each, "spec", *part).get(resource, 0) for each in children) > bound:
                where = f"spec.{'.'.join(part)}.{resource}"
                yield SpecError(
                    where, "is less than the queues below it have together", _written(queue, part, resource)
                )


def _below(name: str, world: World) -> Iterator[JsonObject]:
    for each in world.every("Queue"):
        if name_of(each) != ROOT_QUEUE and (text_of(each, "spec", "parent") or ROOT_QUEUE) == name:
            yield each


def _amounts(queue: JsonObject, *path: str) -> dict[str, Fraction]:
    read = {name: read_quantity(value, "")[0] for name, value in items_of(queue, *path)}
    return {name: amount for name, amount in read.items() if amount is not None}


def _too_much(queue: JsonObject, part: tuple[str, ...], resource: str, than: str) -> SpecError:
    value = _written(queue, part, resource)
    return SpecError(_where(part, resource), f"must not be greater than {than}", value)


def _where(part: tuple[str, ...], resource: str) -> str:
    return f"spec.{'.'.join(part)}.{resource}"


def _written(queue: JsonObject, part: tuple[str, ...], resource: str) -> object:
    return dict_of(queue, "spec", *part).get(resource)
