"""The env plugin: each container learns its index within its task (Volcano: env plugin)."""

from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Parsed
from flowbatch.workload.roles.pod import add_env, containers_of, variable


class Env(Quiet):
    """VC_TASK_INDEX, and VK_TASK_INDEX for manifests older than Volcano."""

    name: ClassVar[str] = "env"

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Adds both variables to every container."""
        for container in containers_of(pod):
            add_env(container, variable("VK_TASK_INDEX", index), variable("VC_TASK_INDEX", index))
