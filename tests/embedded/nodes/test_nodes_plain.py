"""Where namespaces are forbidden: what works as plain processes, and is it said what does not?"""

import os
from collections.abc import AsyncIterator

import pytest

from flowbatch.api.kinds import CONFIG_MAP, EVENT, NODE
from flowbatch.embedded.nodes import NodeSpecification, ProcessNodes, process
from flowbatch.embedded.nodes.cluster import Cluster, NamespacesForbidden
from tests.embedded.nodes.conftest import Field, api_server, eventually, running
from tests.embedded.nodes.test_nodes_ssh import runs_sleep, start


@pytest.fixture
async def plain() -> AsyncIterator[Field]:
    async with api_server("embedded") as client:
        nodes = ProcessNodes(client, [NodeSpecification(name, "8", "16Gi") for name in ("n1", "n2")], isolation="none")
        async with running(nodes.run(), nodes.ready):
            yield Field(client, nodes, "default")
        assert nodes.failures == 0


async def test_the_nodes_say_that_pods_are_not_isolated(plain: Field):
    node = await plain.client.get_json(NODE, "n1")
    assert "names do not resolve" in node["metadata"]["annotations"]["flowbatch.dev/note"]
    events = await plain.client.list(EVENT, "default")
    assert ("Warning", "PodsNotIsolated") in [(each.type, each.reason) for each in events]


async def test_forbidden_namespaces_lead_here_by_themselves(monkeypatch: pytest.MonkeyPatch):
    real = Cluster.start.__func__

    async def refuse(cls, *, root=None, isolation=None):
        if isolation != "none":
            raise NamespacesForbidden("no, says the test")
        return await real(cls, root=root, isolation=isolation)

    monkeypatch.setattr(process.Cluster, "start", classmethod(refuse))
    async with api_server("embedded") as client:
        nodes = ProcessNodes(client, [NodeSpecification("n1", "8", "16Gi")])
        async with running(nodes.run(), nodes.ready):
            note = (await client.get_json(NODE, "n1"))["metadata"]["annotations"]["flowbatch.dev/note"]
            assert "no, says the test" in note
            assert await Field(client, nodes, "default").output("works", ["echo", "still"]) == "still\n"


async def test_each_pod_has_an_address_to_bind(plain: Field):
    code = "import os,socket; s=socket.create_server((os.environ['IP'], 2222)); print(os.environ['IP'], flush=True); "
    code += "import time; time.sleep(100)"
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    for name in ("a", "b"):
        await plain.run_pod(name, {"containers": [{"name": "m", "command": ["python", "-c", code], "env": env}]})
    seen = set()
    for name in ("a", "b"):
        await plain.phase(name, "Running")
        await eventually(lambda name=name: plain.logs(name))
        seen.add(await plain.logs(name))
    assert len(seen) == 2


async def test_ssh_and_volumes_by_variable(plain: Field):
    await plain.create(CONFIG_MAP, {"metadata": {"name": "cm"}, "data": {"k": "value"}})
    await start(plain, "j", "w", ["sshd", "-D"], env=[{"name": "ME", "value": "worker"}])
    await start(plain, "j", "m", ["ssh", "w.j", "echo on $ME"])
    assert (await plain.finished("m"))["status"]["phase"] == "Succeeded"
    assert await plain.logs("m") == "on worker\n"
    spec = {
        "containers": [{"name": "m", "command": ["sh", "-c", "cat $FLOWBATCH_VOLUMES/v/k; exit 0"]}],
        "volumes": [{"name": "v", "configMap": {"name": "cm"}}],
    }
    assert await plain.output("volume", spec) == "value"


async def test_a_termination_message_is_left_where_a_variable_says(plain: Field):
    await plain.run_pod("words", ["sh", "-c", "echo spoken > $FLOWBATCH_TERMINATION; exit 1"])
    status = (await plain.finished("words"))["status"]
    assert status["containerStatuses"][0]["state"]["terminated"]["message"] == "spoken\n"


async def test_a_setsid_daemon_dies_with_its_pod(plain: Field):
    marker = f"4{os.getpid()}77"
    await plain.run_pod("daemon", ["sh", "-c", f"(setsid sleep {marker} &) ; sleep 0.3"])
    await plain.phase("daemon", "Running")
    await plain.finished("daemon")
    # It is killed before the pod is said to be over, and dies when the kernel comes to it.
    await eventually(lambda: runs_sleep(marker, no=True))
