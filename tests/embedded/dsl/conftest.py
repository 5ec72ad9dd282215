"""A stage without actors: a real API server, a node whose logs are written by hand, and jobs played by the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flowbatch.admission.crds import crds
from flowbatch.api.kinds import JOB, NODE, POD, POD_GROUP, QUEUE
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.nodes.kubelet import self_signed
from flowbatch.kube.client import Client
from flowbatch.kube.config import load_config
from flowbatch_dsl import Cluster
from flowbatch_dsl.async_run import AsyncRun

START = datetime(2026, 1, 1, tzinfo=UTC)


class Log:
    """What one container printed, to be read by any number of followers."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.ended = False
        self.changed = asyncio.Event()

    def add(self, text: str, at: int) -> None:
        moment = (START + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
        self.lines.append(f"{moment} {text}\n".encode())
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Kubelet:
    """Serves logs as a kubelet does; `cut()` breaks every connection in the middle."""

    def __init__(self) -> None:
        self.logs: dict[str, Log] = {}
        self.reads = 0
        self._open: list[web.Request] = []

    def cut(self) -> None:
        for request in self._open:
            assert request.transport is not None
            request.transport.abort()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.reads += 1
        log = self.logs.get(request.match_info["pod"])
        if log is None:
            return web.Response(status=400, text="container is waiting to start: ContainerCreating")
        response = web.StreamResponse()
        await response.prepare(request)
        self._open.append(request)
        try:
            await self._write(log, request, response)
        finally:
            self._open.remove(request)
        return response

    async def _write(self, log: Log, request: web.Request, response: web.StreamResponse) -> None:
        sent = max(0, len(log.lines) - int(request.query.get("tailLines", len(log.lines))))
        while True:
            changed = log.changed
            for line in log.lines[sent:]:
                await response.write(line if "timestamps" in request.query else line.partition(b" ")[2])
            sent = len(log.lines)
            if log.ended or "follow" not in request.query:
                return
            await changed.wait()


class Stage:
    """The cluster's side of a job's life, one move at a time."""

    def __init__(self, cluster: Cluster, client: Client, kubelet: Kubelet, server: ApiServer) -> None:
        self.cluster = cluster
        self.client = client
        self.kubelet = kubelet
        self.server = server
        self._seconds = 0

    async def phase(self, run: AsyncRun, phase: str, **state: Any) -> None:
        status = {"state": {"phase": phase, **state}}
        await self.client.patch(JOB, run.name, {"status": status}, run.namespace, subresource="status")

    async def pod(self, run: AsyncRun, task: str, index: int = 0, phase: str = "Running") -> str:
        name = f"{run.name}-{task}-{index}"
        owner = {"apiVersion": JOB.api_version, "kind": "Job", "name": run.name, "uid": run.uid, "controller": True}
        labels = {"volcano.sh/job-name": run.name, "volcano.sh/task-spec": task, "volcano.sh/task-index": str(index)}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
            "spec": {"nodeName": "node-0", "containers": [{"name": "main", "image": "x"}]},
        }
        await self.client.create(POD, manifest, run.namespace)
        if phase != "Pending":
            self.begin(name)
            await self.pod_phase(run, name, phase)
        return name

    async def pod_phase(self, run: AsyncRun, name: str, phase: str) -> None:
        self.kubelet.logs.setdefault(name, Log())
        await self.client.patch(POD, name, {"status": {"phase": phase}}, run.namespace, subresource="status")
        if phase in ("Succeeded", "Failed"):
            self.kubelet.logs[name].end()

    def begin(self, pod: str) -> None:
        """The container has a log from now on."""
        self.kubelet.logs[pod] = Log()

    def say(self, pod: str, *texts: str) -> None:
        for text in texts:
            self._seconds += 1
            self.kubelet.logs[pod].add(text, self._seconds)

    async def group(self, run: AsyncRun, message: str) -> None:
        condition = {"type": "Unschedulable", "status": "True", "reason": "NotEnoughResources", "message": message}
        manifest = {
            "apiVersion": POD_GROUP.api_version,
            "kind": "PodGroup",
            "metadata": {"name": f"{run.name}-{run.uid}"},
            "spec": {"minMember": 1},
            "status": {"phase": "Inqueue", "conditions": [condition]},
        }
        await self.client.create(POD_GROUP, manifest, run.namespace)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    kubelet = Kubelet()
    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", kubelet.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    async with ApiServer() as server:
        for crd in crds():
            await server.install(crd)
        server.write_kubeconfig(tmp_path / "kubeconfig")
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self_signed(datetime.now(UTC))).start()  # noqa: TID251
        async with Client(await load_config(tmp_path / "kubeconfig")) as client:
            await _furnish(client, runner.addresses[0][1])
            try:
                yield Stage(Cluster(kubeconfig=str(tmp_path / "kubeconfig")), client, kubelet, server)
            finally:
                with contextlib.suppress(Exception):
                    await runner.cleanup()


async def _furnish(client: Client, port: int) -> None:
    """A queue, and a node whose log port is known."""
    queue = {"apiVersion": QUEUE.api_version, "kind": "Queue", "metadata": {"name": "default"}, "spec": {"weight": 1}}
    await client.create(QUEUE, queue)
    await client.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-0"}})
    address = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await client.patch(NODE, "node-0", {"status": address}, subresource="status")
