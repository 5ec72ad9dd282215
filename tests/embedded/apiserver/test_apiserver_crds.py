"""Do custom kinds appear, validate, default, prune and go away as on a real API server?"""

import asyncio
from typing import Any


async def settled(read: Any, wanted: Any) -> Any:
    """A real API server needs a moment for what the embedded one does at once."""
    for _ in range(100):
        found = await read()
        if wanted(found):
            return found
        await asyncio.sleep(0.1)
    return await read()


async def test_definition_is_established_and_discovered(api: Any, widgets: Any) -> None:
    crd = (await api.get(widgets.crd)).json
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert conditions["NamesAccepted"] == conditions["Established"] == "True"
    assert crd["status"]["storedVersions"] == ["v1"]
    assert crd["status"]["acceptedNames"]["listKind"] == f"{widgets.kind}List"
    found = (await api.get(f"/apis/{widgets.group}/v1")).json["resources"]
    assert {each["name"] for each in found} == {widgets.plural, f"{widgets.plural}/status", f"{widgets.plural}/scale"}
    assert (await api.get(f"/apis/{widgets.group}")).json["preferredVersion"]["version"] == "v1"


async def test_objects_are_defaulted_and_pruned(api: Any, widgets: Any) -> None:
    body = widgets.make("a", unknown=1, free={"any": {"thing": 1}}, maybe=None, labels={"x": "y"}, limit="50%")
    body["status"] = {"phase": "Lies"}
    made = await api.post(widgets.path, body)
    assert made.status == 201, made.body
    assert made.json["spec"] == {
        "size": 1,
        "color": "red",
        "free": {"any": {"thing": 1}},
        "maybe": None,
        "labels": {"x": "y"},
        "limit": "50%",
    }
    assert "status" not in made.json
    assert made.json["metadata"]["generation"] == 1
    assert any('unknown field "spec.unknown"' in each.replace("\\", "") for each in made.headers.getall("Warning"))


async def test_unknown_fields_can_be_refused(api: Any, widgets: Any) -> None:
    answer = await api.post(widgets.path, widgets.make("a", unknown=1), fieldValidation="Strict")
    assert answer.status == 400
    assert 'unknown field "spec.unknown"' in answer.json["message"]


async def test_every_violation_is_a_cause(api: Any, widgets: Any) -> None:
    body = widgets.make("a", size=11, color="green", parts=["ok", "NO"], limit=1.5)
    answer = await api.post(widgets.path, body)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields == {"spec.size", "spec.color", "spec.parts[1]", "spec.limit"}
    assert answer.json["details"]["kind"] == widgets.kind
    missing = widgets.make("a")
    del missing["spec"]["size"]
    assert (await api.post(widgets.path, missing)).fields == {"spec.size"}
    wrong = await api.post(widgets.path, widgets.make("a", size="1"))
    assert "spec.size" in wrong.fields
    many = await api.post(widgets.path, widgets.make("a", parts=["a", "b", "c"]))
    assert many.fields == {"spec.parts"}


async def test_patches_are_validated_too(api: Any, widgets: Any) -> None:
    await api.post(widgets.path, widgets.make("a"))
    assert (await api.merge(f"{widgets.path}/a", {"spec": {"size": 99}})).status == 422
    replace = [
        {"op": "replace", "path": "/spec/size", "value": 3},
        {"op": "test", "path": "/spec/color", "value": "red"},
    ]
    changed = (await api.json_patch(f"{widgets.path}/a", replace)).json
    assert (changed["spec"]["size"], changed["metadata"]["generation"]) == (3, 2)
    assert (await api.strategic(f"{widgets.path}/a", {"spec": {"size": 4}})).status == 415


async def test_status_has_its_own_door(api: Any, widgets: Any) -> None:
    await api.post(widgets.path, widgets.make("a"))
    assert "status" not in (await api.merge(f"{widgets.path}/a", {"status": {"phase": "No"}})).json
    both = {"status": {"phase": "Yes"}, "spec": {"size": 9}, "metadata": {"labels": {"no": "no"}}}
    written = (await api.merge(f"{widgets.path}/a/status", both)).json
    assert written["status"] == {"phase": "Yes"}
    assert written["spec"]["size"] == 1
    assert "labels" not in written["metadata"]
    assert written["metadata"]["generation"] == 1
    kept = (await api.merge(f"{widgets.path}/a", {"spec": {"size": 2}})).json
    assert kept["status"] == {"phase": "Yes"}


async def test_put_needs_a_version(api: Any, widgets: Any) -> None:
    made = (await api.post(widgets.path, widgets.make("a"))).json
    assert (await api.put(f"{widgets.path}/a", widgets.make("a", size=2))).status == 422
    made["spec"]["size"] = 2
    assert (await api.put(f"{widgets.path}/a", made)).json["metadata"]["generation"] == 2


async def test_scale_reads_and_writes_replicas(api: Any, widgets: Any) -> None:
    await api.post(widgets.path, widgets.make("a"))
    scale = (await api.get(f"{widgets.path}/a/scale")).json
    assert (scale["kind"], scale["spec"]["replicas"]) == ("Scale", 1)
    assert (await api.merge(f"{widgets.path}/a/scale", {"spec": {"replicas": 4}})).json["spec"]["replicas"] == 4
    assert (await api.get(f"{widgets.path}/a")).json["spec"]["size"] == 4


async def test_table_shows_declared_columns(api: Any, widgets: Any) -> None:
    await api.post(widgets.path, widgets.make("a", size=3))
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    table = (await api.call("GET", widgets.path, headers=accept)).json
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Size", "Phase", "Age"]
    assert table["rows"][0]["cells"][:3] == ["a", 3, None]


async def test_watch_of_custom_objects(api: Any, widgets: Any) -> None:
    version = (await api.get(widgets.path)).json["metadata"]["resourceVersion"]
    async with api.watch(widgets.path, resourceVersion=version) as events:
        await api.post(widgets.path, widgets.make("a"))
        assert await events.kinds(1) == [("ADDED", "a")]


async def test_deleted_definition_takes_its_objects_along(api: Any, widgets: Any) -> None:
    await api.post(widgets.path, widgets.make("a"))
    assert (await api.delete(widgets.crd)).status == 200
    gone = await settled(lambda: api.get(widgets.path), lambda answer: answer.status == 404)
    assert gone.status == 404
    again = await settled(
        lambda: api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", widgets.definition),
        lambda answer: answer.status == 201,
    )
    assert again.status == 201
    listed = await settled(lambda: api.get(widgets.path), lambda answer: answer.status == 200)
    assert listed.json["items"] == []


async def test_definition_without_status_subresource_takes_status_on_the_main_door(api: Any, ns: str) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    group = f"plain.{ns}.test"
    names = {"plural": "things", "kind": "Thing"}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Cluster", "names": names, "versions": [version]},
    }
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await api.post(crds, crd)).status == 201
    path = f"/apis/{group}/v1beta1/things"
    await settled(lambda: api.get(path), lambda answer: answer.status == 200)
    body = {"apiVersion": f"{group}/v1beta1", "kind": "Thing", "metadata": {"name": "a"}, "status": {"phase": "New"}}
    assert (await api.post(path, body)).json["status"] == {"phase": "New"}
    changed = (await api.merge(f"{path}/a", {"status": {"phase": "Old"}})).json
    assert (changed["status"], changed["metadata"]["generation"]) == ({"phase": "Old"}, 2)
    assert (await api.merge(f"{path}/a/status", {"status": {}})).status == 404
    await api.delete(f"{crds}/things.{group}")


async def test_bad_definitions_are_invalid(api: Any) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {
        "group": "bad.test",
        "scope": "Namespaced",
        "names": {"plural": "bads", "kind": "Bad"},
        "versions": [version],
    }
    wrong_name = await api.post(crds, {"metadata": {"name": "other.bad.test"}, "spec": spec})
    assert (wrong_name.status, "metadata.name" in wrong_name.fields) == (422, True)
    no_schema = {**spec, "versions": [{**version, "schema": None}]}
    assert (await api.post(crds, {"metadata": {"name": "bads.bad.test"}, "spec": no_schema})).status == 422
    two = {**spec, "versions": [version, {**version, "name": "v2"}]}
    assert (await api.post(crds, {"metadata": {"name": "bads.bad.test"}, "spec": two})).status == 422


async def test_two_versions_show_the_same_objects(api: Any, ns: str) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    group = f"many.{ns}.test"
    versions = [
        {"name": "v1", "served": True, "storage": True, "schema": schema},
        {"name": "v1alpha1", "served": True, "storage": False, "schema": schema},
    ]
    spec = {"group": group, "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": versions}
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await api.post(crds, {"metadata": {"name": f"things.{group}"}, "spec": spec})).status == 201
    old, new = (f"/apis/{group}/{version}/namespaces/{ns}/things" for version in ("v1alpha1", "v1"))
    await settled(lambda: api.get(old), lambda answer: answer.status == 200)
    body = {"apiVersion": f"{group}/v1alpha1", "kind": "Thing", "metadata": {"name": "a"}, "x": 1}
    assert (await api.post(old, body)).json["apiVersion"] == f"{group}/v1alpha1"
    assert (await api.get(f"{new}/a")).json["apiVersion"] == f"{group}/v1"
    changed = (await api.merge(f"{old}/a", {"x": 2})).json
    assert (changed["apiVersion"], changed["x"]) == (f"{group}/v1alpha1", 2)
    version = str(int(changed["metadata"]["resourceVersion"]) - 1)
    async with api.watch(old, resourceVersion=version) as events:
        assert (await events.next())["object"]["apiVersion"] == f"{group}/v1alpha1"
    assert (await api.get(f"/apis/{group}")).json["preferredVersion"]["version"] == "v1"
    await api.delete(f"{crds}/things.{group}")
