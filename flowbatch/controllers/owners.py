"""Owners of any kind, read on demand: a kind we have never heard of is looked up in the server's discovery.

Only their metadata and replica count matter: how many pods make a gang, which queue, what to inherit.
"""

from collections.abc import AsyncIterator

import msgspec

from flowbatch.api.meta import JsonObject, ObjectMeta, OwnerReference, Wire
from flowbatch.kube.client import Client
from flowbatch.kube.errors import Forbidden, NotFound
from flowbatch.kube.request import Request

#: Chains are short (ReplicaSet, Deployment); a longer one is a mistake or a loop.
LONGEST_CHAIN = 4


class OwnerSpec(Wire, frozen=True, kw_only=True):
    """What owners of pods have in common, if anything."""

    replicas: int | None = None


class Owner(Wire, frozen=True, kw_only=True):
    """Any object that controls pods."""

    metadata: ObjectMeta = ObjectMeta()
    spec: OwnerSpec = OwnerSpec()


_decode = msgspec.json.Decoder(Owner).decode


class Owners:
    """Reads owners; remembers only the plurals of their kinds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._plurals: dict[tuple[str, str], str] = {}

    async def chain(self, meta: ObjectMeta) -> AsyncIterator[Owner]:
        """The controllers of an object from the nearest up, as far as they exist and may be read."""
        for _ in range(LONGEST_CHAIN):
            reference = meta.controller
            owner = None if reference is None else await self.get(reference, meta.namespace)
            if owner is None:
                return
            yield owner
            meta = owner.metadata

    async def get(self, reference: OwnerReference, namespace: str) -> Owner | None:
        """The object that `reference` means, or None if it is gone, replaced, or not ours to read."""
        try:
            base = _base(reference.api_version)
            plural = await self._plural(base, reference.api_version, reference.kind)
            if plural is None:
                return None
            body = await self._client.send(Request("GET", f"{base}/namespaces/{namespace}/{plural}/{reference.name}"))
        except (NotFound, Forbidden):
            return None
        try:
            owner = _decode(body)
        except msgspec.ValidationError:
            return None
        return owner if owner.metadata.uid == reference.uid else None

    async def _plural(self, base: str, api_version: str, kind: str) -> str | None:
        known = self._plurals.get((api_version, kind))
        if known is None:
            listing: JsonObject = msgspec.json.decode(await self._client.send(Request("GET", base)))
            for each in listing.get("resources") or ():
                if "/" not in each.get("name", "/"):
                    self._plurals[api_version, each["kind"]] = each["name"]
            known = self._plurals.get((api_version, kind))
        return known


def _base(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
