"""dependsOn: which tasks may have pods now, and which never will (volcano.md 4.5)."""

from flowbatch.api.batch import TaskSpec
from flowbatch.workload.census import Census
from flowbatch.workload.effective import minimum


def open_tasks(census: Census) -> set[str]:
    """Names of the tasks that no dependency holds back."""
    standing = {name: stands(census, task) for name, task in census.tasks.items()}
    return {name for name, task in census.tasks.items() if _met(task, standing)}


def stands(census: Census, task: TaskSpec) -> bool:
    """Whether `task` has its minimum of pods that run with all containers ready, or have succeeded."""
    ready = sum(each.ready for each in census.of_task[task.name])
    return ready + len(census.done[task.name]) >= minimum(task)


def _met(task: TaskSpec, standing: dict[str, bool]) -> bool:
    if task.depends_on is None or not task.depends_on.name:
        return True
    wanted = [standing.get(name, False) for name in task.depends_on.name]
    # "any" only means something among several.
    return any(wanted) if task.depends_on.iteration == "any" and len(wanted) > 1 else all(wanted)


def hopeless_members(census: Census) -> int:
    """Members of tasks without pods whose dependencies have all ended and not well enough: they can never start."""
    if census.ledger.timers or not any(task.depends_on for task in census.tasks.values()):
        return 0
    started = {each.task for each in census.members} | {name for name in census.tasks if census.done[name]}
    lost = {name for name, task in census.tasks.items() if name in started and _ended_below_minimum(census, task)}
    grew = True
    while grew:
        more = {
            name
            for name, task in census.tasks.items()
            if name not in lost and name not in started and _cut_off(task, lost)
        }
        grew = bool(more)
        lost |= more
    return sum(census.tasks[name].replicas for name in lost if name not in started)


def _ended_below_minimum(census: Census, task: TaskSpec) -> bool:
    done = len(census.done[task.name])
    failed = sum(each.phase == "Failed" for each in census.of_task[task.name])
    return done + failed >= task.replicas and done < minimum(task)


def _cut_off(task: TaskSpec, lost: set[str]) -> bool:
    if task.depends_on is None or not task.depends_on.name:
        return False
    gone = [name in lost for name in task.depends_on.name]
    return all(gone) if task.depends_on.iteration == "any" and len(gone) > 1 else any(gone)
