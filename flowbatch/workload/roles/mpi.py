"""The mpi plugin: the master knows its workers' hosts (Volcano: mpi plugin).

svc and ssh come with it. The svc plugin's `/etc/volcano/<worker task>.host` is a host file for every MPI as it is
(`mpiexec -f`, `mpirun --hostfile`), so nothing else is injected.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import addresses, task_named
from flowbatch.workload.roles.missing import missing_task
from flowbatch.workload.roles.pod import add_env, add_port, containers_of, variable


class Mpi(Quiet):
    """MPI_HOST on the master; the ssh port open everywhere."""

    name: ClassVar[str] = "mpi"
    flags: ClassVar[Mapping[str, Flag]] = {"master": "master", "worker": "worker", "port": 22}
    needs: ClassVar[tuple[str, ...]] = ("svc", "ssh")

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Opens the port; tells the master its workers."""
        workers = task_named(job, flags.text("worker"))
        hosts = ",".join(addresses(job, workers)) if workers is not None else ""
        for container in containers_of(pod):
            add_port(container, "mpijob-port", flags.number("port"))
            if task.name == flags.text("master"):
                add_env(container, variable("MPI_HOST", hosts))

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """Both tasks must exist."""
        yield from missing_task("master", flags, tasks)
        yield from missing_task("worker", flags, tasks)
