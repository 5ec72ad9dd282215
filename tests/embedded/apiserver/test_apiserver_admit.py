"""Do admit callables see every write, change it, and refuse it with every cause? And does `install` serve a kind?"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbatch.embedded.apiserver import ApiServer
from flowbatch.errors import SpecError, SpecErrors


class Recorder:
    """An admit callable that notes what it saw, labels what is created, and refuses what is called bad."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def __call__(self, operation: str, kind: str, old: Any, new: Any, lookup: Any) -> Any:
        if kind != "ConfigMap":
            return new
        self.seen.append((operation, (new or old)["metadata"]["name"]))
        if new and new.get("data", {}).get("bad"):
            raise SpecErrors([SpecError("data.bad", "may not be", "x", "leave it out"), SpecError("data", "is bad")])
        if operation == "DELETE" and lookup("ConfigMap", old["metadata"]["namespace"], "keeper"):
            raise SpecErrors([SpecError("metadata.name", "is kept")])
        if operation == "CREATE":
            new["metadata"]["labels"] = {"seen": "yes"}
        return new


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def api(recorder: Recorder, connect: Any) -> AsyncIterator[Any]:
    async with ApiServer(tls=False, admit=[recorder]) as server:
        yield connect(server)


async def test_callable_sees_and_changes_writes(api: Any, config_maps: str, recorder: Recorder) -> None:
    made = await api.post(config_maps, {"metadata": {"name": "a"}})
    assert made.json["metadata"]["labels"] == {"seen": "yes"}
    await api.merge(f"{config_maps}/a", {"data": {"k": "v"}})
    await api.delete(f"{config_maps}/a")
    assert recorder.seen == [("CREATE", "a"), ("UPDATE", "a"), ("DELETE", "a")]


async def test_refusal_lists_every_problem(api: Any, config_maps: str) -> None:
    answer = await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"bad": "1"}})
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields == {"data.bad", "data"}
    assert "leave it out" in answer.json["message"]
    assert (await api.get(f"{config_maps}/a")).status == 404


async def test_refused_update_leaves_the_stored_object_alone(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"good": "1"}})
    before = (await api.get(f"{config_maps}/a")).json
    assert (await api.merge(f"{config_maps}/a", {"data": {"bad": "1"}})).status == 422
    assert (await api.get(f"{config_maps}/a")).json == before


async def test_callable_may_look_at_other_objects(api: Any, config_maps: str) -> None:
    for name in ("keeper", "a"):
        await api.post(config_maps, {"metadata": {"name": name}})
    assert (await api.delete(f"{config_maps}/a")).status == 422


async def test_install_serves_a_kind_and_again_updates_it(server: ApiServer, connect: Any) -> None:
    schema: dict[str, Any] = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"plural": "things", "kind": "Thing"}
    crd = {
        "metadata": {"name": "things.x.test"},
        "spec": {"group": "x.test", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await server.install(crd)
    api = connect(server)
    path = "/apis/x.test/v1/namespaces/default/things"
    body = {"apiVersion": "x.test/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"size": 1}}
    assert (await api.post(path, body)).json["spec"] == {}
    schema["openAPIV3Schema"]["properties"]["spec"]["properties"] = {"size": {"type": "integer"}}
    await server.install(crd)
    assert (await api.merge(f"{path}/a", {"spec": {"size": 2}})).json["spec"] == {"size": 2}
