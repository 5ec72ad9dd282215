"""How a question of a flow's probe gets to a pod: straight to its address, as every pod of a cluster can.

Where pods have networks that this process is not in, whoever assembles the program hands in another way. Only addresses
that a kubelet wrote into a pod's status are ever asked, redirects are not followed, and of the answer only the first
line is read.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from flowbatch.workload.flow.changes import Ask

#: How long one answer may take.
TIMEOUT_S = 1.0
_LINE_BYTES = 256

#: Gives "" for yes, else why not. Never raises but for cancellation.
Reach = Callable[[Ask], Awaitable[str]]


async def straight(ask: Ask) -> str:
    """Ask the pod at its address."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _ask(ask)
    except TimeoutError:
        return f"{ask}: no answer within {TIMEOUT_S:g} s"
    except (OSError, ValueError) as problem:
        return f"{ask}: {_said(problem)}"


async def _ask(ask: Ask) -> str:
    reader, writer = await asyncio.open_connection(ask.ip, ask.port, limit=4 * _LINE_BYTES)
    try:
        if not ask.path:
            return ""
        writer.write(request(ask))
        await writer.drain()
        return verdict(ask, await reader.readline())
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def request(ask: Ask) -> bytes:
    """The GET that is sent. Raises ValueError for what would be more than one request."""
    header = f"{ask.header[0]}: {ask.header[1]}\r\n" if ask.header is not None and ask.header[0] else ""
    host = "" if header.lower().startswith("host:") else f"Host: {ask.ip}\r\n"
    text = f"GET {ask.path} HTTP/1.0\r\n{host}User-Agent: flowbatch-probe\r\n{header}\r\n"
    if any(each in part for part in (ask.path, *(ask.header or ())) for each in ("\r", "\n")) or " " in ask.path:
        raise ValueError("the path or the header has a line break or a blank")
    return text.encode()


def verdict(ask: Ask, line: bytes) -> str:
    """What the first line of an answer says."""
    words = line[:_LINE_BYTES].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return f"{ask}: the answer is not HTTP"
    status = int(words[1])
    return "" if 200 <= status < 400 else f"{ask}: HTTP {status}"


def _said(problem: Exception) -> str:
    return (getattr(problem, "strerror", None) or str(problem) or type(problem).__name__).lower()
