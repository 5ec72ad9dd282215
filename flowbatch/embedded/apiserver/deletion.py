"""How objects go away: preconditions, propagation, grace for pods, finalizers, and namespaces that must empty first."""

from datetime import datetime, timedelta

from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.metadata import uid_conflict
from flowbatch.embedded.apiserver.refusals import Cause, Refusal, conflict, invalid
from flowbatch.embedded.apiserver.resources import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_POLICIES = ("Background", "Foreground", "Orphan")


def check_preconditions(resource: Resource, options: JsonObject, obj: JsonObject) -> None:
    """The uid and resourceVersion that the caller insists on."""
    wanted = options.get("preconditions") or {}
    metadata = obj["metadata"]
    name = metadata["name"]
    if wanted.get("uid") and wanted["uid"] != metadata["uid"]:
        raise uid_conflict(resource, name, wanted["uid"], metadata["uid"])
    version = wanted.get("resourceVersion")
    if version and version != metadata["resourceVersion"]:
        found = metadata["resourceVersion"]
        why = (
            f"Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {found}"
        )
        raise conflict(resource.plural, resource.group, name, why)


def check_options(options: JsonObject) -> None:
    """Options that contradict each other or make no sense."""
    policy = options.get("propagationPolicy")
    causes = []
    if policy is not None and policy not in _POLICIES:
        known = ", ".join(f'"{each}"' for each in (*_POLICIES, "nil"))
        causes.append(
            Cause(
                "FieldValueNotSupported",
                f'Unsupported value: "{policy}": supported values: {known}',
                "propagationPolicy",
            )
        )
    if policy is not None and options.get("orphanDependents") is not None:
        why = 'Invalid value: "": orphanDependents and deletionPropagation cannot be both set'
        causes.append(Cause("FieldValueInvalid", why, "propagationPolicy"))
    if causes:
        raise invalid("DeleteOptions", "meta.k8s.io", "", causes)


def grace_seconds(resource: Resource, options: JsonObject, obj: JsonObject) -> int:
    """How long a pod gets: nothing where no node runs it, else what was asked, else what its spec says."""
    asked = options.get("gracePeriodSeconds")
    if asked is not None and asked < 0:
        asked = 1
    if resource.type_name != "core.v1.Pod":
        return 0
    spec = obj["spec"]
    if not spec.get("nodeName") or read(obj, "status.phase") in ("Succeeded", "Failed"):
        return 0
    wanted = spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked
    return max(0, int(wanted))


def finalizers_for(options: JsonObject, obj: JsonObject) -> list[str]:
    """The object's finalizers with the one that the propagation policy asks for."""
    kept = [each for each in obj["metadata"].get("finalizers") or () if each not in (FOREGROUND, ORPHAN)]
    policy = options.get("propagationPolicy")
    before = obj["metadata"].get("finalizers") or []
    if policy == "Foreground":
        return [*kept, FOREGROUND]
    if policy == "Orphan" or options.get("orphanDependents"):
        return [*kept, ORPHAN]
    return kept if policy == "Background" or options.get("orphanDependents") is False else list(before)


def marked(resource: Resource, obj: JsonObject, finalizers: list[str], grace: int, now: datetime) -> JsonObject | None:
    """`obj` as it is while it goes away, or None where it goes at once."""
    metadata = dict(obj["metadata"])
    already = "deletionTimestamp" in metadata
    held = bool(finalizers) or (resource.type_name == "core.v1.Namespace" and bool(read(obj, "spec.finalizers")))
    if not held and grace == 0:
        return None
    left = metadata.get("deletionGracePeriodSeconds")
    if already and finalizers == (metadata.get("finalizers") or []) and (left is None or grace >= left):
        return obj
    if not already or (left is not None and grace < left):
        metadata["deletionTimestamp"] = format_time(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
    if not already and metadata.get("generation"):
        metadata["generation"] += 1
    metadata.pop("finalizers", None)
    if finalizers:
        metadata["finalizers"] = finalizers
    changed = {**obj, "metadata": metadata}
    if resource.type_name == "core.v1.Namespace":
        changed["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
    return changed


def finished(resource: Resource, obj: JsonObject) -> bool:
    """Whether an object that is going away has nothing left to wait for."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    if resource.type_name == "core.v1.Namespace" and read(obj, "spec.finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def success(resource: Resource, obj: JsonObject) -> JsonObject:
    """The Status that answers a finished DELETE."""
    details = {"name": obj["metadata"]["name"], "kind": resource.plural, "uid": obj["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def gone_meanwhile(resource: Resource, name: str) -> Refusal:
    """409 for a write that races with the end of its object."""
    return conflict(resource.plural, resource.group, name, "the object has been deleted")
