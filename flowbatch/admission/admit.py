"""What is let into the cluster, in one call: defaults first, then every rule. The embedded API server's `Admit`.

It is the webhook's and the CEL policies' twin: all three take their rules from `flowbatch.workload.rules`.
"""

from flowbatch.admission.judge import problems
from flowbatch.admission.mutate import mutated
from flowbatch.admission.world import World, name_of
from flowbatch.api.kinds import CUSTOM_KINDS, POD
from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecErrors

_VERSIONS = {kind.kind: kind.api_version for kind in (*CUSTOM_KINDS, POD)}


def admit(operation: str, kind: str, old: JsonObject | None, new: JsonObject | None, world: World) -> JsonObject | None:
    """The object to store, or None for a deletion. Raises SpecErrors with every problem.

    `operation` is CREATE, UPDATE or DELETE. Kinds that are not flowbatch's pass untouched.
    """
    # Jobs are Kubernetes' too; what says nothing of its version is what its kind suggests.
    version = str((new or old or {}).get("apiVersion") or _VERSIONS.get(kind, ""))
    if operation == "DELETE":
        new = None
    elif new is not None:
        new = mutated(version, kind, old, new, world)
    found = problems(version, kind, old, new, world)
    if found:
        raise SpecErrors(found, f"{kind} {name_of(new or old)}")
    return new
