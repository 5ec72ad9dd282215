"""An API server, a client and process nodes in this process; pods are bound by hand, as no scheduler is here."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from flowbatch.api.core import Pod
from flowbatch.api.kinds import NAMESPACE, POD
from flowbatch.api.meta import JsonObject
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.nodes import NodeSpecification, ProcessNodes
from flowbatch.embedded.nodes.cluster import Cluster, NamespacesForbidden
from flowbatch.kube import request as build
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig, load_config
from flowbatch.kube.errors import Forbidden, NotFound
from tests.apiserver import rig

PATIENCE_S = 20.0
_numbers = itertools.count()


async def create_pod(client: Client, manifest: JsonObject, namespace: str) -> Pod:
    while True:
        try:
            return await client.create(POD, manifest, namespace)
        except Forbidden as problem:  # a new namespace of a real cluster has no service account for a moment
            if "serviceaccount" not in str(problem):
                raise
            await asyncio.sleep(0.05)


@dataclass
class Field:
    """Where pods are played: one server, one client, some nodes."""

    client: Client
    nodes: ProcessNodes
    namespace: str
    names: list[str] = field(default_factory=list)

    async def run_pod(self, name: str, spec: JsonObject | list[str], node: str = "n1", **metadata: Any) -> JsonObject:
        """Create a pod and bind it; a list is the command of its only container."""
        if isinstance(spec, list):
            spec = {"containers": [{"name": "main", "command": spec}]}
        spec.setdefault("restartPolicy", "Never")
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            container.setdefault("image", "test")
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}
        made = await create_pod(self.client, manifest, self.namespace)
        await self.client.send(build.bind_pod(self.namespace, name, made.metadata.uid, node))
        return await self.pod(name)

    async def create(self, kind: Any, manifest: JsonObject) -> None:
        await self.client.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, **manifest}, self.namespace)

    async def pod(self, name: str) -> JsonObject:
        return await self.client.get_json(POD, name, self.namespace)

    async def until(self, name: str, true: Callable[[JsonObject], Any], timeout_s: float = PATIENCE_S) -> JsonObject:
        found: JsonObject = {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    found = await self.pod(name)
                    if true(found["status"]):
                        return found
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{name} is not so: {found.get('status')}\n{await self.logs(name)}") from None

    async def phase(self, name: str, *phases: str, timeout_s: float = PATIENCE_S) -> JsonObject:
        return await self.until(name, lambda status: status.get("phase") in phases, timeout_s)

    async def finished(self, name: str, timeout_s: float = PATIENCE_S) -> JsonObject:
        return await self.phase(name, "Succeeded", "Failed", timeout_s=timeout_s)

    async def logs(self, name: str, **options: Any) -> str:
        return (await self.client.send(build.pod_logs(self.namespace, name, **options))).decode()

    async def output(self, name: str, spec: JsonObject | list[str], node: str = "n1", **metadata: Any) -> str:
        """Run a pod to its success and give what it printed."""
        await self.run_pod(name, spec, node, **metadata)
        pod = await self.finished(name)
        text = await self.logs(name)
        assert pod["status"]["phase"] == "Succeeded", f"{pod['status']}\n{text}"
        return text

    async def delete(self, name: str, grace_seconds: int | None = None) -> None:
        await self.client.delete(POD, name, self.namespace, grace_seconds=grace_seconds)

    async def gone(self, name: str, timeout_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    await self.pod(name)
                except NotFound:
                    return
                await asyncio.sleep(0.02)


async def eventually(true: Callable[[], Awaitable[Any]], timeout_s: float = 10.0) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(timeout_s):
        while not await true():  # noqa: ASYNC110  (what is asked about sends no word)
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(task: Awaitable[None], ready: asyncio.Event) -> AsyncIterator[None]:
    """`task` in the background, from when it is ready; its own end is an error."""
    background = asyncio.ensure_future(task)
    waiter = asyncio.ensure_future(ready.wait())
    await asyncio.wait((background, waiter), timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    if background.done():
        background.result()
    try:
        yield
    finally:
        background.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await background


@pytest.fixture(scope="session")
def can_isolate() -> None:
    """Skips, with the machine's own reason, where namespaces are forbidden."""

    async def start_and_stop() -> None:
        await (await Cluster.start()).close()

    try:
        asyncio.run(start_and_stop())
    except NamespacesForbidden as reason:
        pytest.skip(f"no namespaces here: {reason}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module with MODES runs as this user would, and (where this user is root) in a user namespace, too."""
    if "shared_field" in metafunc.fixturenames:
        modes = getattr(metafunc.module, "MODES", ("own",)) if os.geteuid() == 0 else ("own",)
        metafunc.parametrize("shared_field", modes, indirect=True, scope="module")


@contextlib.asynccontextmanager
async def api_server(on: str) -> AsyncIterator[Client]:
    """A client of a fresh API server: the embedded one, or a real one."""
    if on == "embedded":
        async with ApiServer(tls=False) as server, Client(await from_kubeconfig(server.kubeconfig())) as client:
            yield client
        return
    try:
        with rig.control_plane(etcd="3.4" if on == "etcd34" else "3.6") as plane:
            async with Client(await load_config(plane.kubeconfig)) as client:
                yield client
    except rig.RigUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
async def shared_field(can_isolate: None, request: pytest.FixtureRequest) -> AsyncIterator[Field]:
    isolation = "user" if request.param == "user-namespace" else None
    async with api_server(request.config.getoption("--on")) as client:
        specifications = [NodeSpecification(name, "8", "16Gi") for name in ("n1", "n2")]
        images = {"greeter": ["echo", "hello from the map"]}
        nodes = ProcessNodes(client, specifications, images=images, isolation=isolation)
        async with running(nodes.run(), nodes.ready):
            yield Field(client, nodes, "")
        assert nodes.failures == 0


@pytest.fixture
async def field_(shared_field: Field) -> Field:
    """The shared field, in a namespace of this test's own."""
    namespace = f"t{next(_numbers)}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await shared_field.client.create(NAMESPACE, manifest)
    return Field(shared_field.client, shared_field.nodes, namespace)
