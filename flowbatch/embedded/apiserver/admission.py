"""What stands between a decoded object and the store: namespaces, priority classes, and the callables handed in."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.refusals import Cause, forbidden, invalid, not_found
from flowbatch.embedded.apiserver.resources import Registry, Resource
from flowbatch.embedded.apiserver.store import Collection, ObjectStore
from flowbatch.errors import SpecErrors

#: (operation, kind, old, new, lookup) -> the object to store; raises SpecErrors to refuse.
Admit = Callable[[str, str, JsonObject | None, JsonObject | None, "Lookup"], JsonObject | None]

_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public")


class Lookup:
    """The callables' only view of the world: stored objects by kind name. They must not be changed."""

    def __init__(self, store: ObjectStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._by_kind: dict[str, str] = {}
        self._revision = -1

    def __call__(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """One object; `namespace` is "" for cluster-scoped kinds."""
        found = self._collection(kind)
        entry = found.entries.get(f"{namespace}/{name}" if namespace else name) if found else None
        return entry.obj if entry else None

    def every(self, kind: str) -> Iterator[JsonObject]:
        """All objects of a kind."""
        found = self._collection(kind)
        return (entry.obj for entry in (found.entries.values() if found else ()))

    def _collection(self, kind: str) -> Collection | None:
        if self._revision != self._registry.revision:
            # Groups may share a kind name (batch Job, Volcano Job); a custom kind wins, as the callables mean theirs.
            ranked = sorted(self._registry, key=lambda each: each.custom)
            self._by_kind = {each.kind: each.storage_name for each in ranked}
            self._revision = self._registry.revision
        return self._store.collections.get(self._by_kind.get(kind, ""))


class Admission:
    """The checks that need to see other objects."""

    def __init__(self, store: ObjectStore, registry: Registry, admit: Sequence[Admit] = ()) -> None:
        self._store = store
        self.lookup = Lookup(store, registry)
        self.admit = list(admit)

    def namespace_open(self, resource: Resource, namespace: str, name: str) -> None:
        """Creating needs a namespace that exists and is not going away."""
        entry = self._store.collection("/namespaces").entries.get(namespace)
        if entry is None:
            raise not_found("namespaces", "", namespace)
        if entry.obj["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            refusal = forbidden(resource.plural, resource.group, name, why)
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
            refusal.details = {**(refusal.details or {}), "causes": [{**cause, "field": "metadata.namespace"}]}
            raise refusal

    def refuse_system_namespace(self, resource: Resource, name: str) -> None:
        """The namespaces that everything needs cannot be deleted."""
        if resource.type_name == "core.v1.Namespace" and name in _SYSTEM_NAMESPACES:
            raise forbidden("namespaces", "", name, "this namespace may not be deleted")

    def resolve_priority(self, resource: Resource, pod: JsonObject) -> None:
        """Fill a pod's priority from its class, or from the default class; an unknown class is refused."""
        classes = self._store.collection("scheduling.k8s.io/priorityclasses").entries
        spec = pod["spec"]
        name = spec.get("priorityClassName") or ""
        chosen = classes[name].obj if name in classes else None
        if name and chosen is None:
            why = f"no PriorityClass with name {name} was found"
            raise forbidden(resource.plural, resource.group, pod["metadata"].get("name") or "", why)
        if chosen is None:
            defaults = [entry.obj for entry in classes.values() if entry.obj.get("globalDefault")]
            chosen = min(defaults, key=lambda each: each.get("value") or 0) if defaults else None
        value = (chosen or {}).get("value") or 0
        if spec.get("priority") not in (None, value):
            why = (
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
                f"admission controller computed {value} from the given PriorityClass name"
            )
            raise forbidden(resource.plural, resource.group, pod["metadata"].get("name") or "", why)
        spec["priority"] = value
        if chosen is not None and not name:
            spec["priorityClassName"] = chosen["metadata"]["name"]
        spec.setdefault("preemptionPolicy", (chosen or {}).get("preemptionPolicy") or "PreemptLowerPriority")

    def consult(
        self, operation: str, resource: Resource, old: JsonObject | None, new: JsonObject | None
    ) -> JsonObject | None:
        """Ask every callable in turn; what one returns is what the next one sees."""
        for each in self.admit:
            try:
                new = each(operation, resource.kind, old, new, self.lookup)
            except SpecErrors as problems:
                raise refusal_of(resource, new or old or {}, problems) from None
        return new

    @property
    def active(self) -> bool:
        """Whether there is anyone to consult."""
        return bool(self.admit)


def refusal_of(resource: Resource, obj: JsonObject, problems: SpecErrors) -> Exception:
    """The 422 for what an admit callable refused."""
    causes = [
        Cause("FieldValueInvalid", str(each).removeprefix(f"{each.path}: "), each.path) for each in problems.problems
    ]
    metadata: Any = obj.get("metadata") or {}
    return invalid(resource.kind, resource.group, metadata.get("name") or metadata.get("generateName") or "", causes)


def unshared(obj: JsonObject) -> JsonObject:
    """A copy that shares nothing with the store, for what defaulting and callables may change in place."""
    return orjson.loads(orjson.dumps(obj))  # type: ignore[no-any-return]
