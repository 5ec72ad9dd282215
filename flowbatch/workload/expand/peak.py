"""Room that is used twice: members of a later phase that get the room of earlier ones, one for one, when those succeed.

With `reservationPolicy: Peak` a job holds as much as it uses at once, not as much as all of its phases together. Only
what is certain counts: the later task waits for the success of the earlier, asks for no more, and may go where it was.
"""

from collections.abc import Mapping

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.workload.effective import minimum
from flowbatch.workload.expand.asking import task_requests
from flowbatch.workload.vocabulary import PEAK, SUCCEEDED

#: What decides where a pod may go, besides its requests.
_WHERE = ("nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "hostNetwork", "nodeName")


def takeovers(job: Job) -> dict[str, dict[str, int]]:
    """Task -> (earlier task -> members that get the room of as many of its pods); empty where that is not wanted."""
    if job.spec.reservation_policy != PEAK:
        return {}
    left = {task.name: minimum(task) for task in job.spec.tasks}
    by_name = {task.name: task for task in job.spec.tasks}
    found: dict[str, dict[str, int]] = {}
    for task in job.spec.tasks:
        wanted = minimum(task)
        for name in _predecessors(task):
            source = by_name.get(name)
            count = min(wanted, left[name]) if source is not None and _fits_in_place_of(task, source) else 0
            if count > 0:
                found.setdefault(task.name, {})[name] = count
                left[name] -= count
                wanted -= count
    return found


def held_at_once(job: Job, counts: Mapping[str, int]) -> dict[str, int]:
    """`counts` of members per task without those who get the room of others."""
    twice = takeovers(job)
    return {name: max(0, count - sum(twice.get(name, {}).values())) for name, count in counts.items()}


def _predecessors(task: TaskSpec) -> tuple[str, ...]:
    """Tasks all of whose minimum has succeeded when this one starts."""
    needs = task.depends_on
    if needs is None or needs.status != SUCCEEDED or (needs.iteration == "any" and len(needs.name) > 1):
        return ()
    return needs.name


def _fits_in_place_of(task: TaskSpec, source: TaskSpec) -> bool:
    room = dict(task_requests(source))
    one: JsonObject = task.template.get("spec") or {}
    other: JsonObject = source.template.get("spec") or {}
    return all(units <= room.get(resource, 0) for resource, units in task_requests(task)) and all(
        one.get(field) == other.get(field) for field in _WHERE
    )
