"""Rules about what a job or a pod group points at: a queue that takes work, a priority class that exists."""

from collections.abc import Iterator

from flowbatch.admission.world import World, name_of
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, ROOT_QUEUE, SCHEDULING_QUEUE_NAME
from flowbatch.errors import SpecError
from flowbatch.workload.rules.reading import dict_of, dicts_of, text_of

#: Kubernetes' own classes: there is always one of each name, listed or not.
_SYSTEM_CLASSES = ("system-cluster-critical", "system-node-critical")


def check_job_neighbours(job: JsonObject, world: World) -> Iterator[SpecError]:
    """A new job's queue must exist, be open and have no queues below it; its priority class must exist."""
    yield from _queue(job, world)
    yield from _priority_class(job, world)


def check_group_neighbours(group: JsonObject, world: World) -> Iterator[SpecError]:
    """A new pod group's queue must be open. One that is missing only waits: queues may come after their work."""
    queue = world("Queue", "", text_of(group, "spec", "queue") or DEFAULT_QUEUE)
    if queue is not None:
        yield from _state(queue)


def check_flow_neighbours(flow: JsonObject, world: World) -> Iterator[SpecError]:
    """Templates that are not there yet. Flows wait for them, so this is told and not refused."""
    namespace = text_of(flow, "metadata", "namespace")
    for index, step in dicts_of(flow, "spec", "flows"):
        name = text_of(step, "jobTemplate") or text_of(step, "name")
        if name and world("JobTemplate", namespace, name) is None:
            field = "jobTemplate" if text_of(step, "jobTemplate") else "name"
            yield SpecError(f"spec.flows[{index}].{field}", "no such job template yet: the step waits for it", name)


def namespace_queue(namespace: str, world: World) -> str:
    """The queue that a namespace gives to whatever names none."""
    return text_of(world("Namespace", "", namespace), "metadata", "annotations", SCHEDULING_QUEUE_NAME)


def _queue(job: JsonObject, world: World) -> Iterator[SpecError]:
    name = text_of(job, "spec", "queue") or DEFAULT_QUEUE
    if name == ROOT_QUEUE:
        return  # the table says that
    queue = world("Queue", "", name)
    if queue is None:
        # The default queue is made by the scheduler at its start; a job may come before it.
        if name != DEFAULT_QUEUE:
            yield SpecError("spec.queue", "no such queue", name, f"create it: flowbatch queue create {name}")
        return
    yield from _state(queue)
    below = sorted(name_of(each) for each in world.every("Queue") if text_of(each, "spec", "parent") == name)
    if below:
        shown = ", ".join(below[:5]) + (", ..." if len(below) > 5 else "")
        yield SpecError("spec.queue", "takes no jobs: it has queues below it", name, f"one of {shown}")


def _state(queue: JsonObject) -> Iterator[SpecError]:
    state, name = text_of(queue, "status", "state") or "Open", name_of(queue)
    if state != "Open":
        yield SpecError("spec.queue", f"is {state}", name, f"open it: flowbatch queue open {name}")


def _priority_class(job: JsonObject, world: World) -> Iterator[SpecError]:
    wanted = {"spec.priorityClassName": text_of(job, "spec", "priorityClassName")}
    tasks = dict_of(job, "spec").get("tasks")
    for index, task in enumerate(tasks if isinstance(tasks, list | tuple) else ()):
        path = f"spec.tasks[{index}].template.spec.priorityClassName"
        wanted[path] = text_of(task, "template", "spec", "priorityClassName")
    for path, name in wanted.items():
        if name and name not in _SYSTEM_CLASSES and world("PriorityClass", "", name) is None:
            yield SpecError(path, "no such priority class", name, "create it, or leave it out")
