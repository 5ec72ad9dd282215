"""Bytes to the API server and back: the one place that knows aiohttp.

Tuned by measurement (python.md 1.2, 1.5): no `trust_env` (four times the cost of a request), big read buffers, no
compression (the server would spend its CPU on it), no redirects, and streams on a connector of their own, so that a
hundred watches never keep a write waiting for a connection.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp
from yarl import URL

from flowbatch.kube.config import ClusterConfig
from flowbatch.kube.errors import TransportError
from flowbatch.kube.request import Request
from flowbatch.kube.transport import Response

CONNECT_S = 15.0
#: Idle connections are closed by us, long before the server would do it under a request that is on its way.
KEEP_ALIVE_S = 15.0
READ_BUFFER_BYTES = 2**21


class _AiohttpStream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._response.content
        with _translated():
            while chunk := await content.readany():
                yield chunk

    async def read(self) -> bytes:
        with _translated():
            return await self._response.read()


class AiohttpTransport:
    """A Transport over aiohttp. Make it inside the event loop that will use it."""

    def __init__(self, config: ClusterConfig, connections: int) -> None:
        self._config = config
        self._server = "http://localhost" if config.socket else config.server
        self._calls = self._session(connections)
        self._streams = self._session(0)

    def _session(self, connections: int) -> aiohttp.ClientSession:
        session = aiohttp.ClientSession(
            connector=self._connector(connections),
            trust_env=False,
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )
        session._retry_connection = False  # noqa: SLF001  aiohttp would send a PUT or DELETE twice by itself
        return session

    def _connector(self, connections: int) -> aiohttp.BaseConnector:
        if self._config.socket:
            return aiohttp.UnixConnector(self._config.socket, limit=connections, keepalive_timeout=KEEP_ALIVE_S)
        return aiohttp.TCPConnector(
            limit=connections, ssl=self._config.ssl or True, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60
        )

    async def exchange(
        self, request: Request, headers: Mapping[str, str], timeout_s: float, *, urgent: bool = False
    ) -> Response:
        """See Transport."""
        session = self._streams if urgent else self._calls
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_S, timeout_s))
        with _translated():
            async with self._send(session, request, headers, timeout) as response:
                return Response(response.status, response.headers, await response.read())

    @contextlib.asynccontextmanager
    async def stream(
        self, request: Request, headers: Mapping[str, str], idle_timeout_s: float | None
    ) -> AsyncIterator[_AiohttpStream]:
        """See Transport."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=idle_timeout_s)
        async with contextlib.AsyncExitStack() as stack:
            with _translated():
                response = await stack.enter_async_context(self._send(self._streams, request, headers, timeout))
            yield _AiohttpStream(response)

    def _send(
        self,
        session: aiohttp.ClientSession,
        request: Request,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return session.request(
            request.method,
            URL(self._server + request.target, encoded=True),
            data=request.body or None,
            headers=headers,
            timeout=timeout,
            proxy=None if self._config.socket else self._config.proxy,
            allow_redirects=False,
            server_hostname=self._config.tls_server_name,
        )

    async def close(self) -> None:
        """See Transport."""
        await self._calls.close()
        await self._streams.close()


class _translated:  # noqa: N801  (used as a statement; a class, because generators cost more on this path)
    """Turns what aiohttp raises into TransportError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, aiohttp.ClientSSLError):
            raise TransportError(f"no secure connection: {error}", sent=False, lasting=True) from error
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            raise TransportError(f"cannot connect: {error}", sent=False) from error
        if isinstance(error, TimeoutError):
            raise TransportError(f"no answer in time ({type(error).__name__})") from error
        if isinstance(error, aiohttp.ClientError | OSError):
            raise TransportError(f"connection lost: {error or type(error).__name__}") from error
