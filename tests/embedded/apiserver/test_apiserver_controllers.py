"""Does garbage collection, namespace deletion and the rest do what kube-controller-manager would?"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers


@pytest.fixture
async def controlled() -> AsyncIterator[ApiServer]:
    """A server with its controllers running."""
    async with ApiServer(tls=False) as server:
        task = asyncio.create_task(EmbeddedControllers(server, quarantine_s=0.05).run())
        yield server
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def api(controlled: ApiServer, connect: Any) -> Any:
    return connect(controlled)


async def gone(api: Any, path: str) -> bool:
    for _ in range(100):
        if (await api.get(path)).status == 404:
            return True
        await asyncio.sleep(0.01)
    return False


async def settle() -> None:
    await asyncio.sleep(0.05)


def owner(obj: Any, **extra: Any) -> dict[str, Any]:
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **extra,
    }


def owned(name: str, *owners: Any, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "ownerReferences": list(owners), **metadata}}


@pytest.fixture
async def parent(api: Any, config_maps: str) -> Any:
    return (await api.post(config_maps, {"metadata": {"name": "parent"}})).json


async def test_background_deletion_takes_dependents_along(api: Any, config_maps: str, parent: Any) -> None:
    child = (await api.post(config_maps, owned("child", owner(parent)))).json
    await api.post(config_maps, owned("grandchild", owner(child)))
    assert (await api.delete(f"{config_maps}/parent")).json["status"] == "Success"
    assert await gone(api, f"{config_maps}/child")
    assert await gone(api, f"{config_maps}/grandchild")


async def test_foreground_deletion_waits_for_blocking_dependents(api: Any, config_maps: str, parent: Any) -> None:
    blocking = owner(parent, blockOwnerDeletion=True)
    await api.post(config_maps, owned("held", blocking, finalizers=["flowbatch.test/hold"]))
    await api.post(config_maps, owned("loose", owner(parent)))
    dying = (await api.delete(f"{config_maps}/parent", propagationPolicy="Foreground")).json
    assert dying["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await gone(api, f"{config_maps}/loose")
    await settle()
    assert (await api.get(f"{config_maps}/parent")).status == 200
    assert (await api.get(f"{config_maps}/held")).json["metadata"]["deletionTimestamp"]
    await api.merge(f"{config_maps}/held", {"metadata": {"finalizers": None}})
    assert await gone(api, f"{config_maps}/parent")


async def test_orphans_live_on_without_their_owner(api: Any, config_maps: str, parent: Any) -> None:
    await api.post(config_maps, owned("child", owner(parent)))
    await api.delete(f"{config_maps}/parent", {"propagationPolicy": "Orphan"})
    assert await gone(api, f"{config_maps}/parent")
    await settle()
    assert "ownerReferences" not in (await api.get(f"{config_maps}/child")).json["metadata"]


async def test_object_of_an_absent_owner_is_collected(api: Any, config_maps: str, parent: Any) -> None:
    await api.post(config_maps, owned("never", owner(parent) | {"name": "nobody"}))
    await api.post(config_maps, owned("impostor", owner(parent) | {"uid": "another"}))
    assert await gone(api, f"{config_maps}/never")
    assert await gone(api, f"{config_maps}/impostor")


async def test_one_living_owner_is_enough(api: Any, config_maps: str, parent: Any) -> None:
    other = (await api.post(config_maps, {"metadata": {"name": "other"}})).json
    await api.post(config_maps, owned("child", owner(parent), owner(other)))
    await api.delete(f"{config_maps}/parent")
    await settle()
    references = (await api.get(f"{config_maps}/child")).json["metadata"]["ownerReferences"]
    assert [each["name"] for each in references] == ["other"]


async def test_unknown_owner_kinds_protect(api: Any, config_maps: str) -> None:
    stranger = {"apiVersion": "unheard.of/v1", "kind": "Thing", "name": "t", "uid": "u"}
    await api.post(config_maps, owned("kept", stranger))
    await settle()
    assert (await api.get(f"{config_maps}/kept")).status == 200


async def test_cluster_scoped_owner(api: Any, config_maps: str) -> None:
    node = (await api.post("/api/v1/nodes", {"metadata": {"name": "n"}})).json
    await api.post(config_maps, owned("child", owner(node)))
    await settle()
    assert (await api.get(f"{config_maps}/child")).status == 200
    await api.delete("/api/v1/nodes/n")
    assert await gone(api, f"{config_maps}/child")


async def test_owned_pod_dies_gracefully(api: Any, pods: str, config_maps: str, parent: Any, make_pod: Any) -> None:
    await api.post("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    body = make_pod("p", nodeName="n-1")
    body["metadata"]["ownerReferences"] = [owner(parent)]
    await api.post(pods, body)
    await api.delete(f"{config_maps}/parent")
    await settle()
    assert (await api.get(f"{pods}/p")).json["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_namespace_goes_when_it_is_empty(api: Any, ns: str, config_maps: str, pods: str, make_pod: Any) -> None:
    await api.post("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    await api.post(config_maps, {"metadata": {"name": "a"}})
    await api.post(pods, make_pod("p", nodeName="n-1"))
    await api.delete(f"/api/v1/namespaces/{ns}")
    assert await gone(api, f"{config_maps}/a")
    assert (await api.get(f"/api/v1/namespaces/{ns}")).json["status"]["phase"] == "Terminating"
    await api.delete(f"{pods}/p", gracePeriodSeconds="0")
    assert await gone(api, f"/api/v1/namespaces/{ns}")


async def test_pods_of_a_gone_node_are_failed_and_removed(api: Any, pods: str, make_pod: Any) -> None:
    await api.post("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    made = (await api.post(pods, make_pod("p", nodeName="n-1"))).json["metadata"]
    async with api.watch(pods, resourceVersion=made["resourceVersion"]) as events:
        await api.delete("/api/v1/nodes/n-1")
        failed, removed = await events.next(), await events.next()
        assert (failed["type"], failed["object"]["status"]["phase"]) == ("MODIFIED", "Failed")
        assert removed["type"] == "DELETED"


async def test_node_that_returns_keeps_its_pods(api: Any, pods: str, make_pod: Any) -> None:
    await api.post("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    await api.post(pods, make_pod("p", nodeName="n-1"))
    await api.delete("/api/v1/nodes/n-1")
    await api.post("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    await asyncio.sleep(0.15)
    assert (await api.get(f"{pods}/p")).json["status"]["phase"] == "Pending"


async def test_budget_counts_healthy_pods(api: Any, pods: str, ns: str, make_pod: Any) -> None:
    await api.post("/api/v1/nodes", {"metadata": {"name": "n-1"}})
    budgets = f"/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets"
    await api.post(budgets, {"metadata": {"name": "b"}, "spec": {"minAvailable": "50%", "selector": {}}})
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    for name in ("p", "q"):
        await api.post(pods, make_pod(name, nodeName="n-1"))
        await api.merge(f"{pods}/{name}/status", ready)
    await settle()
    assert (await api.get(f"{budgets}/b")).json["status"]["disruptionsAllowed"] == 1
    eviction = {"metadata": {"name": "p"}}
    assert (await api.post(f"{pods}/p/eviction", eviction)).status == 201
    refused = await api.post(f"{pods}/q/eviction", {"metadata": {"name": "q"}})
    assert refused.status == 429
