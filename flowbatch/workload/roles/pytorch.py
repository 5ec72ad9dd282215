"""The pytorch plugin: the variables of torch.distributed (Volcano: pytorch plugin)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import first_address, task_named
from flowbatch.workload.roles.missing import missing_task
from flowbatch.workload.roles.pod import add_env, add_port, containers_of, variable

_WAIT = (
    'end=$(( $(date +%s) + $TIMEOUT )); until nc -z -w 2 "$MASTER_ADDR" "$MASTER_PORT"; do '
    '[ "$(date +%s)" -lt "$end" ] || { echo "no master at $MASTER_ADDR:$MASTER_PORT"; exit 1; }; sleep 1; done'
)


class PyTorch(Quiet):
    """MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK: the master is rank 0, worker i is rank i + 1."""

    name: ClassVar[str] = "pytorch"
    flags: ClassVar[Mapping[str, Flag]] = {
        "master": "master",
        "worker": "worker",
        "port": 23456,
        "wait-master-enabled": False,
        "wait-master-timeout": 300,
        "wait-master-image": "busybox:1.36.1",
    }
    needs: ClassVar[tuple[str, ...]] = ("svc",)

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Sets the variables, and makes workers wait for the master where that is asked for."""
        master = task_named(job, flags.text("master"))
        if master is None:
            return
        port = flags.number("port")
        meeting = (variable("MASTER_ADDR", first_address(job, master)), variable("MASTER_PORT", port))
        ranks = {flags.text("worker"): index + 1, flags.text("master"): 0}
        for container in containers_of(pod, init=False):
            add_port(container, "pytorchjob-port", port)
            add_env(container, *meeting, variable("WORLD_SIZE", world_size(job, flags)))
            if task.name in ranks:
                add_env(container, variable("RANK", ranks[task.name]))
        if task.name == flags.text("worker") and flags.truth("wait-master-enabled"):
            waiting = pod["spec"].get("initContainers") or []
            pod["spec"]["initContainers"] = [*waiting, _waiter(flags, meeting)]

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """The master must exist: without it Volcano starts pods that never meet."""
        yield from missing_task("master", flags, tasks)


def world_size(job: Job, flags: Parsed) -> int:
    """Pods of the master and worker tasks together."""
    names = (flags.text("master"), flags.text("worker"))
    return sum(task.replicas for task in job.spec.tasks if task.name in names)


def _waiter(flags: Parsed, meeting: tuple[JsonObject, ...]) -> JsonObject:
    return {
        "name": "wait-for-master",
        "image": flags.text("wait-master-image"),
        "command": ["sh", "-c", _WAIT],
        "env": [*meeting, variable("TIMEOUT", flags.number("wait-master-timeout"))],
    }
