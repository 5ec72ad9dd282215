"""Orders to controllers, as Volcano's clients give them: a Command that names its object."""

from typing import Any

from flowbatch.api.kinds import COMMAND, Kind
from flowbatch.api.meta import JsonObject, ObjectMeta


def order(kind: Kind[Any], target: ObjectMeta, action: str) -> JsonObject:
    """The Command that orders `action` of an object; one for a queue, which has no namespace, is put into `default`."""
    named = {"apiVersion": kind.api_version, "kind": kind.kind, "name": target.name}
    namespace = target.namespace or "default"
    return {
        "apiVersion": COMMAND.api_version,
        "kind": COMMAND.kind,
        "metadata": {"generateName": f"{target.name}-{action.lower()}-", "namespace": namespace},
        "action": action,
        "target": {**named, "uid": target.uid, "controller": True},
    }
