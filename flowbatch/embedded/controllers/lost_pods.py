"""Pods whose node is gone: nobody will ever confirm their end, so after a while they are failed and removed."""

from flowbatch.embedded.apiserver.builtin import node_name
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import Collection, Entry, Event
from flowbatch.embedded.controllers.worker import Worker

#: How long a node may be missing before its pods are given up; kube-controller-manager's own figure.
QUARANTINE_S = 40.0
_REASON = "NodeLost"


class LostPods:
    """Removes pods that are bound to a node that does not exist."""

    def __init__(self, server: ApiServer, quarantine_s: float = QUARANTINE_S) -> None:
        self._server = server
        self._quarantine_s = quarantine_s
        #: Nodes that are looked at once their time is over.
        self._suspects: set[str] = set()
        self.worker: Worker[str] = Worker(self._handle)

    async def run(self) -> None:
        """Clean up until cancelled."""
        pods, nodes = self._pods(), self._server.store.collection("/nodes")
        for entry in list(pods.entries.values()):
            self._seen_pod(Event("ADDED", entry.version, None, entry))
        stops = [pods.listen(self._seen_pod), nodes.listen(self._seen_node)]
        try:
            await self.worker.run()
        finally:
            for stop in stops:
                stop()

    def _pods(self) -> Collection:
        return self._server.rest.collection(self._resource())

    def _resource(self) -> Resource:
        found = self._server.registry.find("", "v1", "pods")
        assert found is not None
        return found

    def _seen_pod(self, event: Event) -> None:
        node = node_name(event.after.obj) if event.after is not None else ""
        if node and node not in self._suspects and node not in self._server.store.collection("/nodes").entries:
            self._suspect(node)

    def _seen_node(self, event: Event) -> None:
        if event.after is None and event.key not in self._suspects:
            self._suspect(event.key)

    def _suspect(self, node: str) -> None:
        self._suspects.add(node)
        self.worker.add_later(node, self._quarantine_s)

    def _handle(self, node: str) -> None:
        self._suspects.discard(node)
        if node in self._server.store.collection("/nodes").entries:
            return
        for entry in self._pods().select(("value", node)):
            self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        resource, metadata = self._resource(), entry.obj["metadata"]
        if read(entry.obj, "status.phase") not in ("Succeeded", "Failed"):
            status = {**(entry.obj.get("status") or {}), "phase": "Failed", "reason": _REASON}
            call = Call("update", resource, metadata["namespace"], metadata["name"], "status")
            self._server.rest.commit(call, entry, {**entry.obj, "metadata": dict(metadata), "status": status})
            entry = self._pods().entries[entry.key]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        self._server.rest.delete_entry(resource, entry, options)
