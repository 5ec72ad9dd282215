"""Namespace deletion: everything inside goes first, then the namespace."""

from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import Collection, Event
from flowbatch.embedded.controllers.worker import Worker

_NAMESPACES = "/namespaces"


class NamespaceDeleter:
    """Empties namespaces that are being deleted and then removes their `kubernetes` finalizer."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._dying: set[str] = set()
        self.worker: Worker[str] = Worker(self._handle)

    async def run(self) -> None:
        """Delete until cancelled."""
        namespaces = self._server.store.collection(_NAMESPACES)
        for entry in list(namespaces.entries.values()):
            self._seen(namespaces, Event("ADDED", entry.version, None, entry))
        stop = self._server.store.listen(self._seen)
        try:
            await self.worker.run()
        finally:
            stop()

    def _seen(self, collection: Collection, event: Event) -> None:
        if collection.name == _NAMESPACES:
            if event.after is None:
                self._dying.discard(event.key)
            elif "deletionTimestamp" in event.after.obj["metadata"]:
                self._dying.add(event.key)
                self.worker.add(event.key)
        elif event.after is None and self._dying:
            namespace = event.key.partition("/")[0]
            if namespace in self._dying:
                self.worker.add(namespace)

    def _handle(self, name: str) -> None:
        entry = self._server.store.collection(_NAMESPACES).entries.get(name)
        if entry is None or "deletionTimestamp" not in entry.obj["metadata"]:
            return
        if self._empty(name):
            return
        resource = self._server.registry.find("", "v1", "namespaces")
        assert resource is not None
        spec = {**(entry.obj.get("spec") or {}), "finalizers": []}
        changed = {**entry.obj, "metadata": dict(entry.obj["metadata"]), "spec": spec}
        self._server.rest.commit(Call("update", resource, name=name, subresource="finalize"), entry, changed)

    def _empty(self, name: str) -> bool:
        """Delete what is in the namespace; whether anything is still there."""
        left = False
        for resource in self._server.registry:
            if not resource.namespaced or resource.outward is not None:
                continue
            collection = self._server.store.collections.get(resource.storage_name)
            for entry in collection.select(("namespace", name)) if collection is not None else ():
                if "deletionTimestamp" not in entry.obj["metadata"]:
                    self._server.rest.delete_entry(resource, entry, {"propagationPolicy": "Background"})
                left = left or (collection is not None and entry.key in collection.entries)
        return left
