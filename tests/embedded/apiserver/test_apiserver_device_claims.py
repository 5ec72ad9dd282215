"""Are claims to devices made and given back as kube-controller-manager does it?"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from flowbatch.embedded.apiserver import ApiServer
from flowbatch.embedded.controllers import EmbeddedControllers

PODS = "/api/v1/namespaces/default/pods"
BASE = "/apis/resource.k8s.io/v1/namespaces/default"
CLAIMS, TEMPLATES = f"{BASE}/resourceclaims", f"{BASE}/resourceclaimtemplates"
PROTECTION = "resource.kubernetes.io/delete-protection"
DEVICES = {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu"}}]}}
GIVEN = {"devices": {"results": [{"request": "gpu", "driver": "d", "pool": "p", "device": "x"}]}}


@pytest.fixture
async def controlled() -> AsyncIterator[ApiServer]:
    async with ApiServer(tls=False) as server:
        task = asyncio.create_task(EmbeddedControllers(server).run())
        yield server
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def api(controlled: ApiServer, connect: Any) -> Any:
    return connect(controlled)


async def until(look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something."""
    for _ in range(3000):
        if found := await look():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it has not come")


def pod(name: str, *claims: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}], "resourceClaims": list(claims)},
    }


OWN = {"name": "gpu", "resourceClaimTemplateName": "one"}


async def template(api: Any) -> None:
    body = {"metadata": {"name": "one"}, "spec": {"metadata": {"labels": {"a": "b"}}, "spec": DEVICES}}
    assert (await api.post(TEMPLATES, body)).status == 201


def named(api: Any, name: str) -> Callable[[], Any]:
    """The claim's name that a pod is told, once it is."""

    async def look() -> Any:
        statuses = (await api.get(f"{PODS}/{name}")).json["status"].get("resourceClaimStatuses") or []
        return next((each["resourceClaimName"] for each in statuses if each["name"] == "gpu"), None)

    return look


async def reserve(api: Any, claim: str, *pods: Any) -> Any:
    users = [{"resource": "pods", "name": p["metadata"]["name"], "uid": p["metadata"]["uid"]} for p in pods]
    await api.merge(f"{CLAIMS}/{claim}", {"metadata": {"finalizers": [PROTECTION]}})
    return await api.merge(f"{CLAIMS}/{claim}/status", {"status": {"allocation": GIVEN, "reservedFor": users}})


async def test_a_claim_is_made_from_its_template_and_named_on_the_pod(api: Any) -> None:
    made = (await api.post(PODS, pod("a", OWN))).json
    await asyncio.sleep(0.05)
    assert await named(api, "a")() is None  # there is no template yet
    await template(api)
    name = await until(named(api, "a"))
    claim = (await api.get(f"{CLAIMS}/{name}")).json
    assert name.startswith("a-gpu-")
    assert claim["spec"] == DEVICES
    assert claim["metadata"]["labels"] == {"a": "b"}
    assert claim["metadata"]["annotations"] == {"resource.kubernetes.io/pod-claim-name": "gpu"}
    (owner,) = claim["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Pod", made["metadata"]["uid"], True)


async def test_a_pods_own_claim_goes_once_the_pod_is_done(api: Any) -> None:
    await template(api)
    made = (await api.post(PODS, pod("a", OWN))).json
    name = await until(named(api, "a"))
    assert (await reserve(api, name, made)).status == 200
    await api.merge(f"{PODS}/a/status", {"status": {"phase": "Succeeded"}})

    async def gone() -> bool:
        return (await api.get(f"{CLAIMS}/{name}")).status == 404

    await until(gone)


async def test_the_last_user_takes_the_allocation_of_a_shared_claim_along(api: Any) -> None:
    await api.post(CLAIMS, {"metadata": {"name": "shared"}, "spec": DEVICES})
    one, two = [
        (await api.post(PODS, pod(name, {"name": "gpu", "resourceClaimName": "shared"}))).json for name in ("a", "b")
    ]
    assert (await reserve(api, "shared", one, two)).status == 200
    await api.delete(f"{PODS}/a")

    async def status() -> Any:
        return (await api.get(f"{CLAIMS}/shared")).json.get("status") or {}

    async def only_b() -> bool:
        return [each["name"] for each in (await status()).get("reservedFor", ())] == ["b"]

    await until(only_b)
    assert (await status())["allocation"] == GIVEN
    await api.merge(f"{PODS}/b/status", {"status": {"phase": "Failed"}})

    async def given_back() -> Any:
        claim = (await api.get(f"{CLAIMS}/shared")).json
        return "finalizers" not in claim["metadata"] and claim

    claim = await until(given_back)
    assert not claim.get("status")


async def test_a_protected_claim_that_is_deleted_goes_with_its_last_user(api: Any) -> None:
    await api.post(CLAIMS, {"metadata": {"name": "shared"}, "spec": DEVICES})
    one = (await api.post(PODS, pod("a", {"name": "gpu", "resourceClaimName": "shared"}))).json
    await reserve(api, "shared", one)
    await api.delete(f"{CLAIMS}/shared")
    await asyncio.sleep(0.05)
    assert (await api.get(f"{CLAIMS}/shared")).status == 200
    await api.delete(f"{PODS}/a")

    async def gone() -> bool:
        return (await api.get(f"{CLAIMS}/shared")).status == 404

    await until(gone)


async def test_an_allocation_never_changes_into_another(api: Any) -> None:
    await api.post(CLAIMS, {"metadata": {"name": "shared"}, "spec": DEVICES})
    one = (await api.post(PODS, pod("a", {"name": "gpu", "resourceClaimName": "shared"}))).json
    await reserve(api, "shared", one)
    other = {"devices": {"results": [{**GIVEN["devices"]["results"][0], "device": "y"}]}}
    answer = await api.merge(f"{CLAIMS}/shared/status", {"status": {"allocation": other}})
    assert (answer.status, "immutable" in answer.json["message"]) == (422, True)
    assert (await api.merge(f"{CLAIMS}/shared", {"spec": {"devices": {"requests": []}}})).status == 422
