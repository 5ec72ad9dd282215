"""What a client needs of a network, so that a simulation or a fault rule can stand in for the real one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from flowbatch.kube.request import Request


class Response(msgspec.Struct, frozen=True):
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Streaming(Protocol):
    """An answer that goes on: its head is here, its body comes in pieces."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncIterator[bytes]:
        """Pieces of the body as they arrive. Raises TransportError when it breaks or is silent for too long."""
        ...

    async def read(self) -> bytes:
        """All of the body: for answers that turn out to be errors."""
        ...


class Transport(Protocol):
    """Sends requests. All of its failures are TransportError, with `sent` False if nothing left this process."""

    async def exchange(
        self, request: Request, headers: Mapping[str, str], timeout_s: float, *, urgent: bool = False
    ) -> Response:
        """Send and read the whole answer within `timeout_s`. `urgent` never waits for a connection of others."""
        ...

    def stream(
        self, request: Request, headers: Mapping[str, str], idle_timeout_s: float | None
    ) -> AbstractAsyncContextManager[Streaming]:
        """Send and keep the answer open; silence for `idle_timeout_s` counts as a broken connection."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
