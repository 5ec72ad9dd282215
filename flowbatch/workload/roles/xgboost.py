"""The xgboost plugin: the variables of XGBoost's tracker (Kubeflow Trainer: xgboost policy). Volcano has none.

Rank 0 runs the tracker (`xgboost.tracker.RabitTracker`) beside its own share of the work; everybody finds it by name.
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


class XgBoost(Quiet):
    """DMLC_TRACKER_URI, DMLC_TRACKER_PORT, DMLC_NUM_WORKER and DMLC_TASK_ID."""

    name: ClassVar[str] = "xgboost"
    flags: ClassVar[Mapping[str, Flag]] = {"master": "master", "worker": "worker", "port": 9091}
    needs: ClassVar[tuple[str, ...]] = ("svc",)

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Sets the variables; pods of other tasks take no part."""
        tasks, port = ranked(job, flags), flags.number("port")
        if (rank := rank_of(tasks, task, index)) is None:
            return
        for container in containers_of(pod, init=False):
            add_port(container, "xgbjob-port", port)
            add_env(
                container,
                variable("DMLC_TRACKER_URI", meeting_place(tasks, job)),
                variable("DMLC_TRACKER_PORT", port),
                variable("DMLC_NUM_WORKER", world_size(tasks)),
                variable("DMLC_TASK_ID", rank),
            )

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """One of the tasks must exist."""
        yield from missing_role(("master", "worker"), flags, tasks)
