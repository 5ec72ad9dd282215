"""The jax plugin: what programs tell `jax.distributed.initialize` (Kubeflow Trainer: jax policy). Volcano has none.

JAX itself reads the coordinator's address; number and index are arguments: `num_processes=int(os.environ[...])`.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.missing import missing_role
from flowbatch.workload.roles.pod import add_env, add_port, containers_of, variable
from flowbatch.workload.roles.ranks import meeting_place, rank_of, ranked, world_size


class Jax(Quiet):
    """JAX_COORDINATOR_ADDRESS (host and port), JAX_NUM_PROCESSES and JAX_PROCESS_ID: one process a pod."""

    name: ClassVar[str] = "jax"
    flags: ClassVar[Mapping[str, Flag]] = {"master": "master", "worker": "worker", "port": 6666}
    needs: ClassVar[tuple[str, ...]] = ("svc",)

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Sets the variables; pods of other tasks take no part."""
        tasks, port = ranked(job, flags), flags.number("port")
        if (rank := rank_of(tasks, task, index)) is None:
            return
        for container in containers_of(pod, init=False):
            add_port(container, "jaxjob-port", port)
            add_env(
                container,
                variable("JAX_COORDINATOR_ADDRESS", f"{meeting_place(tasks, job)}:{port}"),
                variable("JAX_NUM_PROCESSES", world_size(tasks)),
                variable("JAX_PROCESS_ID", rank),
            )

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """One of the tasks must exist."""
        yield from missing_role(("master", "worker"), flags, tasks)
