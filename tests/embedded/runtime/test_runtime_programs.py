"""Do the programs start, tell how they are, follow their settings file, and stop as they should?"""

import json

import aiohttp
import anyio
import msgspec
import pytest

from flowbatch.admission.crds import crds
from flowbatch.api.kinds import LEASE, QUEUE
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.errors import SpecErrors
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.kube.request import Request
from flowbatch.policy.presets import DEFAULT, SPREAD
from flowbatch.runtime.app import run_scheduler
from flowbatch.runtime.engines import EngineMaker
from flowbatch.runtime.health import Health
from flowbatch.runtime.reload import SettingsWatch
from flowbatch.runtime.requests import resource_of, verb_of
from flowbatch.runtime.settings import (
    ElectionSettings,
    HealthSettings,
    SchedulerSettings,
    Settings,
    load_settings,
)


@pytest.fixture
async def server():
    async with ApiServer(tls=False) as server:
        for crd in crds():
            await server.install(crd)
        yield server


async def ask(health: Health, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{health.port}{path}") as response:
        return response.status, await response.text()


async def ready(health: Health) -> dict:
    with anyio.fail_after(10):
        while True:
            if health.port:
                status, body = await ask(health, "/readyz")
                if status == 200 and json.loads(body)["leading"]:
                    return json.loads(body)
            await anyio.sleep(0.02)


async def test_a_scheduler_tells_how_it_is(server):
    config, health = await from_kubeconfig(server.kubeconfig()), Health()
    settings = Settings(health=HealthSettings(port=0))
    async with Client(config) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run_scheduler(client, settings, health=health))
        said = await ready(health)
        assert (said["listed"], said["watches"], said["settings"], said["unreadable"]) == ("ok", "ok", "ok", 0)
        assert (await ask(health, "/livez"))[0] == 200
        status, metrics = await ask(health, "/metrics")
        assert status == 200
        assert "flowbatch_api_requests_total" in metrics
        assert (await ask(health, "/debug/why/default/nobody"))[0] == 404
        tasks.cancel_scope.cancel()


async def test_an_elected_scheduler_holds_the_lease_and_gives_it_back(server):
    election = ElectionSettings(enabled=True, namespace="kube-system", lease_s=3, renew_s=2, retry_s=0.2)
    settings = Settings(health=HealthSettings(port=0), election=election)
    config, health = await from_kubeconfig(server.kubeconfig()), Health()
    async with Client(config) as user:
        async with Client(config) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run_scheduler(client, settings, health=health))
            await ready(health)
            lease = await user.get(LEASE, "flowbatch-scheduler", "kube-system")
            assert lease.spec.holder_identity
            with anyio.fail_after(10):
                while sorted(each.metadata.name for each in await user.list(QUEUE)) != ["default", "root"]:  # noqa: ASYNC110  (it asks a server)
                    await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
        lease = await user.get(LEASE, "flowbatch-scheduler", "kube-system")
        assert lease.spec.holder_identity == ""


async def test_a_loop_that_is_late_is_not_alive():
    health = Health()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(health.run, HealthSettings(port=0))
        while not health.port:  # noqa: ASYNC110  (it binds its socket first)
            await anyio.sleep(0.01)
        health.lag_s = 60.0
        status, body = await ask(health, "/livez")
        assert (status, "60.0 s late" in body) == (503, True)
        tasks.cancel_scope.cancel()


async def test_a_changed_file_is_followed_and_a_broken_one_is_not(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("scheduler: {policy: default}\n")
    watch = SettingsWatch(load_settings(path, environment={}), look_s=0.01)
    seen: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.run, lambda fresh: seen.append(fresh.scheduler.policy))
        await anyio.sleep(0.05)
        path.write_text("scheduler: {policy: spread}\n")
        await _until(lambda: seen == ["spread"])
        await anyio.sleep(0.1)
        assert seen == ["spread"], "taken over again, though nothing has changed"
        path.write_text("scheduler: {polcy: fifo}\n")
        await _until(lambda: "polcy" in watch.problem)
        assert watch.settings.scheduler.policy == "spread"
        path.write_text("scheduler: {policy: fifo}\n")
        await _until(lambda: seen == ["spread", "fifo"])
        assert watch.problem == ""
        tasks.cancel_scope.cancel()


async def _until(condition):
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110  (a file is watched, not an event)
            await anyio.sleep(0.01)


def asking(policy):
    return Settings(scheduler=SchedulerSettings(policy=policy))


def test_a_policy_is_taken_over_and_a_bad_one_is_not():
    maker = EngineMaker(Settings())
    assert maker().policy == DEFAULT
    assert not maker.change(asking("default"))
    assert maker.change(asking("spread"))
    assert (maker.chosen.policy, maker().policy) == (SPREAD, SPREAD)
    with pytest.raises(SpecErrors):
        maker.change(asking("spred"))
    assert maker().policy == SPREAD


def test_an_unknown_policy_is_refused_with_the_nearest_name():
    with pytest.raises(SpecErrors, match='did you mean "spread"'):
        EngineMaker(asking("spred"))


def test_a_policy_may_be_described_and_every_mistake_in_it_is_named():
    described = {"preset": "fifo", "scores": [{"name": "binPack", "weight": 2}]}
    assert EngineMaker(asking(described))().policy.scores[0].weight == 2
    with pytest.raises(SpecErrors, match="2 problems"):
        EngineMaker(asking({"scroes": [], "surplusBatch": 0}))


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/api/v1/namespaces/ns/pods/p/binding", "pods/binding"),
        ("/api/v1/pods", "pods"),
        ("/api/v1/nodes/n/status", "nodes/status"),
        ("/apis/scheduling.volcano.sh/v1beta1/namespaces/ns/podgroups/g", "podgroups"),
        ("/api/v1/namespaces/ns", "namespaces"),
        ("/version", "other"),
    ],
)
def test_requests_are_counted_by_resource_and_never_by_name(path, resource):
    assert resource_of(path) == resource
    assert verb_of(Request("GET", path, (("watch", "true"),))) == "watch"
    assert msgspec.json.encode(verb_of(Request("PATCH", path))) == b'"patch"'
