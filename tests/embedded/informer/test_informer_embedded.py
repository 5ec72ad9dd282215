"""Do the client and the informer agree with flowbatch's own API server, over TLS, under load and through faults?"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from flowbatch.admission.crds import crds
from flowbatch.api.core import Pod
from flowbatch.api.kinds import LEASE, NODE, POD
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.informer import Informer, Timing
from flowbatch.kube import request as build
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from flowbatch.kube.errors import AlreadyExists, Conflict, Invalid, NotFound, Unauthorized
from flowbatch.kube.faults import Fault
from flowbatch.kube.lease import Elector, LeaseTiming
from flowbatch.kube.request import Request
from flowbatch.kube.schema import ALL_FIELDS, served_fields
from tests.cluster.volcano_crds import volcano_crds

QUICK = Timing(first_backoff_s=0.01, max_backoff_s=0.05, short_watch_s=0.0)


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer() as made:
        yield made


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[Client]:
    async with Client(await from_kubeconfig(server.kubeconfig())) as made:
        yield made


def pod(name: str) -> dict[str, Any]:
    container = {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "1"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "x"}},
        "spec": {"containers": [container]},
    }


async def until(true: Any, seconds: float = 10) -> None:
    with anyio.fail_after(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def following(client: Client) -> AsyncIterator[Any]:
    """Starts informers, and stops them at the end."""
    tasks: list[asyncio.Task[None]] = []

    async def start(informer: Informer[Any]) -> Informer[Any]:
        tasks.append(asyncio.create_task(informer.run()))
        with anyio.fail_after(10):
            await informer.wait_synced()
        return informer

    yield start
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def same_as_listed(client: Client, informer: Informer[Pod]) -> bool:
    listed = {each.metadata.key: each for each in await client.list(POD)}
    return {each.metadata.key: each for each in informer.store.values()} == listed


@pytest.mark.parametrize("watch_list", [True, False])
async def test_both_ways_of_reading_everything_follow_pods_through_their_lives(
    client: Client, following: Any, watch_list: bool
):
    await client.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    await asyncio.gather(*(client.create(POD, pod(f"early-{number}")) for number in range(20)))
    by_node = {"node": lambda each: [each.spec.node_name]}
    pods = await following(Informer(client, POD, indexes=by_node, watch_list=watch_list))
    assert len(pods.store) == 20
    await asyncio.gather(*(client.create(POD, pod(f"late-{number}")) for number in range(20)))
    await until(lambda: len(pods.store) == 40)
    uids = [(each.metadata.name, each.metadata.uid) for each in pods.store.values()]
    await asyncio.gather(*(client.send(build.bind_pod("default", name, uid, "n1")) for name, uid in uids))
    await until(lambda: len(pods.store.index("node", "n1")) == 40)
    assert await same_as_listed(client, pods)
    await asyncio.gather(*(client.delete(POD, name, "default", grace_seconds=0) for name, _ in uids))
    await until(lambda: len(pods.store) == 0)
    assert pods.store.index("node", "n1") == []


async def test_a_selector_shows_only_its_own_and_what_leaves_it_is_gone(client: Client, following: Any):
    await client.create(POD, pod("p"))
    chosen = await following(Informer(client, POD, label_selector="app=x"))
    assert list(chosen.store.keys()) == ["default/p"]
    await client.patch(POD, "p", {"metadata": {"labels": {"app": "y"}}}, "default")
    await until(lambda: len(chosen.store) == 0)


async def test_watches_that_break_every_few_lines_lose_nothing(server: ApiServer, following: Any):
    seen = 0

    def rule(request: Request, line: bytes | None) -> Fault | None:
        nonlocal seen
        seen += line is not None
        return Fault("reset") if line is not None and seen % 7 == 0 else None

    async with Client(await from_kubeconfig(server.kubeconfig()), rule=rule) as faulty:
        pods = await following(Informer(faulty, POD, timing=QUICK))
        names = [f"p{number}" for number in range(60)]
        await asyncio.gather(*(faulty.create(POD, pod(name)) for name in names))
        await asyncio.gather(*(faulty.delete(POD, name, "default", grace_seconds=0) for name in names[::2]))
        await until(lambda: sorted(each.metadata.name for each in pods.store.values()) == sorted(names[1::2]))


async def test_the_servers_refusals_are_told_apart(client: Client):
    await client.create(POD, pod("p"))
    with pytest.raises(AlreadyExists):
        await client.create(POD, pod("p"))
    with pytest.raises(NotFound):
        await client.get(POD, "missing", "default")
    with pytest.raises(Conflict):
        await client.delete(POD, "p", "default", uid="another")
    with pytest.raises(Invalid) as caught:
        await client.create(POD, pod("Not_A_Name"))
    assert caught.value.causes


async def test_a_wrong_token_is_refused(server: ApiServer):
    wrong = server.kubeconfig()
    wrong["users"][0]["user"] = {"token": "wrong"}
    async with Client(await from_kubeconfig(wrong)) as client:
        with pytest.raises(Unauthorized):
            await client.list(POD)


async def test_a_list_of_many_pages_is_whole(client: Client):
    await asyncio.gather(*(client.create(POD, pod(f"p{number:03}")) for number in range(45)))
    pages = [page async for page in client.pages(POD, limit=20)]
    assert [len(page.items or []) for page in pages] == [20, 20, 5]
    whole = await client.list_json(POD, "default", label_selector="app=x")
    assert [each["metadata"]["name"] for each in whole] == [f"p{number:03}" for number in range(45)]
    assert whole[0]["kind"] == "Pod"


async def test_every_kind_of_patch_is_understood(client: Client):
    await client.create(POD, pod("p"))
    merged = await client.patch(POD, "p", {"metadata": {"annotations": {"a": "1"}}}, "default")
    assert merged.metadata.annotations == {"a": "1"}
    operations = [{"op": "add", "path": "/metadata/annotations/b", "value": "2"}]
    assert (await client.patch(POD, "p", operations, "default", content="json")).metadata.annotations["b"] == "2"
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    patched = await client.patch(POD, "p", ready, "default", subresource="status", content="strategic")
    assert patched.status.phase == "Running"


async def test_the_election_works_here_too(client: Client, server: ApiServer):
    led = asyncio.Event()

    async def lead() -> None:
        led.set()

    with anyio.fail_after(10):
        elector = Elector(client, "default", "scheduler", "one", timing=LeaseTiming(3, 2, 0.2))
        await elector.run(lead)
    assert led.is_set()
    lease = await client.get(LEASE, "scheduler", "default")
    assert (lease.spec.holder_identity, lease.spec.lease_transitions) == ("", 1)


async def test_a_server_without_our_kinds_serves_none_of_our_fields(client: Client):
    assert await served_fields(client) == frozenset()


async def test_our_own_definitions_serve_all_of_our_fields_and_foreign_ones_do_not(client: Client, server: ApiServer):
    for definition in crds():
        await server.install(definition)
    assert await served_fields(client) == ALL_FIELDS
    for definition in volcano_crds():
        await server.install(definition)
    assert await served_fields(client) == frozenset()
