"""Are namespaces there from the start, needed for creating, and closed while they go away?"""

import asyncio
from typing import Any


async def test_usual_namespaces_exist(api: Any) -> None:
    found = {each["metadata"]["name"] for each in (await api.get("/api/v1/namespaces")).json["items"]}
    assert found >= {"default", "kube-system", "kube-public", "kube-node-lease"}


async def test_namespace_carries_its_name_as_label(api: Any, ns: str) -> None:
    made = (await api.get(f"/api/v1/namespaces/{ns}")).json
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": ns}
    assert (made["status"]["phase"], made["spec"]["finalizers"]) == ("Active", ["kubernetes"])


async def test_creating_in_a_missing_namespace_is_not_found(api: Any) -> None:
    answer = await api.post("/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "a"}})
    assert (answer.status, answer.reason) == (404, "NotFound")
    assert 'namespaces "nowhere" not found' in answer.json["message"]


async def test_terminating_namespace_refuses_new_objects(api: Any, ns: str, config_maps: str) -> None:
    holder = {"metadata": {"name": "hold", "finalizers": ["flowbatch.test/hold"]}}
    await api.post(config_maps, holder)
    dying = (await api.delete(f"/api/v1/namespaces/{ns}")).json
    assert dying["status"]["phase"] == "Terminating"
    for _ in range(50):
        answer = await api.post(config_maps, {"metadata": {"name": "late"}})
        if answer.status == 403:
            break
        await asyncio.sleep(0.1)
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert "being terminated" in answer.json["message"]
    await api.merge(f"{config_maps}/hold", {"metadata": {"finalizers": None}})


async def test_finalizing_ends_a_namespace(api: Any) -> None:
    await api.post("/api/v1/namespaces", {"metadata": {"name": "to-finalize"}})
    await api.delete("/api/v1/namespaces/to-finalize")
    body = (await api.get("/api/v1/namespaces/to-finalize")).json
    body["spec"]["finalizers"] = []
    assert (await api.put("/api/v1/namespaces/to-finalize/finalize", body)).status == 200
    assert (await api.get("/api/v1/namespaces/to-finalize")).status == 404


async def test_default_namespace_cannot_be_deleted(api: Any) -> None:
    assert (await api.delete("/api/v1/namespaces/kube-system")).status == 403
