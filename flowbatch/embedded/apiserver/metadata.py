"""What is true of every object's metadata: names, labels, system fields, and what an update may not touch."""

import re
import secrets
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import (
    MODIFIED,
    Cause,
    Refusal,
    conflict,
    forbidden_field,
    invalid,
    invalid_value,
    required,
)
from flowbatch.embedded.apiserver.resources import Resource

LABEL_1123 = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
SUBDOMAIN_1123 = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
MAX_ANNOTATION_BYTES = 256 * 1024
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
#: Fields that only the server writes; what a client sends in them is replaced.
_SYSTEM = ("selfLink", "managedFields")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character"
)
_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_LABEL_NAMED = {"core.v1.Namespace"}
#: RBAC names are path segments: almost anything goes.
_PATH_NAMED = {"rbac.v1.Role", "rbac.v1.RoleBinding", "rbac.v1.ClusterRole", "rbac.v1.ClusterRoleBinding"}


@lru_cache(maxsize=8192)
def subdomain_problem(name: str) -> str:
    """Why `name` is no DNS subdomain, or the empty string."""
    if len(name) > 253:
        return "must be no more than 253 characters"
    return "" if SUBDOMAIN_1123.fullmatch(name) else _SUBDOMAIN_RULE


@lru_cache(maxsize=8192)
def label_problem(name: str) -> str:
    """Why `name` is no DNS label, or the empty string."""
    if len(name) > 63:
        return "must be no more than 63 characters"
    return "" if LABEL_1123.fullmatch(name) else _LABEL_RULE


def label_1035_problem(name: str) -> str:
    """Why `name` is no RFC 1035 label (what services are called), or the empty string."""
    if len(name) > 63:
        return "must be no more than 63 characters"
    return "" if LABEL_1035.fullmatch(name) else _1035_RULE


def path_problem(name: str) -> str:
    """Why `name` is no path segment, or the empty string."""
    if name in (".", ".."):
        return f"may not be '{name}'"
    return "may not contain '/' or '%'" if "/" in name or "%" in name else ""


def name_rule(resource: Resource) -> Callable[[str], str]:
    """The rule for names of `resource`."""
    if resource.type_name in _LABEL_NAMED:
        return label_problem
    if resource.type_name in _PATH_NAMED:
        return path_problem
    # Kubernetes 1.36 relaxed service names to RFC 1123 labels.
    return label_problem if resource.type_name == "core.v1.Service" else subdomain_problem


def generate_name(base: str) -> str:
    """`base`, cut if need be, with five random letters, as the API server makes names."""
    return base[:58] + "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))


def stamp_new(metadata: JsonObject, now: str, *, generation: bool) -> None:
    """Set the system fields of an object that is about to be created, in place."""
    for name in (*_SYSTEM, "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now
    if generation:
        metadata["generation"] = 1
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(metadata["generateName"])


def keep_system_fields(resource: Resource, new: JsonObject, old: JsonObject, *, patched: bool) -> None:
    """Give `new` metadata the system fields of `old`, in place; raises a Refusal where uid or version disagree.

    A uid is a precondition of a PUT (409), but a patch that changes it changes an immutable field (422).
    """
    name = old["name"]
    uid, version = new.get("uid"), new.get("resourceVersion")
    if version and version != old["resourceVersion"]:
        raise conflict(resource.plural, resource.group, name, MODIFIED)
    if uid and uid != old["uid"]:
        if patched:
            cause = invalid_value("metadata.uid", uid, "field is immutable")
            raise invalid(resource.kind, resource.group, name, [cause])
        raise uid_conflict(resource, name, uid, old["uid"])
    for field in _SYSTEM:
        new.pop(field, None)
    for field in ("uid", "resourceVersion", "generation", "creationTimestamp"):
        _copy(field, old, new)
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        _copy(field, old, new)


def _copy(field: str, old: JsonObject, new: JsonObject) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)


def uid_conflict(resource: Resource, name: str, wanted: str, found: str) -> Refusal:
    """409: the object of that name is another one than the writer meant."""
    why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
    return conflict(resource.plural, resource.group, name, why)


def check_metadata(resource: Resource, metadata: JsonObject) -> list[Cause]:
    """Problems of names, labels, annotations, owners and finalizers."""
    causes: list[Cause] = []
    name, generate = metadata.get("name"), metadata.get("generateName")
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif why := name_rule(resource)(name):
        causes.append(invalid_value("metadata.name", name, why))
    if generate and (why := name_rule(resource)(generate.rstrip("-.") + "x")):
        causes.append(invalid_value("metadata.generateName", generate, why))
    if metadata.get("labels"):
        causes += check_labels(metadata["labels"], "metadata.labels")
    if metadata.get("annotations"):
        causes += check_annotations(metadata["annotations"], "metadata.annotations")
    if metadata.get("ownerReferences"):
        causes += _check_owners(metadata["ownerReferences"])
    for each in metadata.get("finalizers") or ():
        if not isinstance(each, str) or key_problem(each):
            causes.append(invalid_value("metadata.finalizers", each, "name is not a valid finalizer name"))
    return causes


@lru_cache(maxsize=8192)
def key_problem(key: str) -> str:
    """Why `key` is no qualified name (label keys, annotation keys, finalizers), or the empty string."""
    prefix, slash, name = key.rpartition("/")
    if slash and (not prefix or subdomain_problem(prefix)):
        return f"prefix part {_SUBDOMAIN_RULE}"
    if not name or len(name) > 63 or not _QUALIFIED.fullmatch(name):
        return (
            "name part must be 1 to 63 alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character"
        )
    return ""


def check_labels(labels: Any, path: str) -> list[Cause]:
    """Problems of a label map."""
    if not isinstance(labels, dict):
        return [invalid_value(path, labels, "must be a map of strings")]
    causes = []
    for key, value in labels.items():
        if why := key_problem(key):
            causes.append(invalid_value(path, key, why))
        if not isinstance(value, str) or len(value) > 63 or (value and not _QUALIFIED.fullmatch(value)):
            why = (
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', start "
                "and end with an alphanumeric character, and be no more than 63 characters"
            )
            causes.append(invalid_value(path, value, why))
    return causes


def check_annotations(annotations: Any, path: str) -> list[Cause]:
    """Problems of an annotation map; its total size is bounded."""
    if not isinstance(annotations, dict):
        return [invalid_value(path, annotations, "must be a map of strings")]
    causes = []
    total = 0
    for key, value in annotations.items():
        if why := key_problem(key.lower()):
            causes.append(invalid_value(path, key, why))
        if not isinstance(value, str):
            causes.append(invalid_value(path, value, "must be a string"))
        else:
            total += len(key) + len(value)
    if total > MAX_ANNOTATION_BYTES:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes", path))
    return causes


def _check_owners(owners: list[JsonObject]) -> list[Cause]:
    causes = []
    path = "metadata.ownerReferences"
    for index, owner in enumerate(owners):
        missing = [name for name in ("apiVersion", "kind", "name", "uid") if not owner.get(name)]
        causes += [invalid_value(f"{path}[{index}].{name}", "", "must not be empty") for name in missing]
    leading = [owner for owner in owners if owner.get("controller")]
    if len(leading) > 1:
        why = f"Only one reference can have Controller set to true. Found {len(leading)}"
        causes.append(invalid_value(path, leading[0].get("name"), why))
    return causes


def check_metadata_update(new: JsonObject, old: JsonObject) -> list[Cause]:
    """What may not change: the name, and finalizers may not be added to what is already being deleted."""
    changed = [field for field in ("name", "namespace") if new.get(field) != old.get(field)]
    causes = [invalid_value(f"metadata.{field}", new.get(field), "field is immutable") for field in changed]
    if old.get("deletionTimestamp"):
        added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            why = f"no new finalizers can be added if the object is being deleted, found new finalizers {added}"
            causes.append(forbidden_field("metadata.finalizers", why))
    return causes
