"""PodDisruptionBudgets: how many of their pods are healthy, and so how many may be evicted now."""

from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.columns import read
from flowbatch.embedded.apiserver.resources import Resource
from flowbatch.embedded.apiserver.server import ApiServer
from flowbatch.embedded.apiserver.store import Entry, Event
from flowbatch.embedded.apiserver.subresources import selects
from flowbatch.embedded.controllers.worker import Worker


class DisruptionBudgets:
    """Keeps the status of every budget; costs nothing while there is none."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.worker: Worker[str] = Worker(self._handle)

    def _resource(self, group: str, plural: str) -> Resource:
        found = self._server.registry.find(group, "v1", plural)
        assert found is not None
        return found

    async def run(self) -> None:
        """Count until cancelled."""
        rest = self._server.rest
        self._budgets = rest.collection(self._resource("policy", "poddisruptionbudgets"))
        self._pods = rest.collection(self._resource("", "pods"))
        for key in list(self._budgets.keys):
            self.worker.add(key)
        stops = [self._budgets.listen(lambda event: self.worker.add(event.key)), self._pods.listen(self._seen_pod)]
        try:
            await self.worker.run()
        finally:
            for stop in stops:
                stop()

    def _seen_pod(self, event: Event) -> None:
        if not self._budgets.entries:
            return
        for entry in self._budgets.select(("namespace", event.key.partition("/")[0])):
            self.worker.add(entry.key)

    def _handle(self, key: str) -> None:
        entry = self._budgets.entries.get(key)
        if entry is None:
            return
        status = _status(entry.obj, [pod.obj for pod in self._pods.select(("namespace", key.partition("/")[0]))])
        changed = {
            **entry.obj,
            "metadata": dict(entry.obj["metadata"]),
            "status": {**(entry.obj.get("status") or {}), **status},
        }
        self._store(entry, changed)

    def _store(self, entry: Entry, changed: JsonObject) -> None:
        metadata = changed["metadata"]
        call = Call(
            "update",
            self._resource("policy", "poddisruptionbudgets"),
            metadata["namespace"],
            metadata["name"],
            "status",
        )
        self._server.rest.commit(call, entry, changed)


def _status(budget: JsonObject, pods: list[JsonObject]) -> JsonObject:
    covered = [pod for pod in pods if selects(read(budget, "spec.selector"), pod["metadata"].get("labels") or {})]
    healthy = sum(_healthy(pod) for pod in covered)
    expected = len(covered)
    wanted, spare = read(budget, "spec.minAvailable"), read(budget, "spec.maxUnavailable")
    desired = expected - _count(spare, expected) if spare is not None else _count(wanted, expected)
    return {
        "currentHealthy": healthy,
        "desiredHealthy": max(0, desired),
        "expectedPods": expected,
        "disruptionsAllowed": max(0, healthy - max(0, desired)),
        "observedGeneration": budget["metadata"].get("generation", 0),
        # Pods that were evicted and are gone (or going) no longer count as healthy, so nothing is owed for them.
        "disruptedPods": {},
    }


def _count(value: Any, of: int) -> int:
    """An int-or-percent of `of`; percentages round up, as in Kubernetes."""
    if isinstance(value, str) and value.endswith("%"):
        return -(-int(value[:-1]) * of // 100)
    return int(value or 0)


def _healthy(pod: JsonObject) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    return any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in read(pod, "status.conditions", [])
    )
