"""What a job plugin is: something that finishes pods and brings objects of its own along.

The six of issue 3 and two more live beside this file, one module each; `flowbatch.workload.roles` names them all.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

import msgspec

from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.kinds import JOB
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError
from flowbatch.workload.roles.flags import Flag, Parsed


class SshKeys(msgspec.Struct, frozen=True):
    """A key pair for a job's pods: PEM, and one line of authorized_keys. Made by `controllers.keys`, never here."""

    private: str
    public: str


class RolePlugin(Protocol):
    """One job plugin. Everything is computed from the spec; nothing waits for addresses."""

    name: ClassVar[str]
    flags: ClassVar[Mapping[str, Flag]]
    #: Plugins that the webhook adds when this one is used.
    needs: ClassVar[tuple[str, ...]]

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Finish the manifest of pod `index` of `task`, in place."""
        ...

    def objects(self, job: Job, flags: Parsed, keys: SshKeys | None) -> list[JsonObject]:
        """Manifests that the job needs before its pods start."""
        ...

    def update(self, job: Job, flags: Parsed) -> list[JsonObject]:
        """The part of `objects` whose content follows the job's size, to be patched when it changes."""
        ...

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """What the job's tasks (name -> index in the spec) lack for this plugin; paths are relative to the plugin."""
        ...


class Quiet:
    """A plugin that needs nothing, says nothing and brings nothing: each plugin overrides what it does do."""

    name: ClassVar[str] = ""
    flags: ClassVar[Mapping[str, Flag]] = {}
    needs: ClassVar[tuple[str, ...]] = ()

    def on_pod(self, pod: JsonObject, job: Job, task: TaskSpec, index: int, flags: Parsed) -> None:
        """Leaves the pod as it is."""

    def objects(self, job: Job, flags: Parsed, keys: SshKeys | None) -> list[JsonObject]:
        """None."""
        return []

    def update(self, job: Job, flags: Parsed) -> list[JsonObject]:
        """None."""
        return []

    def problems(self, tasks: Mapping[str, int], flags: Parsed) -> Iterator[SpecError]:
        """None."""
        yield from ()


def owned(job: Job, api_version: str, kind: str, name: str, **content: Any) -> JsonObject:
    """A manifest of an object that belongs to `job` and goes when it goes."""
    metadata = {"name": name, "namespace": job.metadata.namespace, "ownerReferences": [owner_of(job)]}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def owner_of(job: Job) -> JsonObject:
    """The owner reference by which everything a job makes is collected."""
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
