"""What can be submitted: anything that stands for Kubernetes objects, be it a Job of the DSL or a file's content."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from flowbatch.api.meta import JsonObject


@runtime_checkable
class Manifests(Protocol):
    """`flowbatch run FILE.py` takes every module-level value that has this."""

    def manifests(self) -> Sequence[JsonObject]:
        """The objects to create, in order."""
        ...
