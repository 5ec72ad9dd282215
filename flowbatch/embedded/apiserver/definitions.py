"""CustomResourceDefinitions: storing one serves its kind at once; removing it removes the objects."""

from collections.abc import Callable
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.apiserver.builtin import getter
from flowbatch.embedded.apiserver.columns import custom_columns, read
from flowbatch.embedded.apiserver.refusals import Cause, invalid, invalid_value, required
from flowbatch.embedded.apiserver.resources import ALL_VERBS, Resource, View
from flowbatch.embedded.apiserver.rest import Rest
from flowbatch.embedded.apiserver.structural import Structural

TYPE_NAME = "apiextensions.v1.CustomResourceDefinition"


class Definitions:
    """Keeps the registry in step with the stored CRDs."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        rest.before[TYPE_NAME] = self._before
        rest.after[TYPE_NAME] = self._after

    def _before(self, resource: Resource, old: JsonObject | None, new: JsonObject | None) -> None:
        """Check a definition, and complete it in place with names, conditions and stored versions."""
        if new is None:
            return
        causes = _problems(new)
        if causes:
            raise invalid(resource.kind, resource.group, new["metadata"]["name"], causes)
        names = new["spec"]["names"]
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", names["kind"] + "List")
        new["spec"].setdefault("conversion", {"strategy": "None"})
        self._complete_status(new, old)

    def _complete_status(self, new: JsonObject, old: JsonObject | None) -> None:
        now = format_time(self._rest.now())
        spec = new["spec"]
        status = dict(new.get("status") or {}) if old is not None else {}
        stored = [each["name"] for each in spec["versions"] if each.get("storage")]
        kept = [each for each in status.get("storedVersions") or () if each not in stored]
        status["storedVersions"] = [*kept, *stored]
        status["acceptedNames"] = spec["names"]
        if not status.get("conditions"):
            status["conditions"] = [
                _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
                _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
            ]
        new["status"] = status

    def _after(self, resource: Resource, old: JsonObject | None, new: JsonObject | None) -> None:
        """Serve what is now defined, and no longer what was."""
        served = {each.version: each for each in resources_of(new)} if new is not None else {}
        for each in resources_of(old) if old is not None else ():
            if each.version not in served:
                self._rest.registry.remove(each)
        for each in served.values():
            self._rest.registry.add(each)
        if new is None and old is not None:
            self._remove_objects(old)

    def _remove_objects(self, old: JsonObject) -> None:
        """The kind is gone, so its objects are; watchers are told."""
        spec = old["spec"]
        name = f"{spec['group']}/{spec['names']['plural']}"
        collection = self._rest.store.collections.get(name)
        for key in list(collection.keys) if collection else ():
            assert collection is not None
            self._rest.store.remove(collection, key)
        for watch in list(self._rest.watches.get(name, ())):
            watch.close()


def _condition(kind: str, reason: str, message: str, now: str) -> JsonObject:
    return {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}


def _problems(definition: JsonObject) -> list[Cause]:
    spec: Any = definition.get("spec") or {}
    names: Any = spec.get("names") or {}
    causes = [required(f"spec.{field}") for field in ("group", "scope", "versions") if not spec.get(field)]
    causes += [required(f"spec.names.{field}") for field in ("plural", "kind") if not names.get(field)]
    if causes:
        return causes
    expected = f"{names['plural']}.{spec['group']}"
    if definition["metadata"]["name"] != expected:
        why = 'must be spec.names.plural+"."+spec.group'
        causes.append(invalid_value("metadata.name", definition["metadata"]["name"], why))
    if spec["scope"] not in ("Cluster", "Namespaced"):
        causes.append(invalid_value("spec.scope", spec["scope"], 'one of "Cluster", "Namespaced"'))
    if sum(bool(each.get("storage")) for each in spec["versions"]) != 1:
        causes.append(
            invalid_value("spec.versions", "versions", "must have exactly one version marked as storage version")
        )
    for index, each in enumerate(spec["versions"]):
        if not read(each, "schema.openAPIV3Schema"):
            causes.append(required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required"))
    return causes


def resources_of(definition: JsonObject) -> list[Resource]:
    """The served versions of a definition as resources."""
    spec = definition["spec"]
    storage = next(each["name"] for each in spec["versions"] if each.get("storage"))
    return [_resource(spec, each, storage) for each in spec["versions"] if each.get("served")]


def _resource(spec: JsonObject, version: JsonObject, storage: str) -> Resource:
    names, below = spec["names"], version.get("subresources") or {}
    inward, outward = _views(spec["group"], version["name"], storage)
    return Resource(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular", ""),
        list_kind=names.get("listKind", ""),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=frozenset(name for name in ("status", "scale") if below.get(name) is not None),
        verbs=ALL_VERBS,
        selectable=_selectable(version),
        columns=custom_columns(version.get("additionalPrinterColumns") or ()),
        structural=Structural(version["schema"]["openAPIV3Schema"], root=True),
        scale=below.get("scale"),
        inward=inward,
        outward=outward,
    )


def _views(group: str, version: str, storage: str) -> tuple[View | None, View | None]:
    """Versions of a custom kind differ in name only (conversion strategy None)."""
    if version == storage:
        return None, None
    return _renaming(f"{group}/{storage}"), _renaming(f"{group}/{version}")


def _renaming(api_version: str) -> View:
    return lambda obj: {**obj, "apiVersion": api_version}


def _selectable(version: JsonObject) -> dict[str, Callable[[JsonObject], str]]:
    paths = [each["jsonPath"].removeprefix(".") for each in version.get("selectableFields") or ()]
    return {path: getter(path) for path in paths}
