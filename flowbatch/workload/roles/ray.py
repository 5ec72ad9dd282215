"""The ray plugin: a head, workers that join it, and a Service for clients (Volcano: ray plugin)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import JOB_NAME, JOB_NAMESPACE, TASK_SPEC
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet, SshKeys, owned
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import first_address, task_named
from flowbatch.workload.roles.missing import missing_task
from flowbatch.workload.roles.pod import add_port, containers_of

#: Port flag -> name of the port on the head and in its Service.
PORTS = {"port": "gcs", "dashboardPort": "dashboard", "clientPort": "client"}


class Ray(Quiet):
    """Overrides the commands of head and workers, as `ray start` wants them."""

    name: ClassVar[str] = "ray"
    flags: ClassVar[Mapping[str, Flag]] = {
        "head": "head",
        "headContainer": "head",
        "worker": "worker",
        "workerContainer": "worker",
        "port": 6379,
        "dashboardPort": 8265,
        "clientPort": 10001,
    }
    needs: ClassVar[tuple[str, ...]] = ("svc",)

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Replaces the command of the container that is the head, or a worker."""
        head = task_named(job, flags.text("head"))
        if head is None:
            return
        if task.name == head.name:
            container = _container(pod, flags.text("headContainer"))
            ports = {name: flags.number(flag) for flag, name in PORTS.items()}
            _say(container, head_command(flags))
            for name, port in ports.items():
                add_port(container, name, port)
        elif task.name == flags.text("worker"):
            address = f"{first_address(job, head)}:{flags.number('port')}"
            _say(_container(pod, flags.text("workerContainer")), f"ray start --block --address={address}")

    def objects(self, job: Job, flags: Parsed, keys: SshKeys | None) -> list[JsonObject]:
        """A Service with the head's ports."""
        selector = {JOB_NAME: job.metadata.name, JOB_NAMESPACE: job.metadata.namespace, TASK_SPEC: flags.text("head")}
        ports = [
            {"name": name, "port": flags.number(flag), "targetPort": flags.number(flag), "protocol": "TCP"}
            for flag, name in PORTS.items()
        ]
        return [
            owned(job, "v1", "Service", f"{job.metadata.name}-head-svc", spec={"selector": selector, "ports": ports})
        ]

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """The head must exist."""
        yield from missing_task("head", flags, tasks)


def head_command(flags: Parsed) -> str:
    """How the head is started."""
    return (
        f"ray start --head --block --dashboard-host 0.0.0.0 --port {flags.number('port')} "
        f"--dashboard-port {flags.number('dashboardPort')} --ray-client-server-port {flags.number('clientPort')}"
    )


def _container(pod: JsonObject, name: str) -> JsonObject:
    """The container called `name`, else the first one."""
    containers = list(containers_of(pod, init=False))
    return next((each for each in containers if each.get("name") == name), containers[0] if containers else {})


def _say(container: JsonObject, command: str) -> None:
    container["command"] = ["sh", "-c", command]
    container.pop("args", None)
