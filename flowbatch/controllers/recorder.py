"""Events on objects: seldom, bounded, and never in the way of the work they tell about.

An Event's name is made from what it says, so the same thing said twice, even by the next process, is one object. A
full mailbox or a refused Event is counted and forgotten: nobody's job fails because a remark about it was lost.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from flowbatch.api.kinds import EVENT, kind_of
from flowbatch.api.meta import JsonObject, Wire
from flowbatch.api.timestamps import format_time
from flowbatch.controllers.expectations import metadata_of
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, ApiError, Fenced, TransportError

#: Events that wait to be sent; and remarks remembered, so that they are not made again.
MAILBOX_EVENTS = 1000
REMEMBERED = 4096
#: Kubernetes' limit on an Event's message.
MESSAGE_CHARS = 1024


class Recorder:
    """Writes Events from a bounded mailbox, one at a time."""

    def __init__(self, client: Client, component: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._component = component
        self._now = now
        self._mailbox: asyncio.Queue[JsonObject] = asyncio.Queue(MAILBOX_EVENTS)
        self._said: OrderedDict[str, None] = OrderedDict()
        self.sent = 0
        self.dropped = 0

    def note(self, about: Wire, kind: str, reason: str, message: str) -> None:
        """Remark `reason: message` on `about`; `kind` is Normal or Warning. Never waits, never raises."""
        event = self._event(about, kind, reason, message)
        name: str = event["metadata"]["name"]
        if name in self._said:
            self._said.move_to_end(name)
            return
        self._said[name] = None
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        try:
            self._mailbox.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Send what is noted, until cancelled."""
        while True:
            event = await self._mailbox.get()
            try:
                await self._client.create(EVENT, event)
                self.sent += 1
            except AlreadyExists:
                pass
            except (ApiError, TransportError, Fenced):
                self.dropped += 1

    def _event(self, about: Wire, kind: str, reason: str, message: str) -> JsonObject:
        meta = metadata_of(about)
        assert meta is not None, about
        what = kind_of(about)
        # Cluster-scoped objects have their Events in the default namespace, as kubectl expects.
        namespace = meta.namespace or "default"
        digest = hashlib.sha256("\0".join((meta.uid, kind, reason, message)).encode()).hexdigest()[:16]
        stamp = format_time(self._now())
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta.name[:230]}.{digest}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": what.api_version,
                "kind": what.kind,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
            "type": kind,
            "reason": reason,
            "message": message[:MESSAGE_CHARS],
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
        }
