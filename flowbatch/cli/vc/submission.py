"""A job out of flags, as `vcctl job run` and `vsub` make it: one task, one container, one kind of pod."""

from dataclasses import dataclass

from flowbatch.api.kinds import JOB
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload import rules

DEFAULT_IMAGE = "busybox"
DEFAULT_AMOUNTS = "cpu=1000m,memory=100Mi"
#: The label that vcctl puts on pods.
LABEL = "job.volcano.sh"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the flags say."""

    name: str
    namespace: str = "default"
    image: str = DEFAULT_IMAGE
    least: int = 1
    replicas: int = 1
    requests: str = DEFAULT_AMOUNTS
    limits: str = DEFAULT_AMOUNTS
    scheduler: str = SCHEDULER_NAME
    command: tuple[str, ...] = ()


def manifest(wish: Wish) -> JsonObject:
    """The job. Raises SpecErrors with every problem."""
    container: JsonObject = {
        "name": wish.name,
        "image": wish.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": amounts("--requests", wish.requests), "limits": amounts("--limits", wish.limits)},
    }
    if wish.command:
        container["command"] = list(wish.command)
    template = {
        "metadata": {"name": wish.name, "labels": {LABEL: wish.name}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }
    task = {"replicas": wish.replicas, "template": template}
    job: JsonObject = {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {"name": wish.name, "namespace": wish.namespace},
        "spec": {"minAvailable": wish.least, "schedulerName": wish.scheduler, "tasks": [task]},
    }
    if problems := rules.check_job(job):
        raise SpecErrors(problems, f"job {wish.name}")
    return job


def amounts(flag: str, text: str) -> dict[str, str]:
    """`cpu=1000m,memory=100Mi` as a resource list. Raises SpecError."""
    found: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        resource, equals, amount = pair.partition("=")
        if not (resource and equals and amount):
            raise SpecError(flag, "expected RESOURCE=QUANTITY", pair, "e.g. cpu=1000m,memory=100Mi")
        found[resource] = amount
    return found
