"""Ranks over two tasks: masters first, if the job has any, workers after them; rank 0 is where all others report."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import first_address, task_named
from flowbatch.workload.roles.missing import missing_role
from flowbatch.workload.roles.pod import add_env, add_port, containers_of, variable

_ROLES = ("master", "worker")


class Ranked(Quiet, ABC):
    """A plugin that tells each pod its rank, how many there are, and where rank 0 is; the port is rank 0's."""

    flags: ClassVar[Mapping[str, Flag]] = {role: role for role in _ROLES}
    needs: ClassVar[tuple[str, ...]] = ("svc",)
    port_name: ClassVar[str] = ""

    @abstractmethod
    def variables(self, host: str, port: int, rank: int, size: int) -> Mapping[str, object]:
        """What a pod is told, as environment variables."""

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Sets the variables; pods of other tasks take no part."""
        tasks = _ranked(job, flags)
        rank, port = _rank_of(tasks, task, index), flags.number("port")
        if rank is None:
            return
        size = sum(each.replicas for each in tasks)
        told = [variable(*each) for each in self.variables(first_address(job, tasks[0]), port, rank, size).items()]
        for container in containers_of(pod, init=False):
            add_port(container, self.port_name, port)
            add_env(container, *told)

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """One of the tasks must exist."""
        yield from missing_role(_ROLES, flags, tasks)


def _ranked(job: Job, flags: Parsed) -> list[TaskSpec]:
    """The tasks that have ranks, in their order."""
    found = (task_named(job, flags.text(role)) for role in _ROLES)
    return [task for task in found if task is not None and task.replicas]


def _rank_of(tasks: list[TaskSpec], task: TaskSpec, index: int) -> int | None:
    """The rank of pod `index` of `task`, or None where the task has none."""
    before = 0
    for each in tasks:
        if each.name == task.name:
            return before + index
        before += each.replicas
    return None
