"""The hcclrank plugin: the rank of a pod in an Ascend job, as an annotation (Volcano: hcclrank plugin)."""

from collections.abc import Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import task_named
from flowbatch.workload.roles.pod import containers_of

RANK_INDEX = "hccl/rankIndex"


class HcclRank(Quiet):
    """RANK if a container has it, else the masters first and the workers after them."""

    name: ClassVar[str] = "hcclrank"
    flags: ClassVar[Mapping[str, Flag]] = {"master": "master", "worker": "worker"}

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Sets the annotation."""
        rank = _given(pod)
        if rank is None and task.name == flags.text("master"):
            rank = str(index)
        if rank is None and task.name == flags.text("worker"):
            masters = task_named(job, flags.text("master"))
            rank = str(index + (masters.replicas if masters is not None else 0))
        if rank is not None:
            pod["metadata"].setdefault("annotations", {})[RANK_INDEX] = rank


def _given(pod: JsonObject) -> str | None:
    variables = (each for container in containers_of(pod, init=False) for each in container.get("env") or ())
    return next((each["value"] for each in variables if each.get("name") == "RANK" and "value" in each), None)
