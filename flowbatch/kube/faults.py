"""Faults on purpose: one rule hook between the client and its network, for tests and for `--chaos`.

A rule sees each request before it is sent, and each line of a stream as it arrives, and may answer with a `Fault`.
The words are those of reliability.md 3.1.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal

import msgspec

from flowbatch.kube.errors import TransportError
from flowbatch.kube.request import Request
from flowbatch.kube.transport import Response, Streaming, Transport
from flowbatch.kube.watch import LineFramer

Action = Literal[
    "delay", "drop_request", "drop_reply", "refuse", "status", "garbage", "skip", "close", "reset", "freeze"
]


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong.

    For requests: `delay`, `refuse` (connection refused), `drop_request` (lost on the way there), `drop_reply` (done,
    but the answer is lost), `status` (answered so, not done), `garbage` (done, and answered with `body`).
    For lines: `delay`, `skip` (lost), `close` (clean end), `reset` (broken connection), `freeze` (silence).
    """

    action: Action
    seconds: float = 0.0
    status: int = 503
    retry_after: float | None = None
    body: bytes = b"no healthy upstream"


#: Called with the request, and with the line when it is about one; None lets things be.
FaultRule = Callable[[Request, bytes | None], Fault | None]


class FaultyTransport:
    """A Transport in which things go wrong by rule."""

    def __init__(self, inner: Transport, rule: FaultRule) -> None:
        self._inner = inner
        self._rule = rule

    async def exchange(
        self, request: Request, headers: Mapping[str, str], timeout_s: float, *, urgent: bool = False
    ) -> Response:
        """See Transport."""
        fault = self._rule(request, None)
        answered = await self._before(fault, timeout_s)
        if answered is not None:
            return answered
        response = await self._inner.exchange(request, headers, timeout_s, urgent=urgent)
        if fault is not None and fault.action == "drop_reply":
            raise TransportError("the reply was dropped by a fault rule")
        if fault is not None and fault.action == "garbage":
            return Response(response.status, {}, fault.body)
        return response

    async def _before(self, fault: Fault | None, timeout_s: float) -> Response | None:
        if fault is None:
            return None
        if fault.action == "refuse":
            raise TransportError("the connection was refused by a fault rule", sent=False)
        if fault.action == "status":
            return Response(fault.status, _retry_header(fault), fault.body)
        if fault.action in ("drop_request", "freeze"):
            await asyncio.sleep(min(fault.seconds, timeout_s))
            raise TransportError("the request was dropped by a fault rule")
        await asyncio.sleep(fault.seconds)
        return None

    @contextlib.asynccontextmanager
    async def stream(
        self, request: Request, headers: Mapping[str, str], idle_timeout_s: float | None
    ) -> AsyncIterator[Streaming]:
        """See Transport."""
        patience_s = float("inf") if idle_timeout_s is None else idle_timeout_s
        answered = await self._before(self._rule(request, None), patience_s)
        if answered is not None:
            yield _Answered(answered)
            return
        async with self._inner.stream(request, headers, idle_timeout_s) as stream:
            yield _FaultyStream(stream, request, self._rule, patience_s)

    async def close(self) -> None:
        """See Transport."""
        await self._inner.close()


class _Answered:
    """A stream that is only an error answer."""

    def __init__(self, response: Response) -> None:
        self.status, self.headers, self._body = response.status, response.headers, response.body

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self) -> bytes:
        return self._body


class _FaultyStream:
    def __init__(self, inner: Streaming, request: Request, rule: FaultRule, patience_s: float) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner, self._request, self._rule, self._patience_s = inner, request, rule, patience_s

    async def chunks(self) -> AsyncIterator[bytes]:
        framer = LineFramer()
        async for chunk in self._inner.chunks():
            for line in framer.feed(chunk):
                fault = self._rule(self._request, line)
                if fault is not None and fault.action == "close":
                    return
                if not await self._lost(fault):
                    yield line + b"\n"

    async def _lost(self, fault: Fault | None) -> bool:
        if fault is None:
            return False
        if fault.action == "reset":
            raise TransportError("the stream was reset by a fault rule")
        if fault.action == "freeze":
            await asyncio.sleep(min(self._patience_s, fault.seconds or self._patience_s))
            raise TransportError("the stream was frozen by a fault rule")
        await asyncio.sleep(fault.seconds)
        return fault.action == "skip"

    async def read(self) -> bytes:
        return await self._inner.read()


def _retry_header(fault: Fault) -> dict[str, str]:
    return {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
