"""CRUD as Kubernetes does it: one `Rest` over the store, synchronous, so that every call is a transaction."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.apiserver import deletion
from flowbatch.embedded.apiserver.admission import Admission, unshared
from flowbatch.embedded.apiserver.builtin import node_name
from flowbatch.embedded.apiserver.call import Call, Outcome
from flowbatch.embedded.apiserver.decoding import check_fields, check_kind, parse_object
from flowbatch.embedded.apiserver.isolation import isolated, spec_changed
from flowbatch.embedded.apiserver.metadata import (
    check_metadata,
    check_metadata_update,
    generate_name,
    keep_system_fields,
    stamp_new,
)
from flowbatch.embedded.apiserver.patching import patched
from flowbatch.embedded.apiserver.refusals import (
    Cause,
    Refusal,
    already_exists,
    bad_request,
    invalid,
    invalid_value,
    not_found,
)
from flowbatch.embedded.apiserver.resources import Registry, Resource
from flowbatch.embedded.apiserver.selectors import Selection
from flowbatch.embedded.apiserver.store import Collection, Entry, ObjectStore
from flowbatch.embedded.apiserver.strategies import strategy_of

Stored = Callable[[Resource, JsonObject | None, JsonObject | None], None]


class OpenWatch(Protocol):
    """What `Rest` knows of a watch."""

    def close(self) -> None:
        """End it after what is queued."""
        ...


class Rest:
    """Reads and writes of whole objects; subresources are in `subresources`."""

    def __init__(
        self, store: ObjectStore, registry: Registry, admission: Admission, now: Callable[[], datetime]
    ) -> None:
        self.store = store
        self.registry = registry
        self.admission = admission
        self.now = now
        #: Called after a write of a kind that changes the server itself (CRDs), by type name.
        self.after: dict[str, Stored] = {}
        #: Extra checks before a write, by type name.
        self.before: dict[str, Stored] = {}
        #: Open watches by storage name; see `watching`.
        self.watches: dict[str, set[OpenWatch]] = {}
        #: The last cluster address that was given to a service.
        self._addresses = 0

    def collection(self, resource: Resource) -> Collection:
        """Where the objects of `resource` are."""
        indexed = node_name if resource.indexed_field else None
        return self.store.collection(resource.storage_name, indexed)

    def entry(self, call: Call) -> Entry:
        """The stored object that the call names, or NotFound."""
        found = self.collection(call.resource).entries.get(call.key)
        if found is None:
            raise not_found(call.resource.plural, call.resource.group, call.name)
        return found

    # ── reading ──

    def get(self, call: Call) -> Outcome:
        """One object."""
        entry = self.entry(call)
        return self.show(200, call.resource, entry)

    def show(self, code: int, resource: Resource, entry: Entry) -> Outcome:
        """An entry as the answer, in the version of `resource`; stored bytes are used as they are where they fit."""
        if self.stored_form(resource):
            return Outcome(code, entry.obj, entry.data)
        return Outcome(code, self.outward(resource, entry.obj))

    @staticmethod
    def stored_form(resource: Resource) -> bool:
        """Whether objects are stored just as this resource shows them."""
        return resource.outward is None

    @staticmethod
    def outward(resource: Resource, obj: JsonObject) -> JsonObject:
        """A stored object as this resource shows it."""
        return obj if resource.outward is None else resource.outward(obj)

    # ── creating ──

    def create(self, call: Call) -> Outcome:
        """POST to a collection."""
        obj = parse_object(call.body, call.content_type)
        return self._create(call, obj, call.body)

    def _create(self, call: Call, obj: JsonObject, body: bytes | None) -> Outcome:
        resource = call.resource
        check_kind(resource, obj)
        json_body = body if "json" in call.content_type or not call.content_type else None
        call.warnings += check_fields(resource, obj, call.field_validation, json_body)
        metadata = obj["metadata"]
        self._place(call, metadata)
        if metadata.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        stamp_new(metadata, format_time(self.now()), generation=resource.counts_generations or resource.custom)
        if call.subresource == "" and call.name:
            metadata["name"] = call.name
        if resource.namespaced:
            self.admission.namespace_open(resource, call.namespace, metadata.get("name") or "")
        obj = self._prepare_create(resource, obj)
        key = f"{call.namespace}/{obj['metadata']['name']}" if resource.namespaced else obj["metadata"]["name"]
        key = self._free_key(resource, obj, key)
        if call.dry_run:
            return Outcome(201, self.outward(resource, obj))
        self._address(resource, obj)
        entry = self.store.put(self.collection(resource), key, obj)
        self._after(resource, None, obj)
        return self.show(201, resource, entry)

    def _place(self, call: Call, metadata: JsonObject) -> None:
        """The namespace of path and body must agree; cluster-scoped objects have none."""
        if not call.resource.namespaced:
            if metadata.get("namespace"):
                raise bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            metadata.pop("namespace", None)
            return
        given = metadata.get("namespace")
        if given and given != call.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = call.namespace

    def _prepare_create(self, resource: Resource, obj: JsonObject) -> JsonObject:
        if resource.inward is not None:
            obj = resource.inward(obj)
        strategy = strategy_of(resource)
        if resource.structural is not None:
            resource.structural.default(obj)
            if resource.has_status:
                obj.pop("status", None)
        strategy.create(obj)
        strategy.default(obj)
        if resource.type_name == "core.v1.Pod":
            self.admission.resolve_priority(resource, obj)
        if self.admission.active:
            obj = self.admission.consult("CREATE", resource, None, obj) or obj
        causes = check_metadata(resource, obj["metadata"]) + strategy.check(obj)
        if resource.structural is not None:
            causes += resource.structural.check(obj)
        self._refuse(resource, obj, causes)
        self._before(resource, None, obj)
        return obj

    def _free_key(self, resource: Resource, obj: JsonObject, key: str) -> str:
        """A taken name is refused; a generated one is made again."""
        entries = self.collection(resource).entries
        metadata = obj["metadata"]
        while key in entries:
            name = metadata["name"]
            if not metadata.get("generateName") or not name.startswith(metadata["generateName"][:58]):
                raise already_exists(resource.plural, resource.group, name)
            metadata["name"] = generate_name(metadata["generateName"])
            key = key.removesuffix(name) + metadata["name"]
        return key

    def _address(self, resource: Resource, obj: JsonObject) -> None:
        """Services get a cluster address of their own, unless headless."""
        spec = obj.get("spec")
        if (
            resource.type_name != "core.v1.Service"
            or not spec
            or spec.get("clusterIP")
            or spec["type"] == "ExternalName"
        ):
            return
        self._addresses += 1
        spec["clusterIP"] = f"10.96.{self._addresses // 254 % 256}.{self._addresses % 254 + 1}"
        spec["clusterIPs"] = [spec["clusterIP"]]

    # ── changing ──

    def update(self, call: Call) -> Outcome:
        """PUT: the whole object, or its status."""
        resource = call.resource
        obj = parse_object(call.body, call.content_type)
        check_kind(resource, obj)
        name = obj["metadata"].get("name")
        if name != call.name:
            if name:
                raise bad_request("the name of the object does not match the name on the URL")
            raise invalid(
                resource.kind, resource.group, call.name, [invalid_value("metadata.name", "", "name is required")]
            )
        existing = self.collection(resource).entries.get(call.key)
        if existing is None and resource.create_on_update and not call.subresource:
            return self._create(call, obj, None)
        old = self.entry(call)
        if not obj["metadata"].get("resourceVersion") and not (resource.unconditional_update and not resource.custom):
            cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(resource.kind, resource.group, call.name, [cause])
        call.warnings += check_fields(resource, obj, call.field_validation)
        self._place(call, obj["metadata"])
        if resource.inward is not None:
            obj = resource.inward(obj)
        return self.replace(call, old, obj)

    def patch(self, call: Call) -> Outcome:
        """PATCH by media type."""
        resource = call.resource
        old = self.entry(call)
        changed = unshared(patched(call, self.outward(resource, old.obj)))
        try:
            check_kind(resource, changed)
            call.warnings += check_fields(resource, changed, call.field_validation)
        except Refusal as refusal:
            # What a patch makes of an object is the patch's fault: 422, where the same body as a PUT is a 400.
            cause = Cause("FieldValueInvalid", f"Invalid value: the patched object: {refusal.message}", "patch")
            raise invalid("", "", "", [cause]) from None
        if changed["metadata"].get("name") != call.name:
            raise bad_request("the name of the object does not match the name on the URL")
        self._place(call, changed["metadata"])
        if resource.inward is not None:
            changed = resource.inward(changed)
        return self.replace(call, old, changed)

    def replace(self, call: Call, old: Entry, new: JsonObject) -> Outcome:
        """Store `new` (owned by us) in place of `old`, by all the rules of an update."""
        resource, before = call.resource, old.obj
        if resource.outward is not None:
            new["apiVersion"] = before["apiVersion"]
        keep_system_fields(resource, new["metadata"], before["metadata"], patched=call.verb == "patch")
        new = isolated(call, new, before)
        strategy = strategy_of(resource)
        if call.subresource != "status":
            if resource.structural is not None:
                resource.structural.default(new)
            strategy.default(new)
        if self.admission.active:
            new = self.admission.consult("UPDATE", resource, before, new) or new
        causes = check_metadata_update(new["metadata"], before["metadata"]) + check_metadata(resource, new["metadata"])
        if call.subresource == "status":
            causes += strategy.check_status(new, before)
        else:
            causes += strategy.check_update(new, before) or strategy.check(new)
        if resource.structural is not None:
            causes += resource.structural.check(new)
        self._refuse(resource, new, causes)
        self._before(resource, before, new)
        return self.commit(call, old, new)

    def commit(self, call: Call, old: Entry, new: JsonObject) -> Outcome:
        """Store the new version, unless nothing changed; an object with nothing left to wait for goes away."""
        resource, before = call.resource, old.obj
        if self._counts(resource) and spec_changed(resource, new, before):
            new["metadata"]["generation"] = (before["metadata"].get("generation") or 0) + 1
        if new == before:
            return self.show(200, resource, old)
        if call.dry_run:
            return Outcome(200, self.outward(resource, new))
        collection = self.collection(resource)
        if deletion.finished(resource, new):
            self.store.remove(collection, old.key)
            self._after(resource, before, None)
            return Outcome(200, self.outward(resource, new))
        entry = self.store.put(collection, old.key, new)
        self._after(resource, before, new)
        return self.show(200, resource, entry)

    @staticmethod
    def _counts(resource: Resource) -> bool:
        return resource.counts_generations or resource.custom

    # ── deleting ──

    def delete(self, call: Call) -> Outcome:
        """DELETE one object."""
        options = call.delete_options()
        deletion.check_options(options)
        return self.delete_entry(call.resource, self.entry(call), options)

    def delete_entry(self, resource: Resource, entry: Entry, options: JsonObject) -> Outcome:
        """Delete by all the rules; also what garbage collection and namespace deletion call."""
        obj = entry.obj
        deletion.check_preconditions(resource, options, obj)
        self.admission.refuse_system_namespace(resource, obj["metadata"]["name"])
        if self.admission.active:
            self.admission.consult("DELETE", resource, obj, None)
        finalizers = deletion.finalizers_for(options, obj)
        grace = deletion.grace_seconds(resource, options, obj)
        changed = deletion.marked(resource, obj, finalizers, grace, self.now())
        collection = self.collection(resource)
        if changed is not None:
            if changed is not obj and not options.get("dryRun"):
                entry = self.store.put(collection, entry.key, changed)
                self._after(resource, obj, changed)
            return self.show(200, resource, entry)
        if not options.get("dryRun"):
            self.store.remove(collection, entry.key)
            self._after(resource, obj, None)
        if resource.returns_deleted:
            return self.show(200, resource, entry)
        return Outcome(200, deletion.success(resource, obj), shown=False)

    def delete_collection(self, call: Call) -> Outcome:
        """DELETE everything that the selectors name; answered with the list of it."""
        options = call.delete_options()
        deletion.check_options(options)
        resource = call.resource
        selection = Selection(
            call.params.get("labelSelector", ""), call.params.get("fieldSelector", ""), resource.selectable
        )
        scope = ("namespace", call.namespace) if resource.namespaced and call.namespace else ("all", "")
        found = [entry for entry in self.collection(resource).select(scope) if selection.matches(entry.obj)]
        for entry in found:
            self.delete_entry(resource, entry, options)
        body = {
            "kind": resource.list_name,
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self.store.version)},
            "items": [self.outward(resource, entry.obj) for entry in found],
        }
        return Outcome(200, body, shown=False)

    # ── hooks ──

    def _refuse(self, resource: Resource, obj: JsonObject, causes: list) -> None:  # type: ignore[type-arg]
        if causes:
            metadata = obj["metadata"]
            raise invalid(
                resource.kind, resource.group, metadata.get("name") or metadata.get("generateName") or "", causes
            )

    def _before(self, resource: Resource, old: JsonObject | None, new: JsonObject | None) -> None:
        hook = self.before.get(resource.type_name)
        if hook is not None:
            hook(resource, old, new)

    def _after(self, resource: Resource, old: JsonObject | None, new: JsonObject | None) -> None:
        hook = self.after.get(resource.type_name)
        if hook is not None:
            hook(resource, old, new)
