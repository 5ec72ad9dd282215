"""An answer that goes on for minutes (a watch, a followed log), as lines."""

import contextlib
from collections.abc import AsyncIterator

from flowbatch.kube.errors import TransportError, api_error, retry_after_of
from flowbatch.kube.transport import Streaming
from flowbatch.kube.watch import LineFramer


class LineStream:
    """The lines of a streamed answer; also in batches, for readers that count microseconds."""

    def __init__(self, stream: Streaming) -> None:
        self._stream = stream

    async def batches(self) -> AsyncIterator[list[bytes]]:
        """Lines as they arrive, as many at a time as have arrived. Raises TransportError."""
        framer = LineFramer()
        async for chunk in self._stream.chunks():
            if lines := framer.feed(chunk):
                yield lines
        if rest := framer.rest():
            yield [rest]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for lines in self.batches():
            for line in lines:
                yield line


async def checked(stream: Streaming) -> LineStream:
    """The lines of `stream`, once its head says that all is well. Raises ApiError."""
    if stream.status != 200:
        body = b""
        with contextlib.suppress(TransportError):
            body = await stream.read()
        raise api_error(stream.status, body, retry_after_of(stream.headers))
    return LineStream(stream)
