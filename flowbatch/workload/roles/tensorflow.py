"""The tensorflow plugin: TF_CONFIG for distributed TensorFlow (Volcano: tensorflow plugin)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import msgspec

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import task_hosts
from flowbatch.workload.roles.pod import add_env, add_port, containers_of, variable

#: In the order of TF_CONFIG's cluster object.
ROLES = ("ps", "worker", "chief", "evaluator")


class TensorFlow(Quiet):
    """Who is in the cluster, and which of them this pod is."""

    name: ClassVar[str] = "tensorflow"
    flags: ClassVar[Mapping[str, Flag]] = {**{role: role for role in ROLES}, "port": 2222}
    needs: ClassVar[tuple[str, ...]] = ("svc",)

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Sets TF_CONFIG, except in a job of one pod, which TensorFlow must take for a local one."""
        if len(job.spec.tasks) == 1 and job.spec.tasks[0].replicas == 1:
            return
        config = tf_config(job, task, index, flags)
        for container in containers_of(pod, init=False):
            add_env(container, variable("TF_CONFIG", config))
            add_port(container, "tfjob-port", flags.number("port"))

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """At least one task must have a role."""
        roles = [flags.text(role) for role in ROLES]
        if tasks and not any(name in tasks for name in roles):
            hint = "e.g. --worker=" + next(iter(tasks))
            yield SpecError("", "finds no task of any role: " + ", ".join(roles), None, hint)


def tf_config(job: Job, task: TaskSpec, index: int, flags: Parsed) -> str:
    """The value of TF_CONFIG for pod `index` of `task`, as compact JSON."""
    role_of = {flags.text(role): role for role in reversed(ROLES)}
    port = flags.number("port")
    cluster: dict[str, list[str]] = {}
    by_name = {each.name: each for each in job.spec.tasks}
    for role in ROLES:
        found = by_name.get(flags.text(role))
        if found is not None and found.replicas:
            cluster[role] = [f"{host}.{domain}:{port}" for host, domain in task_hosts(job, found)]
    config = {"cluster": cluster, "task": {"type": role_of.get(task.name, task.name), "index": index}}
    return msgspec.json.encode(config).decode()
