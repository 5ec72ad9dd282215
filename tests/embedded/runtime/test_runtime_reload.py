"""Does a running scheduler follow its configuration, keep the old one where the new is bad, and say so everywhere?"""

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest

from flowbatch.admission.crds import crds
from flowbatch.api.kinds import EVENT, NODE, POD, POD_GROUP
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.engine.replay import Adopted, replay
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.runtime.notices import subject
from flowbatch.runtime.settings import ElectionSettings
from flowbatch.scheduler.journal import read_journal

ROOT = Path(__file__).parents[3]
VOLCANO = "tiers: [{{plugins: [{{name: priority}}, {{name: predicates}}, {{name: {packing}}}]}}]\n"


@pytest.fixture
async def server():
    async with ApiServer(tls=False) as server:
        for crd in crds():
            await server.install(crd)
        yield server


class Mounted:
    """A ConfigMap as the kubelet mounts it: files are links into a folder that one swap of a link replaces."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def put(self, **files: str) -> None:
        self.count += 1
        data = self.folder / f"..{self.count}"
        data.mkdir()
        for name, text in files.items():
            (data / name.replace("__", "-").replace("_", ".")).write_text(text)
        fresh = self.folder / "..tmp"
        fresh.symlink_to(data.name)
        fresh.replace(self.folder / "..data")
        for each in data.iterdir():
            link = self.folder / each.name
            if not link.is_symlink():
                link.symlink_to(f"..data/{each.name}")


@asynccontextmanager
async def program(server: ApiServer, config: Path, folder: Path):
    """`flowbatch scheduler` as a process of its own; gives it, and what asks its health server."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig()))
    command = [sys.executable, "-m", "flowbatch", "scheduler", "--config", str(config), "--kubeconfig", str(kubeconfig)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/dsl", "FLOWBATCH_HEALTH_PORT": "0"}
    log = folder / "log"
    with log.open("wb") as out:
        async with await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment
        ) as process:
            try:
                port = await _port(log)
                async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                    yield process, session
            finally:
                process.terminate()
                assert await process.wait() == 0, log.read_text()


async def _port(log: Path) -> int:
    with anyio.fail_after(20):
        while True:
            for line in log.read_text().splitlines():  # noqa: ASYNC240  (a small file)
                if "health server listens" in line:
                    return json.loads(line)["port"]
            await anyio.sleep(0.02)


async def until(session, condition):
    """Ask /readyz until the condition holds."""
    with anyio.fail_after(20):
        while True:
            async with session.get("/readyz") as reply:
                said = await reply.json()
            if condition(said):
                return said
            await anyio.sleep(0.02)


async def test_a_swapped_config_map_is_followed_and_a_bad_one_is_told_everywhere(server, tmp_path):
    mounted = Mounted(tmp_path / "conf")
    mounted.folder.mkdir()
    flow = "election: {enabled: true, namespace: kube-system, lease_s: 15}\n".replace("lease_s", "leaseS")
    flow += f"scheduler: {{journal: {tmp_path}/journal}}\n"
    files = {"flowbatch_yaml": flow, "volcano__scheduler_conf": VOLCANO.format(packing="binpack")}
    mounted.put(**files)
    async with program(server, mounted.folder, tmp_path) as (process, session):
        await until(session, lambda said: said["leading"])
        files["volcano__scheduler_conf"] = VOLCANO.format(packing="bnpack")
        mounted.put(**files)
        said = await until(session, lambda said: said["settings"] != "ok")
        assert 'did you mean "binpack"?' in said["settings"]
        assert said["policy"] == "volcano"
        metrics = await (await session.get("/metrics")).text()
        assert "flowbatch_config_reload_failures_total 1.0" in metrics
        assert "flowbatch_config_last_reload_successful 0.0" in metrics
        async with Client(await from_kubeconfig(server.kubeconfig())) as user:
            event = await told(user, "ConfigReloadFailed")
            assert (event.involved_object.kind, event.involved_object.name) == ("Lease", "flowbatch-scheduler")
            assert "bnpack" in event.message
            files["volcano__scheduler_conf"] = VOLCANO.format(packing="nodeorder")
            mounted.put(**files)
            await until(session, lambda said: said["settings"] == "ok")
            await told(user, "ConfigReloaded")
        files["volcano__scheduler_conf"] = ""
        mounted.put(**files)
        process.send_signal(signal.SIGHUP)
        await until(session, lambda said: said["policy"] == "default")
    asked = [entry.asked for entry in read_journal(tmp_path / "journal") if isinstance(entry, Adopted)]
    assert [each["tiers"][0]["plugins"][2]["name"] if each else "" for each in asked] == ["binpack", "nodeorder", ""]


async def told(user: Client, reason: str):
    with anyio.fail_after(10):
        while True:
            for event in await user.list(EVENT):
                if event.reason == reason:
                    return event
            await anyio.sleep(0.02)


async def test_sighup_takes_over_a_changed_policy_file_and_a_journal_replays_across_it(server, tmp_path):
    """Two names at once, too: pods of either are placed."""
    policy = tmp_path / "mine.py"
    policy.write_text(PREFERS.format(better="a"))
    config = tmp_path / "conf.yaml"
    config.write_text(
        f"policies: [mine.py]\nscheduler: {{names: [volcano, other], journal: {tmp_path}/journal, "
        "policy: {scores: [byName]}}\n"
    )
    async with Client(await from_kubeconfig(server.kubeconfig())) as user:
        for name in ("a", "b"):
            await node(user, name)
        async with program(server, config, tmp_path) as (process, session):
            await until(session, lambda said: said["leading"])
            assert await placed(user, "first", "volcano") == "a"
            policy.write_text(PREFERS.format(better="b"))
            process.send_signal(signal.SIGHUP)
            await reloaded(session, 1)
            assert await placed(user, "second", "other") == "b"
            policy.write_text("oops")
            process.send_signal(signal.SIGHUP)
            said = await until(session, lambda said: said["settings"] != "ok")
            assert "NameError" in said["settings"]
            assert await placed(user, "third", "volcano") == "b"
    entries = list(read_journal(tmp_path / "journal"))
    scores = iter("ab")

    def read(asked):
        """The policy as it was at that time: the file is not in the journal."""
        from flowbatch.policy.reading import policy_from

        space: dict = {"__name__": __name__}
        exec(PREFERS.format(better=next(scores)), space)
        return policy_from(asked, {"byName": space["by_name"]})

    assert replay(entries, read=read, validate=True) is None


PREFERS = """
from flowbatch.policy.authoring import per_node

@per_node
def by_name(shape, node):
    return float(node.name == "{better}")
"""


async def reloaded(session, times: int) -> None:
    with anyio.fail_after(10):
        while f"flowbatch_config_reloads_total {times}.0" not in await (await session.get("/metrics")).text():  # noqa: ASYNC110  (it asks a server)
            await anyio.sleep(0.02)


async def node(user: Client, name: str) -> None:
    await user.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    status = {
        "allocatable": {"cpu": "4", "memory": "32Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    await user.patch(NODE, name, {"status": status}, subresource="status")


async def placed(user: Client, name: str, scheduler: str) -> str:
    """Where a new one-pod gang lands."""
    group = {"apiVersion": POD_GROUP.api_version, "kind": "PodGroup", "metadata": {"name": name}}
    await user.create(POD_GROUP, {**group, "spec": {"minMember": 1}}, "default")
    meta = {"name": name, "annotations": {"scheduling.k8s.io/group-name": name}}
    containers = [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}}]
    spec = {"schedulerName": scheduler, "containers": containers}
    await user.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "default")
    with anyio.fail_after(10):
        while not (pod := await user.get(POD, name, "default")).spec.node_name:  # noqa: ASYNC110  (it asks a server)
            await anyio.sleep(0.02)
    return pod.spec.node_name


def test_an_event_stands_on_the_pod_or_the_lease_or_the_namespace():
    elected, alone = ElectionSettings(enabled=True), ElectionSettings()
    pod = {"POD_NAME": "p", "POD_NAMESPACE": "ns"}
    assert subject(elected, "flowbatch-scheduler", pod)["kind"] == "Pod"
    assert subject(elected, "flowbatch-scheduler", {})["name"] == "flowbatch-scheduler"
    assert subject(alone, "flowbatch-scheduler", {}) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "name": "flowbatch-system",
    }


async def test_a_shadow_tells_what_it_would_do_otherwise_and_binds_nothing(server, tmp_path):
    config = tmp_path / "conf.yaml"
    config.write_text("scheduler: {policy: default, shadow: spread}\n")
    async with Client(await from_kubeconfig(server.kubeconfig())) as user:
        for name in ("a", "b"):
            await node(user, name)
        async with program(server, config, tmp_path) as (process, session):
            await until(session, lambda said: said["leading"])
            assert [await placed(user, name, "volcano") for name in ("first", "second")] == ["a", "a"]
            told = await (await session.get("/debug/shadow")).json()
            assert (told["policy"], told["alike"]) == ("spread", 1)
            (difference,) = told["differences"]
            assert (difference["kind"], difference["shadow"]) == ("elsewhere", [["second", "b"]])
            metrics = await (await session.get("/metrics")).text()
            assert 'flowbatch_shadow_differences_total{kind="elsewhere"} 1.0' in metrics
            assert "flowbatch_shadow_seconds_total" in metrics
            config.write_text("scheduler: {policy: default}\n")
            process.send_signal(signal.SIGHUP)
            await reloaded(session, 1)
            assert (await session.get("/debug/shadow")).status == 404
