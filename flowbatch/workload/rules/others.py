"""The rules of PodGroups and Commands."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.api.names import ROOT_QUEUE
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.rules import names
from flowbatch.workload.rules.graph import find_cycle
from flowbatch.workload.rules.job import TIERS, one_tier
from flowbatch.workload.rules.reading import dict_of, dicts_of, items_of, text_of, texts_of, whole_of
from flowbatch.workload.rules.resources import read_quantity
from flowbatch.workload.rules.table import Rule
from flowbatch.workload.vocabulary import NETWORK_MODES, ORDERS

POD_GROUP_RULES: tuple[Rule, ...] = (
    Rule("spec.minMember", lambda count: count >= 0, "must be at least 0", "self >= 0"),
    Rule("spec.queue", lambda name: name != ROOT_QUEUE, "takes no pod groups: it is the parent of all queues", of=str),
    Rule("spec.networkTopology.mode", NETWORK_MODES.__contains__, "must be hard or soft", of=str),
    Rule("spec.networkTopology", one_tier, TIERS, of=dict),
    Rule("spec.subGroupPolicy[].networkTopology.mode", NETWORK_MODES.__contains__, "must be hard or soft", of=str),
    Rule("spec.subGroupPolicy[].networkTopology", one_tier, TIERS, of=dict),
    Rule("spec.subGroupPolicy[].subGroupSize", lambda size: size >= 1, "must be at least 1", "self >= 1"),
    Rule("spec.subGroupPolicy[].minSubGroups", lambda count: count >= 0, "must be at least 0", "self >= 0"),
    Rule("spec.declaredTasks[].count", lambda count: count >= 0, "must be at least 0", "self >= 0"),
    Rule("spec.declaredTasks[].minimum", lambda count: count >= 0, "must be at least 0", "self >= 0"),
)


def check_members(manifest: JsonObject) -> Iterator[SpecError]:
    """Counts and amounts of a PodGroup."""
    spec = dict_of(manifest, "spec")
    for task, _ in items_of(spec, "minTaskMember"):
        count = whole_of(spec, "minTaskMember", task)
        if count is not None and count < 0:
            yield SpecError(f"spec.minTaskMember.{task}", "must be at least 0", count)
    for name, value in items_of(spec, "minResources"):
        _, problem = read_quantity(value, f"spec.minResources.{name}")
        if problem is not None:
            yield problem
    for field in ("queue", "priorityClassName"):
        if value := text_of(spec, field):
            yield from names.named(f"spec.{field}", value, names.subdomain_problem(value))


def check_declared(manifest: JsonObject) -> Iterator[SpecError]:
    """Declared tasks: unique, each within its count, waiting for others that exist, in no circle."""
    tasks = list(dicts_of(manifest, "spec", "declaredTasks"))
    places: dict[str, int] = {}
    for index, task in tasks:
        name, path = text_of(task, "name"), f"spec.declaredTasks[{index}]"
        if not name:
            yield SpecError(f"{path}.name", "is missing")
        elif name in places:
            yield SpecError(f"{path}.name", "is declared already", name)
        places.setdefault(name, index)
        count, least = whole_of(task, "count") or 0, whole_of(task, "minimum") or 0
        if least > count:
            yield SpecError(f"{path}.minimum", "must not be greater than count", least)
        for resource, value in items_of(task, "requests"):
            _, problem = read_quantity(value, f"{path}.requests.{resource}")
            if problem is not None:
                yield problem
    waits: dict[int, list[int]] = {}
    for index, task in tasks:
        for at, name in texts_of(task, "waitsFor"):
            if name not in places:
                hint = did_you_mean(name[:100], list(places)[:100])
                yield SpecError(f"spec.declaredTasks[{index}].waitsFor[{at}]", "is not declared", name, hint)
            else:
                waits.setdefault(index, []).append(places[name])
    if cycle := find_cycle(waits):
        yield SpecError(f"spec.declaredTasks[{cycle[0]}].waitsFor", f"closes a cycle of {len(cycle)} tasks")


def check_order(manifest: JsonObject) -> Iterator[SpecError]:
    """A Command: what, and to whom."""
    action = text_of(manifest, "action")
    if not action:
        yield SpecError("action", "is missing", None, "one of " + ", ".join(ORDERS))
    elif action not in ORDERS:
        yield SpecError("action", "is not an action", action, did_you_mean(action[:100], ORDERS))
    if not isinstance(manifest.get("target"), dict):
        if manifest.get("target") is None:
            yield SpecError("target", "is missing: the Job or Queue that is ordered")
        return
    for field in ("kind", "name"):
        if not text_of(manifest, "target", field):
            yield SpecError(f"target.{field}", "is missing")
    kind = text_of(manifest, "target", "kind")
    if action in ORDERS and kind and (kind == "Queue") != action.endswith("Queue"):
        yield SpecError("action", f"is no order for a {kind}", action)
