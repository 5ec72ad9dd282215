"""dependsOn: which tasks may have pods now, and which never will (volcano.md 4.5)."""

from collections.abc import Callable

from msgspec.structs import replace

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.workload.census import Census
from flowbatch.workload.effective import gang_size, minimum
from flowbatch.workload.lifecycle import least_started
from flowbatch.workload.vocabulary import RUNNING, SUCCEEDED


def open_tasks(census: Census) -> set[str]:
    """Names of the tasks that no dependency holds back."""
    return {
        name
        for name, task in census.tasks.items()
        if _holds(task, lambda needed, status: has_come(census, census.tasks.get(needed), status))
    }


def held_tasks(census: Census) -> frozenset[str]:
    """Names of the tasks that a dependency holds back and that have no pods, nor had any in this run of the job."""
    if not any(task.depends_on for task in census.tasks.values()):
        return frozenset()
    return frozenset(census.tasks.keys() - open_tasks(census) - _begun(census))


def has_come(census: Census, task: TaskSpec | None, status: str) -> bool:
    """Whether `task` has come as far as `status`, with as many pods as it needs at least."""
    if task is None:
        return False
    done = len(census.done[task.name])
    if status == SUCCEEDED:
        return done >= _needed(task, status)
    mine = census.of_task[task.name]
    there = sum(each.phase == "Running" for each in mine) if status == RUNNING else sum(each.ready for each in mine)
    return there + done >= _needed(task, status)


def hopeless_members(census: Census) -> int:
    """Members of tasks without pods whose dependencies have all ended and not well enough: they can never start."""
    if census.ledger.timers or not any(task.depends_on for task in census.tasks.values()):
        return 0
    begun, cut_off = _begun(census), set[str]()

    def may_come(needed: str, status: str) -> bool:
        task = census.tasks.get(needed)
        return task is not None and needed not in cut_off and not (needed in begun and _missed(census, task, status))

    grew = True
    while grew:
        more = {
            name
            for name, task in census.tasks.items()
            if name not in begun and name not in cut_off and not _holds(task, may_come)
        }
        grew = bool(more)
        cut_off |= more
    return sum(census.tasks[name].replicas for name in cut_off)


def of_this_phase(job: Job, held: frozenset[str]) -> Job:
    """`job` as a gang of the tasks that may run by now: nobody's start waits for room for those held back."""
    if not held:
        return job
    spec = job.spec
    tasks = tuple(replace(task, min_available=0) if task.name in held else task for task in spec.tasks)
    size = least_started(
        gang_size(spec),
        {task.name: minimum(task) for task in spec.tasks},
        {task.name: task.replicas for task in spec.tasks},
        held,
    )
    return replace(job, spec=replace(spec, tasks=tasks, min_available=size))


def _begun(census: Census) -> set[str]:
    return {each.task for each in census.members} | {name for name in census.tasks if census.done[name]}


def _needed(task: TaskSpec, status: str) -> int:
    """A task that need not run at all may be passed over, but its success is not to be had for nothing."""
    return minimum(task) or (min(1, task.replicas) if status == SUCCEEDED else 0)


def _missed(census: Census, task: TaskSpec, status: str) -> bool:
    """Whether all pods of `task` have ended, and too few of them well."""
    done = len(census.done[task.name])
    failed = sum(each.phase == "Failed" for each in census.of_task[task.name])
    return done + failed >= task.replicas and done < _needed(task, status)


def _holds(task: TaskSpec, fulfilled: Callable[[str, str], bool]) -> bool:
    """Whether the task's dependencies are fulfilled, one by one: all of them, or any where that is asked for."""
    needs = task.depends_on
    if needs is None or not needs.name:
        return True
    each = [fulfilled(name, needs.status) for name in needs.name]
    # "any" only means something among several.
    return any(each) if needs.iteration == "any" and len(each) > 1 else all(each)
