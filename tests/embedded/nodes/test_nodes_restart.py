"""A node program that starts again finds Node objects and pods of its former self: what becomes of them?"""

import os
from pathlib import Path

import pytest

from flowbatch.api.kinds import NODE
from flowbatch.embedded.nodes import NodeSpecification, ProcessNodes
from flowbatch.kube.client import Client
from tests.embedded.nodes.conftest import Field, api_server, running
from tests.embedded.nodes.test_nodes_isolation import entries


def nodes_of(client: Client) -> ProcessNodes:
    return ProcessNodes(client, [NodeSpecification("n1", "8", "16Gi")])


async def test_pods_of_a_former_run_count_as_killed(can_isolate: None):
    async with api_server("embedded") as client:
        before, after = nodes_of(client), nodes_of(client)
        field = Field(client, before, "default")
        async with running(before.run(), before.ready):
            await field.run_pod("never", ["sleep", "100"])
            await field.run_pod(
                "always", {"restartPolicy": "Always", "containers": [{"name": "m", "command": ["sleep", "100"]}]}
            )
            await field.run_pod("done", ["true"])
            await field.run_pod("leaving", {"containers": [{"name": "m", "command": ["sleep", "100"]}]})
            for name in ("never", "always", "leaving"):
                await field.phase(name, "Running")
            await field.finished("done")
        assert _ready(await client.get_json(NODE, "n1")) == "False"
        await field.delete("leaving")
        async with running(after.run(), after.ready):
            assert _ready(await client.get_json(NODE, "n1")) == "True"
            ended = (await field.finished("never"))["status"]["containerStatuses"][0]["state"]["terminated"]
            assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
            pod = await field.until("always", lambda status: status["containerStatuses"][0]["restartCount"] == 1)
            assert pod["status"]["phase"] == "Running"
            assert (await field.pod("done"))["status"]["phase"] == "Succeeded"
            await field.gone("leaving")
            await field.delete("done")
            await field.gone("done")
        assert (before.failures, after.failures) == (0, 0)


def _ready(node: dict) -> str:
    return next(each["status"] for each in node["status"]["conditions"] if each["type"] == "Ready")


async def test_private_files_can_lie_on_disk_and_are_removed(can_isolate: None, tmp_path: Path):
    if os.statvfs(tmp_path).f_bfree == 0:
        pytest.skip("no room on this disk")
    async with api_server("embedded") as client:
        nodes = ProcessNodes(client, [NodeSpecification("n1", "8", "16Gi")], root=tmp_path)
        async with running(nodes.run(), nodes.ready):
            field = Field(client, nodes, "default")
            assert await field.output("disk", ["sh", "-c", "echo x > /tmp/y; cat /tmp/y"]) == "x\n"
            assert entries(str(tmp_path))
    assert not entries(str(tmp_path))
