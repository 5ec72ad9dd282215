"""What must exist beside the pods: claims, and the objects of the job's plugins."""

from hashlib import sha256

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.meta import JsonObject
from flowbatch.workload.effective import effective
from flowbatch.workload.expand.claims import claims
from flowbatch.workload.roles import cast
from flowbatch.workload.roles.contract import SshKeys


class Support(msgspec.Struct, frozen=True):
    """One reason for objects: the key under which status.controlledResources notes it, and the manifests.

    `follows` is what changes with the job's size, and `digest` its content in short.
    """

    key: str
    note: str
    objects: tuple[JsonObject, ...] = ()
    follows: tuple[JsonObject, ...] = ()
    #: Everything that it takes is there; without keys an ssh plugin is not.
    complete: bool = True

    @property
    def digest(self) -> str:
        """The content of `follows` in a few characters; "" if there is none."""
        if not self.follows:
            return ""
        return sha256(msgspec.json.encode([each.get("data") for each in self.follows], order="sorted")).hexdigest()[:16]


def support_of(job: Job, keys: SshKeys | None) -> list[Support]:
    """All support of `job`, in the order in which it is made."""
    job = effective(job)
    found = [
        Support(f"volume-pvc-{each['metadata']['name']}", each["metadata"]["name"], (each,)) for each in claims(job)
    ]
    for plugin, flags in cast(job.spec.plugins):
        objects = tuple(plugin.objects(job, flags, keys))
        found.append(
            Support(
                f"plugin-{plugin.name}",
                plugin.name,
                objects,
                tuple(plugin.update(job, flags)),
                complete=plugin.name != "ssh" or bool(objects),
            )
        )
    return found


def plugin_objects(job: Job, keys: SshKeys | None) -> list[JsonObject]:
    """Every object that the plugins and volumes of `job` bring along."""
    return [each for support in support_of(job, keys) for each in support.objects]


def needs_keys(job: Job) -> bool:
    """Whether the job's pods log in to each other, its Secret is not made yet, and its arguments have no keys."""
    job = effective(job)
    if job.status.controlled_resources.get("plugin-ssh"):
        return False
    return any(
        plugin.name == "ssh" and not plugin.objects(job, flags, None) for plugin, flags in cast(job.spec.plugins)
    )
