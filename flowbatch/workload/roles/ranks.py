"""Ranks over two tasks: masters first, if the job has any, workers after them; rank 0 is where all others report."""

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.workload.roles.flags import Parsed
from flowbatch.workload.roles.hosts import first_address, task_named


def ranked(job: Job, flags: Parsed) -> list[TaskSpec]:
    """The tasks that have ranks, in the order of their ranks; a plugin calls them by its flags master and worker."""
    found = (task_named(job, flags.text(flag)) for flag in ("master", "worker"))
    return [task for task in found if task is not None and task.replicas]


def meeting_place(tasks: list[TaskSpec], job: Job) -> str:
    """The address of rank 0."""
    return first_address(job, tasks[0])


def rank_of(tasks: list[TaskSpec], task: TaskSpec, index: int) -> int | None:
    """The rank of pod `index` of `task`, or None where the task has none."""
    before = 0
    for each in tasks:
        if each.name == task.name:
            return before + index
        before += each.replicas
    return None


def world_size(tasks: list[TaskSpec]) -> int:
    """How many ranks there are."""
    return sum(task.replicas for task in tasks)
