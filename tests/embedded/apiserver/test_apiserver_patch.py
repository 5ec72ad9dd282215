"""Do the three kinds of patch do over HTTP what kubectl and controllers rely on?"""

from typing import Any

import pytest


@pytest.fixture
async def deployment(api: Any, ns: str) -> str:
    containers = [
        {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "b", "image": "b:1"},
    ]
    template = {
        "metadata": {"labels": {"app": "d"}},
        "spec": {"containers": containers, "volumes": [{"name": "v", "emptyDir": {}}]},
    }
    spec = {"selector": {"matchLabels": {"app": "d"}}, "template": template}
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    assert (await api.post(path, {"metadata": {"name": "d"}, "spec": spec})).status == 201
    return f"{path}/d"


def pod_spec(spec: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


def shown(answer: Any) -> dict[str, Any]:
    return answer.json["spec"]["template"]["spec"]


async def test_strategic_patch_merges_lists_by_key(api: Any, deployment: str) -> None:
    patch = pod_spec(
        {"containers": [{"name": "b", "env": [{"name": "N", "value": "n"}]}, {"name": "c", "image": "c:1"}]}
    )
    spec = shown(await api.strategic(deployment, patch))
    assert {each["name"]: each["image"] for each in spec["containers"]} == {"a": "a:1", "b": "b:1", "c": "c:1"}


async def test_strategic_patch_deletes_by_directive(api: Any, deployment: str) -> None:
    env = [{"name": "X", "$patch": "delete"}, {"name": "Y", "value": "3"}]
    patch = pod_spec({"containers": [{"name": "a", "env": env}, {"name": "b", "$patch": "delete"}]})
    [container] = shown(await api.strategic(deployment, patch))["containers"]
    assert container["env"] == [{"name": "Y", "value": "3"}]


async def test_strategic_patch_replaces_by_directive(api: Any, deployment: str) -> None:
    patch = pod_spec({"containers": [{"name": "z", "image": "z:1"}, {"$patch": "replace"}]})
    assert [each["name"] for each in shown(await api.strategic(deployment, patch))["containers"]] == ["z"]


async def test_strategic_patch_orders_as_told(api: Any, deployment: str) -> None:
    patch = pod_spec(
        {
            "$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
            "containers": [{"name": "c", "image": "c:1"}],
        }
    )
    assert [each["name"] for each in shown(await api.strategic(deployment, patch))["containers"]] == ["c", "b", "a"]


async def test_strategic_patch_switches_a_volume_source(api: Any, deployment: str) -> None:
    volume = {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}
    [found] = shown(await api.strategic(deployment, pod_spec({"volumes": [volume]})))["volumes"]
    assert found == {"name": "v", "hostPath": {"path": "/x", "type": ""}}


async def test_strategic_patch_deletes_finalizers(api: Any, config_maps: str) -> None:
    finalizers = ["x.test/a", "x.test/b"]
    await api.post(config_maps, {"metadata": {"name": "a", "finalizers": finalizers}})
    added = await api.strategic(f"{config_maps}/a", {"metadata": {"finalizers": ["x.test/c"]}})
    assert set(added.json["metadata"]["finalizers"]) == {*finalizers, "x.test/c"}
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.test/a", "x.test/c"]}}
    assert (await api.strategic(f"{config_maps}/a", removal)).json["metadata"]["finalizers"] == ["x.test/b"]
    await api.merge(f"{config_maps}/a", {"metadata": {"finalizers": None}})


async def test_strategic_patch_merges_owners_by_uid(api: Any, config_maps: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-1"}
    await api.post(config_maps, {"metadata": {"name": "a", "ownerReferences": [owner]}})
    other = {**owner, "name": "p", "uid": "u-2"}
    added = await api.strategic(f"{config_maps}/a", {"metadata": {"ownerReferences": [other]}})
    assert {each["uid"] for each in added.json["metadata"]["ownerReferences"]} == {"u-1", "u-2"}
    gone = await api.strategic(
        f"{config_maps}/a", {"metadata": {"ownerReferences": [{"uid": "u-1", "$patch": "delete"}]}}
    )
    assert [each["uid"] for each in gone.json["metadata"]["ownerReferences"]] == ["u-2"]


async def test_merge_patch_replaces_lists(api: Any, deployment: str) -> None:
    spec = shown(await api.merge(deployment, pod_spec({"containers": [{"name": "z", "image": "z:1"}]})))
    assert [each["name"] for each in spec["containers"]] == ["z"]


async def test_null_removes(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a", "labels": {"x": "1", "y": "2"}}, "data": {"k": "v"}})
    merged = (await api.merge(f"{config_maps}/a", {"metadata": {"labels": {"x": None}}})).json
    assert merged["metadata"]["labels"] == {"y": "2"}
    strategic = (await api.strategic(f"{config_maps}/a", {"data": {"k": None, "j": "w"}})).json
    assert strategic["data"] == {"j": "w"}


async def test_json_patch_operations(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a", "annotations": {"a/b": "1"}}, "data": {"k": "v"}})
    operations = [
        {"op": "test", "path": "/data/k", "value": "v"},
        {"op": "add", "path": "/data/new", "value": "n"},
        {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "2"},
        {"op": "copy", "from": "/data/k", "path": "/data/copied"},
        {"op": "move", "from": "/data/k", "path": "/data/moved"},
        {"op": "remove", "path": "/data/new"},
    ]
    changed = (await api.json_patch(f"{config_maps}/a", operations)).json
    assert changed["data"] == {"copied": "v", "moved": "v"}
    assert changed["metadata"]["annotations"] == {"a/b": "2"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/k", "value": "other"},
        {"op": "remove", "path": "/data/none"},
        {"op": "replace", "path": "/none/deep", "value": "x"},
        {"op": "add", "path": "/none/deep", "value": "x"},
    ],
)
async def test_json_patch_that_does_not_fit_is_unprocessable(api: Any, config_maps: str, operation: Any) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    answer = await api.json_patch(f"{config_maps}/a", [{"op": "add", "path": "/data/first", "value": "1"}, operation])
    assert answer.status == 422
    assert (await api.get(f"{config_maps}/a")).json["data"] == {"k": "v"}


async def test_unknown_patch_types_are_unsupported(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}})
    answer = await api.call("PATCH", f"{config_maps}/a", {}, content="application/json")
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")


async def test_patch_may_not_change_kind_or_name(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}})
    assert (await api.merge(f"{config_maps}/a", {"kind": "Secret"})).fields == {"patch"}
    assert (await api.merge(f"{config_maps}/a", {"metadata": {"name": "b"}})).status == 400
