"""What is filled in before anything is judged: Volcano's mutations (volcano.md 7), and nothing for what is malformed.

Never refuses: what cannot be read is left as it is, and the rules refuse it.
"""

from collections.abc import Sequence

from flowbatch.admission.neighbours import namespace_queue
from flowbatch.admission.placing import placed
from flowbatch.admission.resource_groups import ResourceGroup
from flowbatch.admission.world import World, name_of
from flowbatch.api.kinds import JOB, POD, POD_GROUP, QUEUE
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, HIERARCHY, HIERARCHY_WEIGHTS, ROOT_QUEUE
from flowbatch.workload import defaults
from flowbatch.workload.queuegate import gated
from flowbatch.workload.rules.reading import dict_of, text_of


def mutated(
    api_version: str,
    kind: str,
    old: JsonObject | None,
    new: JsonObject,
    world: World,
    groups: Sequence[ResourceGroup] = (),
) -> JsonObject:
    """`new` with its defaults. What did not change is shared with `new`, which is not touched."""
    if old is not None and old.get("spec") == new.get("spec"):
        return new  # a status, a label: no moment to rewrite what is stored
    match (api_version, kind):
        case (JOB.api_version, JOB.kind):
            return _job(old, new, world)
        case (QUEUE.api_version, QUEUE.kind):
            return _queue(new)
        case (POD_GROUP.api_version, POD_GROUP.kind):
            return _in_namespace_queue(defaults.default_pod_group(new), world)
        case (POD.api_version, POD.kind) if old is None and isinstance(new.get("spec"), dict):
            return gated(placed(new, namespace_of(new), groups))
        case _:
            return new


def namespace_of(obj: JsonObject) -> str:
    """The object's namespace."""
    return text_of(obj, "metadata", "namespace")


def _job(old: JsonObject | None, new: JsonObject, world: World) -> JsonObject:
    job = defaults.default_job(new)
    return job if old is not None else _in_namespace_queue(job, world)


def _in_namespace_queue(obj: JsonObject, world: World) -> JsonObject:
    """Whatever is in the default queue, said or not, is in the namespace's own queue if it has one."""
    spec = obj.get("spec")
    if not isinstance(spec, dict) or spec.get("queue", DEFAULT_QUEUE) != DEFAULT_QUEUE:
        return obj
    queue = namespace_queue(namespace_of(obj), world)
    return {**obj, "spec": {**spec, "queue": queue}} if queue else obj


def _queue(new: JsonObject) -> JsonObject:
    queue = defaults.default_queue(new)
    annotations = dict_of(queue, "metadata", "annotations")
    path, weights = text_of(annotations, HIERARCHY), text_of(annotations, HIERARCHY_WEIGHTS)
    # drf's path begins at the root, whose weight is 1; people leave that out.
    if not path or not weights or path.split("/", 1)[0] == ROOT_QUEUE or name_of(queue) == ROOT_QUEUE:
        return queue
    whole = {HIERARCHY: f"{ROOT_QUEUE}/{path}", HIERARCHY_WEIGHTS: f"1/{weights}"}
    return {**queue, "metadata": {**queue["metadata"], "annotations": {**annotations, **whole}}}
