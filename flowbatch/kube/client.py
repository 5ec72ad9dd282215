"""The client: typed reads and writes, each retried exactly as often as is safe.

A read is repeated after trouble on the way and after 429 and 5xx. A write is repeated only where the server, or the
lack of a connection, proves that nothing was done: 429 (waiting as long as it asks), 401 once with fresh credentials,
and a refused connection. Everything else is the caller's decision, because only the caller knows what a second write
would mean.
"""

import asyncio
import builtins
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar

import anyio
import msgspec

from flowbatch import __version__
from flowbatch.api.kinds import Kind
from flowbatch.api.meta import JsonObject, ListMeta, Wire
from flowbatch.kube import request as build
from flowbatch.kube.backoff import Backoff
from flowbatch.kube.config import ClusterConfig
from flowbatch.kube.errors import (
    ApiError,
    Gone,
    ServerError,
    Throttled,
    TransportError,
    Unauthorized,
    api_error,
    retry_after_of,
)
from flowbatch.kube.faults import FaultRule, FaultyTransport
from flowbatch.kube.gate import WriteGate
from flowbatch.kube.request import PatchContent, Propagation, Request
from flowbatch.kube.stream import LineStream, checked
from flowbatch.kube.transport import Response, Transport
from flowbatch.kube.watch import EventDecoder, Malformed

T = TypeVar("T", bound=Wire)

PAGE_OBJECTS = 500
#: A request that has no answer after this long never gets one.
REQUEST_S = 30.0
#: Attempts for reads; for writes that were refused a connection; and for anything that was throttled.
READ_ATTEMPTS, CONNECT_ATTEMPTS, THROTTLED_ATTEMPTS = 5, 4, 10
#: How often a list is begun again when its continue token expires.
LIST_ATTEMPTS = 3
#: The longest Retry-After that is obeyed; beyond it the error is the caller's.
MAX_RETRY_AFTER_S = 30.0

#: Told of every answer: the request, its HTTP status (0: none came) and the seconds it took.
OnReply = Callable[[Request, int, float], None]


class Page(msgspec.Struct):
    """One page of a list, its items not yet decoded."""

    metadata: ListMeta = ListMeta()
    items: list[msgspec.Raw] | None = None


_decode_page = msgspec.json.Decoder(Page).decode


class Client:
    """One API server, one user. An async context manager; make and use it inside one event loop.

    `component` names this program in the User-Agent; `on_reply` is where metrics listen.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        max_in_flight: int = 64,
        gate: WriteGate | None = None,
        rule: FaultRule | None = None,
        transport: Transport | None = None,
        component: str = "client",
    ) -> None:
        self.config = config
        self.gate = gate or WriteGate()
        self.on_reply: OnReply | None = None
        self._max_in_flight = max_in_flight
        self._rule = rule
        self._given = transport
        self._transport: Transport | None = None
        self._lanes = asyncio.Semaphore(max_in_flight)
        self._user_agent = f"flowbatch/{__version__} ({component})"
        self._decoders: dict[Kind[Any], EventDecoder[Any]] = {}

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; streams that are open end with a TransportError."""
        transport, self._transport = self._transport, None
        if transport is not None:
            # Also for a program that is being cancelled: half closed sessions would complain when they are collected.
            with anyio.CancelScope(shield=True):
                await transport.close()

    def _open(self) -> Transport:
        if self._transport is None:
            transport = self._given
            if transport is None:
                from flowbatch.kube.aiohttp_transport import AiohttpTransport

                transport = AiohttpTransport(self.config, self._max_in_flight)
            self._transport = transport if self._rule is None else FaultyTransport(transport, self._rule)
        return self._transport

    async def _headers(self, request: Request) -> dict[str, str]:
        headers = {"User-Agent": self._user_agent, "Accept": "application/json", **await self.config.headers()}
        if request.body:
            headers["Content-Type"] = request.content_type
        return headers

    # One request ---------------------------------------------------------------------------------------------------

    async def send(self, request: Request, *, timeout_s: float = REQUEST_S, urgent: bool = False) -> bytes:
        """The body of the answer. Raises ApiError, TransportError or Fenced.

        `urgent` is for the lease itself: it waits behind nothing, passes no gate and is never retried.
        """
        if urgent:
            return await self._once(request, timeout_s, urgent=True)
        attempts = Attempts(request)
        while True:
            try:
                async with self._lanes:
                    allowed_s = min(timeout_s, self.gate.admit()) if request.is_write else timeout_s
                    return await self._once(request, allowed_s)
            except (ApiError, TransportError) as problem:
                if isinstance(problem, Unauthorized):
                    self.config.credentials.renew()
                delay_s = attempts.delay_s(problem)
                if delay_s is None:
                    raise
            await asyncio.sleep(delay_s)

    async def _once(self, request: Request, timeout_s: float, *, urgent: bool = False) -> bytes:
        started, status = time.monotonic(), 0
        try:
            headers = await self._headers(request)
            response = await self._open().exchange(request, headers, timeout_s, urgent=urgent)
            status = response.status
        finally:
            if self.on_reply is not None:
                self.on_reply(request, status, time.monotonic() - started)
        return _body(response)

    def stream(self, request: Request, *, idle_timeout_s: float | None) -> AbstractAsyncContextManager[LineStream]:
        """The lines of a watch or a log while the server sends them: `async with` it, then `async for`.

        Raises ApiError when opened, TransportError when opened or read. Never retried: only the reader knows where
        to go on. Silence for `idle_timeout_s` is a TransportError; None waits for ever.
        """
        return self._stream(request, idle_timeout_s)

    @contextlib.asynccontextmanager
    async def _stream(self, request: Request, idle_timeout_s: float | None) -> AsyncIterator[LineStream]:
        headers = await self._headers(request)
        started = time.monotonic()
        async with self._open().stream(request, headers, idle_timeout_s) as stream:
            if self.on_reply is not None:
                self.on_reply(request, stream.status, time.monotonic() - started)
            if stream.status == 401:
                self.config.credentials.renew()
            yield await checked(stream)

    # Typed ---------------------------------------------------------------------------------------------------------

    def decoder(self, kind: Kind[T]) -> EventDecoder[T]:
        """The decoder of a kind, made once."""
        known = self._decoders.get(kind)
        if known is None:
            known = self._decoders[kind] = EventDecoder(kind)
        return known

    async def get(self, kind: Kind[T], name: str, namespace: str | None = None) -> T:
        """One object. Raises NotFound."""
        return self._decoded(kind, await self.send(build.get_object(kind, name, namespace)))

    async def list(
        self, kind: Kind[T], namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> builtins.list[T]:
        """Every object of a kind, page by page; `namespace` None means all of them."""
        items = await self._items(kind, namespace, label_selector, field_selector)
        return [self._decoded(kind, item) for item in items]

    async def create(self, kind: Kind[T], manifest: JsonObject, namespace: str | None = None) -> T:
        """Create an object; gives what the server stored. Raises AlreadyExists, Invalid."""
        return self._decoded(kind, await self.send(build.create_object(kind, manifest, namespace)))

    async def patch(
        self,
        kind: Kind[T],
        name: str,
        body: JsonObject | Sequence[JsonObject],
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        content: PatchContent = "merge",
    ) -> T:
        """Change part of an object; gives what the server stored."""
        request = build.patch_object(kind, name, body, namespace, subresource=subresource, content=content)
        return self._decoded(kind, await self.send(request))

    async def delete(
        self,
        kind: Kind[Any],
        name: str,
        namespace: str | None = None,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
        propagation: Propagation | None = None,
    ) -> None:
        """Ask for an object's end; finalizers and grace may delay it. Raises NotFound, Conflict (another uid)."""
        await self.send(
            build.delete_object(kind, name, namespace, uid=uid, grace_seconds=grace_seconds, propagation=propagation)
        )

    def _decoded(self, kind: Kind[T], body: bytes | msgspec.Raw) -> T:
        try:
            return self.decoder(kind).plain(body)
        except Malformed as problem:
            raise TransportError(f"the answer is no {kind.kind}: {problem}") from None

    # Whole objects -------------------------------------------------------------------------------------------------

    async def get_json(self, kind: Kind[Any], name: str, namespace: str | None = None) -> JsonObject:
        """One object with every field it has."""
        body = await self.send(build.get_object(kind, name, namespace))
        try:
            found: JsonObject = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError as problem:
            raise TransportError(f"the answer is no {kind.kind}: {problem}") from None
        return found

    async def list_json(
        self, kind: Kind[Any], namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> builtins.list[JsonObject]:
        """Every object of a kind with every field it has; apiVersion and kind are filled in, as kubectl does."""
        items = await self._items(kind, namespace, label_selector, field_selector)
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **msgspec.json.decode(item)} for item in items]

    async def _items(
        self, kind: Kind[Any], namespace: str | None, label_selector: str, field_selector: str
    ) -> builtins.list[msgspec.Raw]:
        for _ in range(LIST_ATTEMPTS):
            found: list[msgspec.Raw] = []
            try:
                async for page in self.pages(
                    kind, namespace, label_selector=label_selector, field_selector=field_selector
                ):
                    found += page.items or ()
            except Gone:
                continue  # The continue token outlived the server's memory: begin again.
            return found
        raise TransportError(f"the list of {kind.plural} expired again and again while it was read")

    async def pages(
        self,
        kind: Kind[Any],
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        resource_version_match: str = "",
        limit: int = PAGE_OBJECTS,
    ) -> AsyncIterator[Page]:
        """A list as its pages arrive, so that a big one is never in memory as JSON at once. Raises Gone midway."""
        continue_ = ""
        while True:
            request = build.list_objects(
                kind,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                limit=limit,
                continue_=continue_,
                resource_version=resource_version,
                resource_version_match=resource_version_match,
            )
            page = _page(await self.send(request))
            yield page
            continue_ = page.metadata.continue_
            if not continue_:
                return


class Attempts:
    """How often one request has been tried, and whether it may be tried again."""

    def __init__(self, request: Request) -> None:
        self._write = request.is_write
        self._made = 0
        self._renewed = False
        self._backoff = Backoff(first_s=0.1, cap_s=5.0)

    def delay_s(self, problem: ApiError | TransportError) -> float | None:
        """Seconds to wait before the next attempt after `problem`; None: give up."""
        self._made += 1
        if isinstance(problem, Unauthorized):
            first, self._renewed = not self._renewed, True
            return 0.0 if first else None
        if self._made >= self._allowed(problem):
            return None
        asked_s = problem.retry_after if isinstance(problem, ApiError) else None
        if asked_s is not None and asked_s > MAX_RETRY_AFTER_S:
            return None
        return self._backoff.delay_s(asked_s)

    def _allowed(self, problem: ApiError | TransportError) -> int:
        if isinstance(problem, Throttled):
            # A disruption budget is no overload: only its owner knows how long to wait for it.
            return (
                1 if any(cause.get("reason") == "DisruptionBudget" for cause in problem.causes) else THROTTLED_ATTEMPTS
            )
        if isinstance(problem, ServerError):
            return 1 if self._write or problem.version_too_large else READ_ATTEMPTS
        if isinstance(problem, TransportError) and not problem.lasting:
            return (CONNECT_ATTEMPTS if not problem.sent else 1) if self._write else READ_ATTEMPTS
        return 1


def _body(response: Response) -> bytes:
    if 200 <= response.status < 300:
        return response.body
    raise api_error(response.status, response.body, retry_after_of(response.headers))


def _page(body: bytes) -> Page:
    try:
        return _decode_page(body)
    except msgspec.MsgspecError as problem:
        raise TransportError(f"not a list: {problem}") from None
