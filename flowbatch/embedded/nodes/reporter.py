"""Writes a pod's status when it is news, never two writes at once, always the newest."""

import asyncio
from collections.abc import Callable
from typing import Any

from flowbatch.api.kinds import POD
from flowbatch.api.meta import JsonObject, ObjectMeta
from flowbatch.embedded.nodes.status import is_news, signature
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, Conflict, NotFound, TransportError

FIRST_RETRY_S, LONGEST_RETRY_S = 0.2, 10.0


class Reporter:
    """One pod's status on its way to the API server; changes during a write become one further write."""

    def __init__(self, client: Client, pod: ObjectMeta, status: Callable[[], JsonObject]) -> None:
        self._client = client
        self._pod = pod
        self._status = status
        self._dirty = asyncio.Event()
        self._last = False
        self._cancelled = False
        self._written: tuple[Any, ...] | None = None

    def changed(self) -> None:
        """The status may be another."""
        self._dirty.set()

    def finish(self) -> None:
        """Write what there is to write, then end."""
        self._last = True
        self._dirty.set()

    def cancel(self) -> None:
        """The pod object is gone: write nothing more."""
        self._cancelled = True
        self._dirty.set()

    async def run(self) -> None:
        """Write until finished, cancelled, or the pod is gone."""
        retry_s = FIRST_RETRY_S
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            last = self._last
            if self._cancelled:
                return
            try:
                await self._write()
                retry_s = FIRST_RETRY_S
            except (NotFound, Conflict):
                return
            except (ApiError, TransportError):
                await asyncio.sleep(retry_s)
                retry_s = min(LONGEST_RETRY_S, retry_s * 2)
                self._dirty.set()
                continue
            if last:
                return

    async def _write(self) -> None:
        status = self._status()
        if not is_news(status, self._written):
            return
        body: JsonObject = {"metadata": {"uid": self._pod.uid}, "status": status}
        meta = self._pod
        await self._client.patch(POD, meta.name, body, meta.namespace, subresource="status", content="strategic")
        self._written = signature(status)
