"""The svc plugin: pods find each other by name (Volcano: svc plugin).

A headless Service named after the job, host names for its pods, and every task's hosts as file and as variables. The
ConfigMap's data are the very variables: pods refer to them, so a scaled job needs one patch and no new pods.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import JOB_NAME, JOB_NAMESPACE
from flowbatch.workload.roles.contract import Quiet, SshKeys, owned
from flowbatch.workload.roles.flags import Flag, Parsed
from flowbatch.workload.roles.hosts import addresses, variable_part
from flowbatch.workload.roles.pod import add_env, add_mount, add_volume, containers_of

MOUNT_PATH = "/etc/volcano"


class Svc(Quiet):
    """Service, ConfigMap and NetworkPolicy of a job; host names, hosts files and host variables of its pods."""

    name: ClassVar[str] = "svc"
    flags: ClassVar[Mapping[str, Flag]] = {
        "publish-not-ready-addresses": False,
        "disable-network-policy": False,
        "inject-hosts-env": True,
    }

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Names the pod and shows it the others."""
        pod["spec"].setdefault("hostname", pod["metadata"]["name"])
        pod["spec"].setdefault("subdomain", job.metadata.name)
        name = config_map_name(job)
        add_volume(pod, {"name": name, "configMap": {"name": name}})
        tasks = tuple(each.name for each in job.spec.tasks)
        variables = _references(name, tasks) if flags.truth("inject-hosts-env") else ()
        for container in containers_of(pod):
            add_env(container, *variables)
            add_mount(container, {"name": name, "mountPath": MOUNT_PATH})

    def objects(self, job: Job, flags: Parsed, keys: SshKeys | None) -> list[JsonObject]:
        """ConfigMap and Service first, since pods wait for the one and resolve through the other."""
        made = [*self.update(job, flags), _service(job, publish=flags.truth("publish-not-ready-addresses"))]
        return made if flags.truth("disable-network-policy") else [*made, _network_policy(job)]

    def update(self, job: Job, flags: Parsed) -> list[JsonObject]:
        """The hosts, which change when a task is scaled."""
        return [owned(job, "v1", "ConfigMap", config_map_name(job), data=hosts_data(job))]


def config_map_name(job: Job) -> str:
    """The name of the ConfigMap, which is also that of the pods' volume."""
    return f"{job.metadata.name}-svc"


def host_file(task: str) -> str:
    """The name of a task's file of hosts, one a line."""
    return f"{task.replace('-', '_')}.host"


def hosts_data(job: Job) -> dict[str, str]:
    """Per task: `<task>.host` (a host per line), `VC_<TASK>_HOSTS` (with commas) and `VC_<TASK>_NUM`."""
    data: dict[str, str] = {}
    for task in job.spec.tasks:
        hosts, part = addresses(job, task), variable_part(task.name)
        data[host_file(task.name)] = "\n".join(hosts)
        data[f"VC_{part}_HOSTS"] = ",".join(hosts)
        data[f"VC_{part}_NUM"] = str(len(hosts))
    return data


@lru_cache(maxsize=64)
def _references(name: str, tasks: tuple[str, ...]) -> tuple[JsonObject, ...]:
    """The variables of all pods of a job alike: they are made once, and no pod changes them."""
    keys = [f"VC_{variable_part(task)}_{ending}" for task in tasks for ending in ("HOSTS", "NUM")]
    return tuple({"name": key, "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}} for key in keys)


def _selector(job: Job) -> dict[str, str]:
    return {JOB_NAME: job.metadata.name, JOB_NAMESPACE: job.metadata.namespace}


def _service(job: Job, *, publish: bool) -> JsonObject:
    spec: JsonObject = {"clusterIP": "None", "selector": _selector(job), "publishNotReadyAddresses": publish}
    return owned(job, "v1", "Service", job.metadata.name, spec=spec)


def _network_policy(job: Job) -> JsonObject:
    """Only pods of the job reach pods of the job."""
    own = {"matchLabels": _selector(job)}
    spec: JsonObject = {
        "podSelector": own,
        "ingress": [{"from": [{"podSelector": own}]}],
        "policyTypes": ["Ingress"],
    }
    return owned(job, "networking.k8s.io/v1", "NetworkPolicy", job.metadata.name, spec=spec)
