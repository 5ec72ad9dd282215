"""A name server for pods: A records out of the directory, and a quick no for everything else.

It runs in the node's own process on a socket that was opened inside the pods' network.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

_HEADER = struct.Struct(">HHHHHH")
_QUESTION_TAIL = struct.Struct(">HH")
_A, _AAAA, _ANY = 1, 28, 255
_RESPONSE, _AUTHORITATIVE, _RECURSION_AVAILABLE, _RECURSION_DESIRED = 0x8000, 0x0400, 0x0080, 0x0100
_FORMAT_ERROR, _NO_SUCH_NAME = 1, 3
_TTL_S = 1
_MAX_QUERY_BYTES = 1500

Resolve = Callable[[str], "list[str] | None"]


def answer(query: bytes, resolve: Resolve) -> bytes | None:
    """The response to one query; None for what is not a query at all."""
    if len(query) < _HEADER.size:
        return None
    number, flags, questions, _, _, _ = _HEADER.unpack_from(query)
    if flags & _RESPONSE:
        return None
    base = _RESPONSE | _AUTHORITATIVE | _RECURSION_AVAILABLE | (flags & _RECURSION_DESIRED)
    parsed = _question(query) if questions == 1 else None
    if parsed is None:
        return _HEADER.pack(number, base | _FORMAT_ERROR, 0, 0, 0, 0)
    name, kind, end = parsed
    addresses = resolve(name)
    records = [socket.inet_aton(ip) for ip in addresses or ()] if kind in (_A, _ANY) else []
    code = _NO_SUCH_NAME if addresses is None else 0
    head = _HEADER.pack(number, base | code, 1, len(records), 0, 0)
    # 0xC00C points at the question's name.
    body = b"".join(struct.pack(">HHHIH", 0xC00C, _A, 1, _TTL_S, 4) + record for record in records)
    return head + query[_HEADER.size : end] + body


def _question(query: bytes) -> tuple[str, int, int] | None:
    labels, at = [], _HEADER.size
    while at < len(query) and query[at]:
        length = query[at]
        if length > 63 or at + 1 + length > len(query):
            return None
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    if at + 1 + _QUESTION_TAIL.size > len(query):
        return None
    kind, _ = _QUESTION_TAIL.unpack_from(query, at + 1)
    return ".".join(labels), kind, at + 1 + _QUESTION_TAIL.size


async def serve(names: socket.socket, resolve: Resolve) -> None:
    """Answer queries on `names` until cancelled, then close it."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        with contextlib.suppress(OSError):  # a pod that left takes its port with it
            query, client = names.recvfrom(_MAX_QUERY_BYTES)
            if (reply := answer(query, resolve)) is not None:
                names.sendto(reply, client)

    loop.add_reader(names.fileno(), readable)
    try:
        await asyncio.Event().wait()
    finally:
        loop.remove_reader(names.fileno())
        names.close()
