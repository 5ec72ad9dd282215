"""Statuses of CronJobs, JobFlows and JobTemplates: what the server has, and the patches that change it.

The reply to a patch is newer than the cache, so whoever goes on at once goes on from it and need not wait for the
watch. Where the outcome of a patch is unknown, the server is asked.
"""

from typing import Any, Generic, TypeVar

import structlog

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import JsonObject, ObjectMeta, Wire
from flowbatch.controllers.difference import wire_difference
from flowbatch.controllers.effects import guarded
from flowbatch.controllers.expectations import metadata_of, version_of
from flowbatch.kube.client import Client
from flowbatch.kube.errors import NotFound, TransportError

T = TypeVar("T", bound=Wire)

_log = structlog.get_logger(__name__)


class StatusPatches(Generic[T]):
    """Of one kind."""

    def __init__(self, client: Client, kind: Kind[T]) -> None:
        self._client = client
        self._kind = kind
        #: What replies showed, until the cache has caught up.
        self._newest: dict[str, T] = {}
        #: What the server did not keep (a schema that prunes): writing it again changes nothing.
        self._unkept: dict[str, JsonObject] = {}
        self.written = 0

    def newest(self, cached: T) -> T:
        """The object as last seen, by the watch or by a reply."""
        meta = _meta(cached)
        known = self._newest.get(meta.key)
        if known is None:
            return cached
        if _meta(known).uid == meta.uid and version_of(_meta(known)) > version_of(meta):
            return known
        del self._newest[meta.key]
        return cached

    def differs(self, current: T, wanted: Wire) -> bool:
        """Whether writing `wanted` would change anything."""
        missing = wire_difference(_status(current), wanted)
        return bool(missing) and missing != self._unkept.get(_meta(current).key)

    async def write(self, current: T, wanted: Wire, *, exact: bool = False) -> T:
        """Patch the difference; gives the object as stored. `exact` refuses (Conflict) if it is not `current` any more.

        An object that is gone is left alone: the watch will say so.
        """
        meta = _meta(current)
        missing = wire_difference(_status(current), wanted)
        if not missing or missing == self._unkept.get(meta.key):
            return current
        body = guarded({"status": missing}, meta.uid, meta.resource_version if exact else "")
        try:
            stored = await self._client.patch(self._kind, meta.name, body, meta.namespace, subresource="status")
        except NotFound:
            return current
        except TransportError:
            await self._ask(meta)
            raise
        self.written += 1
        self._newest[meta.key] = stored
        self._note_unkept(meta.key, stored, wanted)
        return stored

    async def _ask(self, meta: ObjectMeta) -> None:
        try:
            self._newest[meta.key] = await self._client.get(self._kind, meta.name, meta.namespace)
        except NotFound:
            self._newest.pop(meta.key, None)

    def _note_unkept(self, key: str, stored: T, wanted: Wire) -> None:
        unkept = wire_difference(_status(stored), wanted)
        if not unkept:
            self._unkept.pop(key, None)
        elif self._unkept.get(key) != unkept:
            self._unkept[key] = unkept
            _log.warning("the server does not keep these status fields", object=key, fields=sorted(unkept))

    def forget(self, key: str) -> None:
        """The object is gone."""
        self._newest.pop(key, None)
        self._unkept.pop(key, None)


def _meta(value: Wire) -> ObjectMeta:
    meta = metadata_of(value)
    assert meta is not None, value
    return meta


def _status(value: Any) -> Wire:
    status = value.status
    assert isinstance(status, Wire)
    return status
