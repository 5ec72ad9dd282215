"""The embedded API server as one value: start it, talk to it, stop it."""

import asyncio
import base64
import json
import os
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import orjson
from aiohttp import web

from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver.admission import Admission, Admit
from flowbatch.embedded.apiserver.audit import Audit
from flowbatch.embedded.apiserver.builtin import builtin_resources
from flowbatch.embedded.apiserver.call import Call, Outcome
from flowbatch.embedded.apiserver.certificates import Authority
from flowbatch.embedded.apiserver.decoding import MAX_BODY_BYTES
from flowbatch.embedded.apiserver.definitions import Definitions
from flowbatch.embedded.apiserver.http import Handler
from flowbatch.embedded.apiserver.refusals import Refusal
from flowbatch.embedded.apiserver.resources import Registry
from flowbatch.embedded.apiserver.rest import Rest
from flowbatch.embedded.apiserver.store import ObjectStore
from flowbatch.embedded.faults import StoreRule

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_SHUTDOWN_S = 1.0


class Clock(Protocol):
    """What the server needs of a clock: the time, for timestamps."""

    def now(self) -> datetime:
        """The present, with a time zone."""
        ...


def _real_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  (the embedded server's one look at the wall clock)


class ApiServer:
    """A Kubernetes API server in this process, on one event loop.

    `tokens` maps bearer tokens to user names; without it there is one random administrator token. `admit` callables see
    every write; `rule` may inject faults; `window` is how many events of each kind a watch may lag behind; `socket` is
    the path of a unix socket to serve as well, without TLS.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        socket: str = "",
        tokens: Mapping[str, str] | None = None,
        admit: Sequence[Admit] = (),
        rule: StoreRule | None = None,
        clock: Clock | None = None,
        window: int = 10_000,
    ) -> None:
        self._host, self._port, self._tls, self._socket = host, port, tls, socket
        self._now: Callable[[], datetime] = clock.now if clock is not None else _real_now
        self.tokens = dict(tokens) if tokens is not None else {secrets.token_urlsafe(24): "admin"}
        self.store = ObjectStore(window)
        self.registry = Registry(builtin_resources())
        self.admission = Admission(self.store, self.registry)
        self.rest = Rest(self.store, self.registry, self.admission, self._now)
        self._definitions = Definitions(self.rest)
        self.handler = Handler(self.rest, self.tokens, self._now, rule=rule)
        self._authority: Authority | None = Authority(_real_now()) if tls else None
        self._server: asyncio.Server | None = None
        self._unix_server: asyncio.Server | None = None
        self._http: web.Server | None = None
        self.url = ""
        self._prepare()
        self.admission.admit.extend(admit)

    @property
    def token(self) -> str:
        """The first bearer token."""
        return next(iter(self.tokens), "")

    @property
    def ca_pem(self) -> str:
        """The certificate authority that clients trust; empty without TLS."""
        return self._authority.pem if self._authority is not None else ""

    @property
    def audit(self) -> Audit:
        """Counts of requests by verb, resource and user agent."""
        return self.handler.audit

    @property
    def rule(self) -> StoreRule | None:
        """The fault rule; may be set at any time."""
        return self.handler.rule

    @rule.setter
    def rule(self, rule: StoreRule | None) -> None:
        self.handler.rule = rule

    def now(self) -> datetime:
        """The server's present."""
        return self._now()

    def _prepare(self) -> None:
        """What every cluster has from the start."""
        for name in _NAMESPACES:
            self.create("v1", "Namespace", {"metadata": {"name": name}})
        for name, value in _PRIORITIES.items():
            self.create("scheduling.k8s.io/v1", "PriorityClass", {"metadata": {"name": name}, "value": value})

    def create(self, api_version: str, kind: str, manifest: JsonObject, namespace: str = "") -> JsonObject:
        """Create an object in process, by all the rules of a POST. Raises Refusal."""
        resource = self.registry.of_kind(api_version, kind)
        if resource is None:
            raise LookupError(f"{api_version} {kind} is not served")
        call = Call("create", resource, namespace, body=orjson.dumps(manifest))
        return self.rest.create(call).obj

    async def install(self, crd: JsonObject) -> None:
        """Create or replace a CustomResourceDefinition. Raises Refusal where it is wrong."""
        api_version, kind = "apiextensions.k8s.io/v1", "CustomResourceDefinition"
        try:
            self.create(api_version, kind, crd)
        except Refusal as refusal:
            if refusal.reason != "AlreadyExists":
                raise
            self._replace(api_version, kind, crd)

    def _replace(self, api_version: str, kind: str, manifest: JsonObject) -> Outcome:
        resource = self.registry.of_kind(api_version, kind)
        assert resource is not None
        name = manifest["metadata"]["name"]
        current = self.rest.collection(resource).entries[name]
        version = current.obj["metadata"]["resourceVersion"]
        body = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}
        return self.rest.update(Call("update", resource, name=name, body=orjson.dumps(body)))

    # ── serving ──

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; `url` is then known."""
        loop = asyncio.get_running_loop()
        context: ssl.SSLContext | None = None
        if self._authority is not None:
            context = self._authority.server_context(self._host)
        self._http = web.Server(
            self.handler.handle,
            request_factory=_sized_request(loop),
            handler_cancellation=True,
            access_log=None,
        )
        self._server = await loop.create_server(self._http, self._host, self._port, ssl=context, backlog=1024)
        if self._socket:
            self._unix_server = await loop.create_unix_server(self._http, self._socket, backlog=1024)
            os.chmod(self._socket, 0o600)  # noqa: PTH101  (instant)
        port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{'https' if context else 'http'}://{host}:{port}"
        self.handler.address = f"{host}:{port}"

    async def stop(self) -> None:
        """End all watches and stop listening. Stored objects stay readable in process."""
        if self._server is None or self._http is None:
            return
        self._server.close()
        if self._unix_server is not None:
            self._unix_server.close()
        self.end_watches()
        self._http.pre_shutdown()
        await self._http.shutdown(_SHUTDOWN_S)
        await self.handler.logs.close()
        self._server = self._unix_server = self._http = None

    def end_watches(self) -> None:
        """Close every open watch, as a restart would."""
        for watches in list(self.rest.watches.values()):
            for watch in list(watches):
                watch.close()

    # ── credentials ──

    def kubeconfig(self) -> JsonObject:
        """A kubeconfig for kubectl and every client library."""
        cluster: dict[str, Any] = {"server": self.url}
        if self._authority is not None:
            cluster["certificate-authority-data"] = base64.b64encode(self.ca_pem.encode()).decode()
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "flowbatch", "cluster": cluster}],
            "users": [{"name": "flowbatch", "user": {"token": self.token}}],
            "contexts": [{"name": "flowbatch", "context": {"cluster": "flowbatch", "user": "flowbatch"}}],
            "current-context": "flowbatch",
        }

    def write_kubeconfig(self, path: str | Path) -> None:
        """Write the kubeconfig where only the owner can read it."""
        target = Path(path)
        target.touch(mode=0o600)
        target.chmod(0o600)
        target.write_text(json.dumps(self.kubeconfig(), indent=2) + "\n")


def _sized_request(loop: asyncio.AbstractEventLoop) -> Callable[..., web.BaseRequest]:
    """Makes requests that may be as large as on a real API server."""

    def make(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)

    return make
