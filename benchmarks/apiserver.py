"""The embedded API server alone: creates, binds and watch fan-out, over HTTP and in process.

Over HTTP the server is a process of its own (plain http, uvloop) and the client a raw socket that keeps many requests
in flight, so that the figure is the server's and not the client's. It is not etcd: nothing is written to disk.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.figure import Figure
from benchmarks.podfactory import pod
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.apiserver.call import Call
from flowbatch.embedded.apiserver.subresources import bind

PODS = 5_000
CONNECTIONS = 8
#: Requests in flight on each connection; HTTP/1.1 pipelining saves the client's turn-around.
PIPELINE = 8
WATCHERS = 50
PATH = "/api/v1/namespaces/team-vision/pods"
_SERVER = "import sys; from benchmarks.apiserver import serve; serve()"


def manifests(count: int) -> list[bytes]:
    """Bodies of creates: realistic pods without what the server fills in."""
    made = []
    for number in range(count):
        body = pod(number)
        kept = ("name", "labels", "annotations", "ownerReferences")
        body["metadata"] = {key: body["metadata"][key] for key in kept}
        body.pop("status")
        for field in ("nodeName", "priority", "priorityClassName"):
            body["spec"].pop(field, None)
        made.append(json.dumps(body).encode())
    return made


def binding(number: int) -> bytes:
    target = {"kind": "Node", "name": f"node-{number % 1000}"}
    return json.dumps({"metadata": {"name": name(number)}, "target": target}).encode()


def name(number: int) -> str:
    return str(pod(number)["metadata"]["name"])


def figures() -> Iterator[Figure]:
    with child() as (port, pid):
        yield from uvloop.run(measure(port, pid))
    yield from in_process()


def in_process() -> list[Figure]:
    """The REST layer without HTTP: decoding, defaulting, validation, storing, encoding."""
    server = _prepared()
    resource = server.registry.of_kind("v1", "Pod")
    assert resource is not None
    bodies = manifests(PODS)
    started = time.perf_counter()
    for body in bodies:
        _ = server.rest.create(Call("create", resource, "team-vision", body=body)).data
    created = time.perf_counter()
    for number in range(PODS):
        bind(server.rest, Call("create", resource, "team-vision", name(number), "binding", body=binding(number)))
    bound = time.perf_counter()
    return [
        Figure("apiserver_inprocess_creates_per_s", PODS / (created - started), "1/s", note="REST layer, no HTTP"),
        Figure("apiserver_inprocess_binds_per_s", PODS / (bound - created), "1/s", note="REST layer, no HTTP"),
    ]


def _prepared() -> ApiServer:
    server = ApiServer(tls=False, tokens={"bench": "bench"})
    server.create("v1", "Namespace", {"metadata": {"name": "team-vision"}})
    return server


def serve() -> None:
    """The child: an API server until its standard input ends."""

    async def run() -> None:
        server = _prepared()
        await server.start()
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await server.stop()

    uvloop.run(run())


@contextmanager
def child() -> Iterator[tuple[int, int]]:
    """A server in a process of its own; its port and pid."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline().strip().rsplit(":", 1)[1]), process.pid
        process.stdin.close()


def cpu_s(pid: int) -> float:
    """Processor time of a process so far: what a crowded machine does not change much."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(port: int, pid: int) -> list[Figure]:
    creates = [request("POST", PATH, body) for body in manifests(PODS)]
    binds = [request("POST", f"{PATH}/{name(number)}/binding", binding(number)) for number in range(PODS)]
    watchers = [asyncio.create_task(watch(port, PODS))]
    await asyncio.sleep(0.2)
    started, started_cpu = time.perf_counter(), cpu_s(pid)
    await send_all(port, creates)
    created, created_cpu = time.perf_counter(), cpu_s(pid)
    await send_all(port, binds)
    bound, bound_cpu = time.perf_counter(), cpu_s(pid)
    await asyncio.gather(*watchers)
    listed = await timed_list(port)
    fanned = await fan_out(port)
    return [
        Figure(
            "apiserver_creates_per_s", PODS / (created - started), "1/s", note="HTTP, two processes, one live watch"
        ),
        Figure("apiserver_binds_per_s", PODS / (bound - created), "1/s", note="HTTP, two processes, one live watch"),
        Figure("apiserver_create_cpu_us", (created_cpu - started_cpu) / PODS * 1e6, "us", note="server, a create"),
        Figure("apiserver_bind_cpu_us", (bound_cpu - created_cpu) / PODS * 1e6, "us", note="server, a bind"),
        Figure("apiserver_list_ms", listed * 1000, "ms", note=f"list of {PODS} pods"),
        Figure("apiserver_fanout_events_per_s", fanned, "1/s", note=f"{WATCHERS} watches of everything"),
    ]


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def send_all(port: int, requests: list[bytes]) -> None:
    shares = [requests[index::CONNECTIONS] for index in range(CONNECTIONS)]
    await asyncio.gather(*(send(port, share) for share in shares))


async def send(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    for index in range(0, len(requests), PIPELINE):
        batch = requests[index : index + PIPELINE]
        writer.write(b"".join(batch))
        for _ in batch:
            await read_reply(reader)
    writer.close()


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 20"), head
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def watch(port: int, expected: int, query: str = "watch=1") -> None:
    """Count events by their lines until `expected` have come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(request("GET", f"{PATH}?{query}"))
    await reader.readuntil(b"\r\n\r\n")
    seen = 0
    while seen < expected:
        chunk = await reader.read(2**20)
        assert chunk
        seen += chunk.count(b'{"type":')
    writer.close()


async def timed_list(port: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**28)
    started = time.perf_counter()
    writer.write(request("GET", PATH))
    await read_reply(reader)
    writer.close()
    return time.perf_counter() - started


async def fan_out(port: int, changes: int = 500) -> float:
    """Events delivered in a second, over all watches, while pods are changed."""
    watchers = [
        asyncio.create_task(watch(port, changes, "watch=1&resourceVersion=" + await version(port)))
        for _ in range(WATCHERS)
    ]
    await asyncio.sleep(0.3)
    merge = "application/merge-patch+json"
    patches = [
        request("PATCH", f"{PATH}/{name(number)}", b'{"metadata":{"labels":{"x":"1"}}}').replace(
            b"application/json", merge.encode()
        )
        for number in range(changes)
    ]
    started = time.perf_counter()
    await send_all(port, patches)
    await asyncio.gather(*watchers)
    return changes * WATCHERS / (time.perf_counter() - started)


async def version(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    writer.write(request("GET", f"{PATH}?limit=1"))
    found: Any = json.loads(await read_reply(reader))
    writer.close()
    return str(found["metadata"]["resourceVersion"])
