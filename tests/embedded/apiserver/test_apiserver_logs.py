"""Are container logs fetched from the pod's node, streamed, and its refusals passed on?"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from flowbatch.embedded.apiserver.certificates import Authority


class Kubelet:
    """A node's log endpoint over TLS, as the contract describes it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.more = asyncio.Event()
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(str(request.rel_url))
        if "/missing" in request.path:
            return web.Response(status=404, text="no such container")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        if "follow=true" in request.rel_url.raw_query_string:
            await self.more.wait()
            await response.write(b"second\n")
        return response


@pytest.fixture
async def kubelet() -> AsyncIterator[Kubelet]:
    kubelet = Kubelet()
    context = Authority(datetime.now(UTC)).server_context("127.0.0.1")  # noqa: TID251  (a certificate for today)
    server = web.Server(kubelet.handle)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0, ssl=context)
    kubelet.port = listening.sockets[0].getsockname()[1]
    yield kubelet
    listening.close()
    await server.shutdown(0.01)


@pytest.fixture
async def running(api: Any, pods: str, kubelet: Kubelet, make_pod: Any, ns: str) -> str:
    """A pod on a node whose kubelet listens."""
    node = f"n-{ns}"
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}},
    }
    await api.post("/api/v1/nodes", {"metadata": {"name": node}, "status": status})
    body = make_pod("p", nodeName=node)
    body["spec"]["containers"].append({"name": "missing", "image": "i:1"})
    await api.post(pods, body)
    return f"{pods}/p/log"


async def test_logs_come_from_the_node(api: Any, running: str, kubelet: Kubelet, ns: str) -> None:
    answer = await api.get(running, container="c", tailLines="5", timestamps="true")
    assert (answer.status, answer.body) == (200, b"first\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    path, _, query = kubelet.asked[0].partition("?")
    assert path == f"/containerLogs/{ns}/p/c"
    assert set(query.split("&")) == {"tailLines=5", "timestamps=true"}


async def test_followed_logs_arrive_as_they_are_written(api: Any, running: str, kubelet: Kubelet) -> None:
    async with api.session.get(api.url + running, params={"container": "c", "follow": "true"}) as reply:
        assert await reply.content.readline() == b"first\n"
        kubelet.more.set()
        assert await reply.content.readline() == b"second\n"


async def test_refusal_of_the_node_is_passed_on(api: Any, running: str) -> None:
    answer = await api.get(running, container="missing")
    assert answer.status == 404


async def test_unreachable_node_is_an_error_with_its_address(api: Any, running: str, kubelet: Kubelet, ns: str) -> None:
    status = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}
    await api.merge(f"/api/v1/nodes/n-{ns}/status", status)
    answer = await api.get(running, container="c")
    assert answer.status == 500
    assert "127.0.0.1:1" in answer.json["message"]
