"""What the rules may see of other objects: the embedded API server's store, or a webhook's caches.

A question that cannot be answered from memory is not asked: nobody calls an API server while deciding.
"""

from collections.abc import Iterable
from typing import Protocol

from flowbatch.api.meta import JsonObject


class World(Protocol):
    """Stored objects, by kind name; nothing that is given out may be changed."""

    def __call__(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """One object; `namespace` is "" for kinds that have none."""
        ...

    def every(self, kind: str) -> Iterable[JsonObject]:
        """All objects of a kind."""
        ...


def name_of(obj: JsonObject | None) -> str:
    """The object's name, as far as it has one that can be read."""
    metadata = (obj or {}).get("metadata")
    return str(metadata.get("name") or "") if isinstance(metadata, dict) else ""
