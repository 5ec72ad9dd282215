"""MPI: a launcher that runs `mpiexec`, and workers that wait for it behind sshd, all in one gang.

The `mpi`, `ssh` and `svc` plugins give the launcher the workers' host names (`MPI_HOST`), every pod a key that all the
others accept, and every pod a name that resolves. Source: Volcano, mpi plugin.
"""

from collections.abc import Mapping
from typing import Literal

from flowbatch_dsl.job import Job
from flowbatch_dsl.policies import On
from flowbatch_dsl.recipes.restarts import max_retry, restart_on_loss
from flowbatch_dsl.resources import Resources
from flowbatch_dsl.task import DEFAULT_IMAGE, Task, Words

#: What the launcher needs beside its workers: it only starts them and passes their output on.
LAUNCHER = Resources(cpu="100m", memory="128Mi")
#: A shell finds sshd wherever the image has it; Debian's wants its run directory, and an absolute path to itself.
SSHD = (
    "sh",
    "-c",
    'PATH="$PATH:/usr/sbin"; sshd="$(command -v sshd)"; '
    'case "$sshd" in /usr/sbin/*) mkdir -p /run/sshd;; esac; exec "$sshd" -D -e',
)


def mpi(
    name: str,
    command: Words,
    *,
    workers: int = 1,
    slots: int = 1,
    image: str = DEFAULT_IMAGE,
    resources: Resources = Resources(),  # noqa: B008  (frozen)
    launcher: Resources = LAUNCHER,
    env: Mapping[str, str] | None = None,
    workdir: str = "",
    flavor: Literal["mpich", "openmpi"] = "mpich",
    retries: int = 2,
    queue: str = "default",
    namespace: str = "",
    priority: str = "",
) -> Job:
    """`mpi("pi", ["python", "pi.py"], workers=4, slots=2)`: 8 ranks of the command on 4 pods.

    `resources` are of each worker pod, `launcher` of the one pod that runs mpiexec. Tasks are called "launcher" and
    "worker". The launcher starts once all workers run; when it completes, the job does, and the workers are stopped.
    The image needs sshd and an MPI of the given `flavor` ("mpich" is also Intel MPI and MVAPICH). `retries` is how
    often the whole job starts again after a pod failed or was evicted.
    """
    plugins = {"svc": (), "ssh": (), "mpi": ("--master=launcher", "--worker=worker", "--port=22")}
    shared = env or {}
    return Job(
        name,
        namespace=namespace,
        queue=queue,
        priority=priority,
        retries=max_retry(retries),
        plugins=plugins,
        on=restart_on_loss(),
        tasks=[
            Task(
                "launcher",
                [*_mpiexec(flavor, workers, slots), *command],
                image=image,
                resources=launcher,
                env=shared,
                workdir=workdir,
                after=["worker"],
                on=[On("TaskCompleted", do="CompleteJob")],
            ),
            Task("worker", SSHD, replicas=workers, image=image, resources=resources, env=shared, workdir=workdir),
        ],
    )


def _mpiexec(flavor: str, workers: int, slots: int) -> list[str]:
    """mpiexec with its options; Kubernetes puts the plugins' variables in place of `$(...)`.

    Hydra tells its proxies to call back to the launcher's bare host name, which no other pod can resolve, unless
    `-localhost` gives a better one.
    """
    count = ["-n", str(workers * slots)]
    if flavor == "openmpi":
        place = ["--host", "$(MPI_HOST)", "--map-by", f"ppr:{slots}:node:oversubscribe"]
        return ["mpiexec", "--allow-run-as-root", *place, *count]
    place = ["-localhost", "$(VC_LAUNCHER_HOSTS)", "-hosts", "$(MPI_HOST)", "-ppn", str(slots)]
    return ["mpiexec", "-launcher", "ssh", *place, *count]
