"""Certificates that are always in force: kept in one Secret, trusted through the webhook configurations' caBundle.

A level, looked at once a minute by every replica: an authority that has enough of its life left, everywhere trusted; a
certificate that it has signed; that one served. A new authority is trusted beside the old one before anything is signed
with it, so no call fails while they change. Replicas that write at the same time are told apart by resourceVersion.
"""

import base64
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from flowbatch.admission.certificates import (
    certificates,
    expired,
    fresh,
    new_authority,
    new_certificate,
    owns,
    serves,
)
from flowbatch.api.kinds import SECRET
from flowbatch.api.meta import JsonObject
from flowbatch.kube.errors import AlreadyExists, Conflict, NotFound
from flowbatch.kube.request import Request
from flowbatch.workload.rules.reading import dict_of, dicts_of, text_of

_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
PLURALS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
CA, CA_KEY, CERTIFICATE, KEY = "ca.crt", "ca.key", "tls.crt", "tls.key"

_encode = msgspec.json.Encoder().encode


class Api(Protocol):
    """What of a client is used here."""

    async def send(self, request: Request) -> bytes:
        """One request, one answer. Raises ApiError."""
        ...


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the webhook is known: its Service, its Secret, its configurations."""

    namespace: str = "flowbatch-system"
    service: str = "flowbatch-webhook"
    secret: str = "flowbatch-webhook-tls"  # noqa: S105  (its name)
    configuration: str = "flowbatch"
    #: More names under which it is called: where no Service leads to it.
    called: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The DNS names under which the API server calls the Service."""
        host = f"{self.service}.{self.namespace}"
        return (f"{host}.svc", f"{host}.svc.cluster.local", host, *self.called)


class Rotation:
    """Brings Secret, configurations and the served certificate to where they should be."""

    def __init__(self, api: Api, place: Place, now: Callable[[], datetime], serve: Callable[[str, str], None]) -> None:
        """`serve` is given (certificate, key) as PEM whenever they change."""
        self._api = api
        self._place = place
        self._now = now
        self._serve = serve
        self._served = ""
        #: Configurations that were not there, or have nothing of ours, when last looked at: for the health page.
        self.missing: list[str] = []

    async def look(self) -> None:
        """One look. Raises ApiError, TransportError: the next one goes on from wherever this one stopped."""
        for _ in range(5):
            with contextlib.suppress(AlreadyExists, Conflict):
                await self._once()
                return
        raise Conflict(409, "Conflict", "other replicas keep writing the webhook's Secret")

    @property
    def serving(self) -> bool:
        """Whether there is a certificate to serve."""
        return bool(self._served)

    async def _once(self) -> None:
        secret = await self._secret()
        held = _texts(secret)
        held = await self._with_authority(secret, held)
        await self._trust(held[CA])
        held = await self._with_certificate(held)
        if held[CERTIFICATE] != self._served:
            self._serve(held[CERTIFICATE], held[KEY])
            self._served = held[CERTIFICATE]

    async def _with_authority(self, secret: JsonObject | None, held: dict[str, str]) -> dict[str, str]:
        """The newest authority stands first in the bundle; older ones are trusted until they expire."""
        now = self._now()
        known = [each for each in certificates(held.get(CA, "")) if not expired(each, now)]
        if known and owns(known[0], held.get(CA_KEY, "")) and fresh(known[0], now):
            return held
        certificate, key = new_authority(now)
        bundle = {**held, CA: "".join([certificate, *known]), CA_KEY: key}
        if secret is None:
            await self._api.send(
                Request("POST", SECRET.path(self._place.namespace), body=_encode(self._manifest(bundle, "")))
            )
        else:
            await self._write(bundle, text_of(secret, "metadata", "resourceVersion"))
        return bundle

    async def _with_certificate(self, held: dict[str, str]) -> dict[str, str]:
        ca, names, now = certificates(held[CA])[0], self._place.names, self._now()
        certificate, key = held.get(CERTIFICATE, ""), held.get(KEY, "")
        if fresh(certificate, now) and serves(certificate, key, ca, names):
            return held
        certificate, key = new_certificate(ca, held[CA_KEY], names, now)
        bundle = {**held, CERTIFICATE: certificate, KEY: key}
        secret = await self._secret()
        if secret is None or _texts(secret).get(CA) != held[CA]:
            raise Conflict(409, "Conflict", "another replica has changed the authority")
        await self._write(bundle, text_of(secret, "metadata", "resourceVersion"))
        return bundle

    async def _secret(self) -> JsonObject | None:
        try:
            found: JsonObject = msgspec.json.decode(await self._api.send(Request("GET", self._path)))
        except NotFound:
            return None
        return found

    async def _write(self, texts: dict[str, str], version: str) -> None:
        body = _encode(self._manifest(texts, version))
        await self._api.send(Request("PATCH", self._path, (), body, "application/merge-patch+json"))

    def _manifest(self, texts: dict[str, str], version: str) -> JsonObject:
        data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
        meta: JsonObject = {"name": self._place.secret, "namespace": self._place.namespace}
        if version:
            meta["resourceVersion"] = version
        # tls.crt and tls.key come later than the authority, and Kubernetes' own TLS type wants them at once.
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}

    @property
    def _path(self) -> str:
        return SECRET.path(self._place.namespace, self._place.secret)

    # Who trusts it -------------------------------------------------------------------------------------------------

    async def _trust(self, bundle: str) -> None:
        self.missing = []
        for plural in PLURALS:
            path = f"{_CONFIGURATIONS}/{plural}/{self._place.configuration}"
            try:
                configuration = msgspec.json.decode(await self._api.send(Request("GET", path)))
            except NotFound:
                self.missing.append(plural)
                continue
            steps = trust_patch(configuration, self._place, base64.b64encode(bundle.encode()).decode())
            if steps:
                await self._api.send(Request("PATCH", path, (), _encode(steps), "application/json-patch+json"))


def trust_patch(configuration: JsonObject, place: Place, bundle: str) -> Sequence[JsonObject]:
    """The JSON Patch that makes a configuration's webhooks trust `bundle`, where they call this Service."""
    steps: list[JsonObject] = []
    for index, webhook in dicts_of(configuration, "webhooks"):
        client = dict_of(webhook, "clientConfig")
        service = dict_of(client, "service")
        if (service.get("namespace"), service.get("name")) != (place.namespace, place.service):
            continue
        if client.get("caBundle") != bundle:
            path = f"/webhooks/{index}"
            steps.append({"op": "test", "path": f"{path}/name", "value": webhook.get("name")})
            steps.append({"op": "add", "path": f"{path}/clientConfig/caBundle", "value": bundle})
    return steps


def _texts(secret: JsonObject | None) -> dict[str, str]:
    """The Secret's data; what is no base64 text is as good as absent."""
    found: dict[str, str] = {}
    for name, value in dict_of(secret, "data").items():
        with contextlib.suppress(ValueError):
            found[str(name)] = base64.b64decode(_text(value), validate=True).decode()
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
