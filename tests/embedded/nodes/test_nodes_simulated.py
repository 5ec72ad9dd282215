"""Do simulated pods go as their annotations say, at one write a change, and cost nothing at rest?"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbatch.api.kinds import LEASE, NODE, POD
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.nodes import NodeSpecification, SimulatedNodes
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.kube.errors import NotFound
from flowbatch.kube.request import bind_pod
from tests.embedded.nodes.conftest import api_server, create_pod, running

NODES = 50


class Play:
    def __init__(self, client: Client, nodes: SimulatedNodes) -> None:
        self.client = client
        self.nodes = nodes
        self.writes: list[str] = []
        client.on_reply = lambda request, status, seconds: (
            self.writes.append(f"{request.method} {request.path}") if request.is_write else None
        )

    async def pod(self, name: str, policy: str = "Never", **annotations: Any) -> None:
        notes = {f"flowbatch.dev/sim-{key.replace('_', '-')}": str(value) for key, value in annotations.items()}
        spec = {"restartPolicy": policy, "containers": [{"name": "main", "image": "any"}]}
        meta = {"name": name, "annotations": notes}
        made = await create_pod(self.client, {"metadata": meta, "spec": spec}, "default")
        await self.client.send(bind_pod("default", name, made.metadata.uid, f"sim-{len(name) % NODES}"))

    async def phase(self, name: str, phase: str) -> Any:
        async with asyncio.timeout(10):
            while True:
                pod = await self.client.get_json(POD, name, "default")
                if pod["status"].get("phase") == phase:
                    return pod
                await asyncio.sleep(0.01)

    async def gone(self, name: str) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    await self.client.get(POD, name, "default")
                except NotFound:
                    return
                await asyncio.sleep(0.01)

    def written(self, name: str) -> list[str]:
        return [write.split()[0] for write in self.writes if f"/pods/{name}/status" in write]


@pytest.fixture
async def play(request: pytest.FixtureRequest) -> AsyncIterator[Play]:
    async with api_server(request.config.getoption("--on")) as client:
        nodes = SimulatedNodes(client, [NodeSpecification(f"sim-{i}", "8", "32Gi") for i in range(NODES)])
        async with running(nodes.run(), nodes.ready):
            yield Play(client, nodes)
        assert nodes.failures == 0


async def test_without_annotations_a_pod_runs_until_it_is_deleted(play: Play):
    await play.pod("for-ever")
    pod = await play.phase("for-ever", "Running")
    assert pod["status"]["containerStatuses"][0]["ready"]
    assert pod["status"]["podIP"]
    await play.client.delete(POD, "for-ever", "default")
    await play.gone("for-ever")
    assert play.written("for-ever") == ["PATCH"]


async def test_a_run_ends_after_its_time_with_two_writes(play: Play):
    begun = time.monotonic()
    await play.pod("short", run_seconds=0.5, start_seconds=0.2)
    await play.phase("short", "Succeeded")
    assert 0.6 < time.monotonic() - begun < 3
    assert play.written("short") == ["PATCH", "PATCH"]


async def test_an_exit_code_fails_the_pod(play: Play):
    await play.pod("bad", run_seconds=0, exit_code=3)
    pod = await play.phase("bad", "Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_the_first_tries_of_a_name_fail_even_across_new_pods(play: Play):
    for phase in ("Failed", "Failed", "Succeeded"):
        await play.pod("flaky", run_seconds=0, fail_times=2)
        await play.phase("flaky", phase)
        await play.client.delete(POD, "flaky", "default")
        await play.gone("flaky")


async def test_on_failure_restarts_in_place_until_it_succeeds(play: Play):
    await play.pod("again", "OnFailure", run_seconds=0.05, fail_times=2)
    pod = await play.phase("again", "Succeeded")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 2


async def test_many_pods_start_together_and_rest_costs_nothing(play: Play):
    await asyncio.gather(*(play.pod(f"many-{i}") for i in range(200)))
    await asyncio.gather(*(play.phase(f"many-{i}", "Running") for i in range(200)))
    before = len(play.writes)
    await asyncio.sleep(0.3)
    assert len(play.writes) == before


async def test_existing_nodes_are_adopted(play: Play):
    body = {"metadata": {"labels": {"kept": "yes"}}}
    await play.client.patch(NODE, "sim-1", body)
    again = SimulatedNodes(play.client, [NodeSpecification("sim-1", "16", "1Gi", extended={"nvidia.com/gpu": "4"})])
    async with running(again.run(), again.ready):
        node = await play.client.get_json(NODE, "sim-1")
        assert node["status"]["allocatable"]["cpu"] == "16"
        assert node["status"]["allocatable"]["nvidia.com/gpu"] == "4"
        assert node["metadata"]["labels"]["kept"] == "yes"
    node = await play.client.get_json(NODE, "sim-1")
    assert {each["type"]: each["status"] for each in node["status"]["conditions"]}["Ready"] == "False"


async def test_a_thousand_nodes_register_within_seconds():
    async with ApiServer(tls=False) as server, Client(await from_kubeconfig(server.kubeconfig())) as client:
        nodes = SimulatedNodes(client, [NodeSpecification(f"sim-{i}", "8", "32Gi") for i in range(1000)])
        begun = time.monotonic()
        async with running(nodes.run(), nodes.ready):
            took_s = time.monotonic() - begun
            assert len(await client.list(NODE)) == 1000
        print(f"1000 nodes registered in {took_s:.2f} s")
        assert took_s < 10


async def test_heartbeats_are_written_only_when_asked_for():
    async with ApiServer(tls=False) as server, Client(await from_kubeconfig(server.kubeconfig())) as client:
        nodes = SimulatedNodes(client, [NodeSpecification("alive", "1", "1Gi")], heartbeat_s=0.1)
        async with running(nodes.run(), nodes.ready):
            first = await _renewed(client, "")
            assert await _renewed(client, first) > first


async def _renewed(client: Client, than: str) -> str:
    async with asyncio.timeout(5):
        while True:
            try:
                found = str((await client.get_json(LEASE, "alive", "kube-node-lease"))["spec"]["renewTime"])
            except NotFound:
                found = ""
            if found > than:
                return found
            await asyncio.sleep(0.02)
