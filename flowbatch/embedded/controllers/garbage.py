"""Garbage collection by owner references: background, foreground and orphan, as kube-controller-manager does it.

An object goes when none of its owners is left; an owner that is deleted in the foreground waits for those dependents
that block it; an orphaning owner first lets its dependents go. An owner counts by uid: one of the same name that was
made anew is another object. Owners of kinds that are not served are taken to exist.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.deletion import FOREGROUND, ORPHAN
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import Collection, Entry, Event
from flowbatch.embedded.controllers.worker import Worker


class Item(NamedTuple):
    """One stored object."""

    collection: str
    key: str


class GarbageCollector:
    """Listens to every collection and keeps who-depends-on-whom by uid."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._dependents: dict[str, dict[Item, None]] = {}
        self.worker: Worker[Item] = Worker(self._handle)

    async def run(self) -> None:
        """Collect until cancelled."""
        for collection in list(self._server.store.collections.values()):
            for entry in list(collection.entries.values()):
                self._seen(collection, Event("ADDED", entry.version, None, entry))
        stop = self._server.store.listen(self._seen)
        try:
            await self.worker.run()
        finally:
            stop()

    # ── what happens ──

    def _seen(self, collection: Collection, event: Event) -> None:
        item = Item(collection.name, event.key)
        before, after = _owners(event.before), _owners(event.after)
        if before or after:
            self._index(item, before, after)
            if event.after is not None and before != after:
                self.worker.add(item)
        if event.after is None:
            assert event.before is not None
            self._owner_gone(event.before.obj["metadata"])
        elif "deletionTimestamp" in event.after.obj["metadata"]:
            self.worker.add(item)

    def _index(self, item: Item, before: list[JsonObject], after: list[JsonObject]) -> None:
        uids = {owner["uid"] for owner in after}
        for owner in before:
            if owner["uid"] not in uids:
                found = self._dependents.get(owner["uid"], {})
                found.pop(item, None)
                if not found:
                    self._dependents.pop(owner["uid"], None)
        for uid in uids:
            self._dependents.setdefault(uid, {})[item] = None

    def _owner_gone(self, metadata: JsonObject) -> None:
        for dependent in self._dependents.get(metadata["uid"], ()):
            self.worker.add(dependent)
        # An owner that waits in the foreground may have waited for this one.
        for owner in metadata.get("ownerReferences") or ():
            found = self._find_owner(owner, metadata.get("namespace", ""))
            if found is not None and _waits(found[1].obj):
                self.worker.add(found[0])

    # ── what to do ──

    def _handle(self, item: Item) -> None:
        entry, resource = self._entry(item), self._server.registry.of_storage(item.collection)
        if entry is None or resource is None:
            return
        metadata = entry.obj["metadata"]
        if "deletionTimestamp" in metadata:
            finalizers = metadata.get("finalizers") or ()
            if ORPHAN in finalizers:
                self._orphan(resource, entry)
            elif FOREGROUND in finalizers:
                self._foreground(resource, entry)
        elif metadata.get("ownerReferences"):
            self._judge(resource, entry)

    def _judge(self, resource: Resource, entry: Entry) -> None:
        """Delete what no living owner holds; drop references to owners that are gone where another one holds."""
        owners = _owners(entry)
        namespace = entry.obj["metadata"].get("namespace", "")
        solid: list[JsonObject] = []
        waiting: list[JsonObject] = []
        for owner in owners:
            if not self._resolvable(owner, namespace):
                solid.append(owner)
                continue
            found = self._find_owner(owner, namespace)
            if found is not None:
                (waiting if _waits(found[1].obj) else solid).append(owner)
        if solid:
            if len(solid) < len(owners):
                self._change(resource, entry, {"ownerReferences": solid})
            return
        policy = "Background"
        if waiting and self._dependents.get(entry.obj["metadata"]["uid"]):
            policy = "Foreground"
        options = {"propagationPolicy": policy, "preconditions": {"uid": entry.obj["metadata"]["uid"]}}
        self._server.rest.delete_entry(resource, entry, options)

    def _foreground(self, resource: Resource, entry: Entry) -> None:
        """Delete all dependents; the owner goes when none is left that blocks it."""
        blocked = False
        for item, dependent in self._dependents_of(entry):
            if any(owner["uid"] == _uid(entry) and owner.get("blockOwnerDeletion") for owner in _owners(dependent)):
                blocked = True
            if "deletionTimestamp" not in dependent.obj["metadata"]:
                self.worker.add(item)
        if not blocked:
            self._drop_finalizer(resource, entry, FOREGROUND)

    def _orphan(self, resource: Resource, entry: Entry) -> None:
        """Let the dependents live on without this owner."""
        for item, dependent in self._dependents_of(entry):
            kept = [owner for owner in _owners(dependent) if owner["uid"] != _uid(entry)]
            below = self._server.registry.of_storage(item.collection)
            if below is not None:
                self._change(below, dependent, {"ownerReferences": kept})
        self._drop_finalizer(resource, entry, ORPHAN)

    def _drop_finalizer(self, resource: Resource, entry: Entry, finalizer: str) -> None:
        kept = [each for each in entry.obj["metadata"].get("finalizers") or () if each != finalizer]
        self._change(resource, entry, {"finalizers": kept})

    def _change(self, resource: Resource, entry: Entry, fields: JsonObject) -> None:
        """Store the object with other metadata; an empty list is no field at all."""
        metadata = {key: value for key, value in {**entry.obj["metadata"], **fields}.items() if value != []}
        call = Call("update", resource, metadata.get("namespace", ""), metadata["name"])
        self._server.rest.commit(call, entry, {**entry.obj, "metadata": metadata})

    # ── looking around ──

    def _entry(self, item: Item) -> Entry | None:
        collection = self._server.store.collections.get(item.collection)
        return collection.entries.get(item.key) if collection is not None else None

    def _dependents_of(self, entry: Entry) -> Iterator[tuple[Item, Entry]]:
        for item in list(self._dependents.get(_uid(entry), ())):
            found = self._entry(item)
            if found is not None:
                yield item, found

    def _resolvable(self, owner: JsonObject, namespace: str) -> bool:
        """Whether the owner can be looked up at all: its kind is served, and a namespaced one is in our namespace."""
        resource = self._server.registry.of_any_version(owner["apiVersion"], owner["kind"])
        return resource is not None and not (resource.namespaced and not namespace)

    def _find_owner(self, owner: JsonObject, namespace: str) -> tuple[Item, Entry] | None:
        resource = self._server.registry.of_any_version(owner["apiVersion"], owner["kind"])
        if resource is None:
            return None
        key = f"{namespace}/{owner['name']}" if resource.namespaced else owner["name"]
        item = Item(resource.storage_name, key)
        entry = self._entry(item)
        return (item, entry) if entry is not None and _uid(entry) == owner["uid"] else None


def _uid(entry: Entry) -> str:
    return str(entry.obj["metadata"]["uid"])


def _owners(entry: Entry | None) -> list[JsonObject]:
    found: Any = entry.obj["metadata"].get("ownerReferences") if entry is not None else None
    return found or []


def _waits(obj: JsonObject) -> bool:
    """Whether an owner is going away and waits for its dependents to be gone first."""
    metadata = obj["metadata"]
    return "deletionTimestamp" in metadata and FOREGROUND in (metadata.get("finalizers") or ())
