"""The tensorflow plugin: TF_CONFIG for distributed TensorFlow (Volcano: tensorflow plugin)."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import ClassVar

import msgspec

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.contract import Quiet
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import pod_name
from flowbatch.workload.roles.missing import missing_role
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
        yield from missing_role(ROLES, flags, tasks)


def tf_config(job: Job, task: TaskSpec, index: int, flags: Parsed) -> str:
    """The value of TF_CONFIG for pod `index` of `task`, as compact JSON."""
    role_of = {flags.text(role): role for role in reversed(ROLES)}
    by_name = {each.name: each for each in job.spec.tasks}
    parts = tuple(
        (role, _pattern(job, found), found.replicas)
        for role in ROLES
        if (found := by_name.get(flags.text(role))) is not None and found.replicas
    )
    me = {"type": role_of.get(task.name, task.name), "index": index}
    config = {"cluster": msgspec.Raw(_cluster(parts, flags.number("port"))), "task": me}
    return msgspec.json.encode(config).decode()


def _pattern(job: Job, task: TaskSpec) -> tuple[str, str, bool]:
    """What the task's addresses are made from: beginning, domain, and whether an index stands between them."""
    spec: JsonObject = task.template.get("spec") or {}
    own, domain = spec.get("hostname") or "", spec.get("subdomain") or job.metadata.name
    return (own, domain, False) if own else (pod_name(job.metadata.name, task.name, 0)[:-1], domain, True)


@lru_cache(maxsize=64)
def _cluster(parts: tuple[tuple[str, tuple[str, str, bool], int], ...], port: int) -> bytes:
    """The cluster object, the same for all pods of a job and as long as the job is wide: encoded once."""
    cluster = {
        role: [f"{host}{index if many else ''}.{domain}:{port}" for index in range(count if many else 1)]
        for role, (host, domain, many), count in parts
    }
    return msgspec.json.encode(cluster)
