"""The mpi plugin: the master knows its workers' hosts (Volcano: mpi plugin).

svc and ssh come with it. The svc plugin's `/etc/volcano/<worker task>.host` is a host file for every MPI as it is
(`mpiexec -f`, `mpirun --hostfile`); with `--flavor` the master's MPI finds it by itself, in the variables that the MPI
operator sets too, and with `--slots` it takes every host for so many ranks.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import addresses, task_named
from flowbatch.workload.roles.missing import missing_task
from flowbatch.workload.roles.pod import add_env, add_port, containers_of, variable
from flowbatch.workload.roles.svc import MOUNT_PATH, host_file

#: Flavor -> variable -> value; `{file}` is the host file, `{slots}` the ranks of a host. OpenMPI 5 calls itself PRTE;
#: MPICH takes slots only from `-ppn`, and else goes round the hosts.
FLAVORS: Mapping[str, Mapping[str, str]] = {
    "openmpi": {
        "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
        "OMPI_MCA_orte_default_hostfile": "{file}",
        "OMPI_MCA_orte_set_default_slots": "{slots}",
        "OMPI_MCA_plm_rsh_args": "-o ConnectionAttempts=10",
        "PRTE_MCA_prte_keep_fqdn_hostnames": "true",
        "PRTE_MCA_prte_default_hostfile": "{file}",
        "PRTE_MCA_prte_set_default_slots": "{slots}",
        "PRTE_MCA_plm_ssh_args": "-o ConnectionAttempts=10",
    },
    "intel": {
        "I_MPI_HYDRA_HOST_FILE": "{file}",
        "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS": "-o ConnectionAttempts=10",
        "I_MPI_PERHOST": "{slots}",
    },
    "mpich": {
        "HYDRA_HOST_FILE": "{file}",
        "HYDRA_LAUNCHER_EXTRA_ARGS": "-o ConnectionAttempts=10",
    },
}


class Mpi(Quiet):
    """MPI_HOST on the master; the ssh port open everywhere."""

    name: ClassVar[str] = "mpi"
    flags: ClassVar[Mapping[str, Flag]] = {
        "master": "master",
        "worker": "worker",
        "port": 22,
        # flowbatch's own: Volcano's plugin has neither.
        "flavor": "",
        "slots": 1,
    }
    needs: ClassVar[tuple[str, ...]] = ("svc", "ssh")

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Opens the port; tells the master its workers."""
        workers = task_named(job, flags.text("worker"))
        hosts = ",".join(addresses(job, workers)) if workers is not None else ""
        told = [variable("MPI_HOST", hosts), *flavored(flags)]
        for container in containers_of(pod):
            add_port(container, "mpijob-port", flags.number("port"))
            if task.name == flags.text("master"):
                add_env(container, *told)

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """Both tasks must exist."""
        yield from missing_task("master", flags, tasks)
        yield from missing_task("worker", flags, tasks)
        if (flavor := flags.text("flavor")) and flavor not in FLAVORS:
            yield SpecError("", "--flavor is no MPI that is known", flavor, did_you_mean(flavor[:100], FLAVORS))
        if flags.number("slots") < 1:
            yield SpecError("", "--slots must be at least 1", flags.number("slots"))


def flavored(flags: Parsed) -> list[JsonObject]:
    """What the chosen MPI reads its hosts and their slots from."""
    file = f"{MOUNT_PATH}/{host_file(flags.text('worker'))}"
    given = FLAVORS.get(flags.text("flavor"), {})
    return [variable(name, text.format(file=file, slots=flags.number("slots"))) for name, text in given.items()]
