"""The few Events nodes write: what a person should know and cannot see in a status. Never more than one of a kind."""

import uuid

from flowbatch.api.kinds import EVENT, NODE, POD
from flowbatch.api.meta import JsonObject, ObjectMeta
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.clock import Clock
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, TransportError

SOURCE = "flowbatch-node"


class Events:
    """Writes Events; one that cannot be written is let go, as Kubernetes' own recorders do."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._written: set[tuple[str, str]] = set()

    async def on_pod(self, pod: ObjectMeta, node: str, reason: str, message: str, *, warning: bool = True) -> None:
        """About one pod."""
        about = {"apiVersion": "v1", "kind": POD.kind, "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
        await self._write(about, pod.namespace, node, reason, message, warning=warning)

    async def on_node(self, node: str, reason: str, message: str, *, warning: bool = False) -> None:
        """About one node."""
        about = {"apiVersion": "v1", "kind": NODE.kind, "name": node, "uid": node}
        await self._write(about, "default", node, reason, message, warning=warning)

    async def _write(
        self, about: JsonObject, namespace: str, node: str, reason: str, message: str, *, warning: bool
    ) -> None:
        if (about["uid"], reason) in self._written:
            return
        self._written.add((about["uid"], reason))
        now = format_time(self._clock.now())
        event = {
            "apiVersion": "v1",
            "kind": EVENT.kind,
            "metadata": {"name": f"{about['name']}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "involvedObject": about,
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": SOURCE, "host": node},
            "reportingComponent": SOURCE,
            "reportingInstance": node,
        }
        try:
            await self._client.create(EVENT, event, namespace)
        except (ApiError, TransportError):
            return
