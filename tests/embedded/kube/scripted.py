"""A server that misbehaves to order: each request consumes the next step of a script, and is logged in a few letters.

The letters: `L` list, `WL` WatchList, `W` watch, then `@` and the resourceVersion asked for; other requests by method.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from flowbatch.kube.config import ClusterConfig

Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Script:
    """Steps to come, requests that came."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.log: list[str] = []
        self.agents: list[str] = []
        self.bodies: list[bytes] = []
        self.url = ""
        self.connections = 0
        self.exhausted = asyncio.Event()

    @property
    def config(self) -> ClusterConfig:
        return ClusterConfig(self.url)

    def play(self, *steps: Step) -> None:
        self.steps += steps

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.log.append(letters(request))
        self.agents.append(request.headers.get("User-Agent", ""))
        self.bodies.append(await request.read())
        if not self.steps:
            self.exhausted.set()
            await asyncio.sleep(3600)
        return await self.steps.pop(0)(request)


def letters(request: web.Request) -> str:
    query = request.query
    if request.method != "GET":
        return request.method
    if "watch" in query:
        name = "WL" if query.get("sendInitialEvents") == "true" else "W"
        return f"{name}@{query.get('resourceVersion', '')}"
    if "continue" in query:
        return "L+"
    return f"L@{query.get('resourceVersion', '')}" if request.path.endswith("pods") else "GET"


@contextlib.asynccontextmanager
async def scripted() -> AsyncIterator[Script]:
    script = Script()
    application = web.Application(client_max_size=2**24)
    application.router.add_route("*", "/{path:.*}", script.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield script
    finally:
        await runner.cleanup()


# Steps -------------------------------------------------------------------------------------------------------------


def reply(body: Any = None, status: int = 200, **headers: str) -> Step:
    """A whole answer; `body` is JSON, or text as it is."""

    async def step(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body or {})
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=names)

    return step


def stream(*lines: bytes | dict[str, Any], then: str = "close") -> Step:
    """A watch: these lines, then `close`, `reset` or `hang`."""

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        if then == "hang":
            await asyncio.sleep(3600)
        if then == "reset":
            assert request.transport is not None
            request.transport.abort()
        return response

    return step


def drop() -> Step:
    """The connection breaks before any answer."""

    async def step(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return step


# What they say -----------------------------------------------------------------------------------------------------


def pod(name: str, version: int, uid: str = "", node: str = "") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "a", "uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"nodeName": node}}


def event(kind: str, name: str, version: int, uid: str = "", node: str = "") -> dict[str, Any]:
    return {"type": kind, "object": pod(name, version, uid, node)}


def bookmark(version: int, *, end: bool = False) -> dict[str, Any]:
    annotations = {"k8s.io/initial-events-end": "true"} if end else None
    metadata = {"resourceVersion": str(version), "creationTimestamp": None, "annotations": annotations}
    return {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": metadata, "spec": {"containers": None}}}


def watch_list(*names: str, version: int, then: tuple[Any, ...] = (), ends: str = "hang") -> Step:
    """A whole WatchList of pods, each at `version` minus its place from the end."""
    counted = zip(names, itertools.count(version - len(names) + 1))
    shown = [event("ADDED", name, number) for name, number in counted]
    return stream(*shown, bookmark(version, end=True), *then, then=ends)


def listed(*pods: dict[str, Any], version: int, continue_: str = "") -> Step:
    return reply({"metadata": {"resourceVersion": str(version), "continue": continue_}, "items": list(pods)})


def status(code: int, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, **more}


def error(code: int, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": "ERROR", "object": status(code, reason, message)}
