"""Does a write mean what it means on a real API server: identity, versions, conflicts, names, dry runs?"""

from typing import Any


async def test_created_object_gets_identity_and_version(api: Any, config_maps: str) -> None:
    made = await api.post(config_maps, {"metadata": {"name": "a", "uid": "mine"}, "data": {"k": "v"}})
    assert made.status == 201
    metadata = made.json["metadata"]
    assert metadata["uid"] != "mine"
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["creationTimestamp"].endswith("Z")
    assert "generation" not in metadata
    assert (made.json["kind"], made.json["apiVersion"]) == ("ConfigMap", "v1")


async def test_generate_name_appends_five_letters(api: Any, config_maps: str) -> None:
    names = {
        (await api.post(config_maps, {"metadata": {"generateName": "x-"}})).json["metadata"]["name"] for _ in range(5)
    }
    assert len(names) == 5
    assert all(len(name) == 7 for name in names)


async def test_taken_name_is_already_exists_not_conflict(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}})
    again = await api.post(config_maps, {"metadata": {"name": "a"}})
    assert (again.status, again.reason) == (409, "AlreadyExists")
    assert again.json["details"] == {"name": "a", "kind": "configmaps"}


async def test_stale_version_is_conflict_not_already_exists(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json
    await api.merge(f"{config_maps}/a", {"data": {"k": "1"}})
    stale = await api.put(f"{config_maps}/a", {**made, "data": {"k": "2"}})
    assert (stale.status, stale.reason) == (409, "Conflict")


async def test_update_without_version_overwrites(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    assert (await api.put(f"{config_maps}/a", {"metadata": {"name": "a"}, "data": {"j": "2"}})).json["data"] == {
        "j": "2"
    }


async def test_update_that_changes_nothing_keeps_the_version(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"k": "1"}})).json
    again = (await api.put(f"{config_maps}/a", made)).json
    patched = (await api.merge(f"{config_maps}/a", {"data": {"k": "1"}})).json
    assert {each["metadata"]["resourceVersion"] for each in (made, again, patched)} == {
        made["metadata"]["resourceVersion"]
    }


async def test_versions_rise_across_kinds(api: Any, config_maps: str, ns: str) -> None:
    first = (await api.post(config_maps, {"metadata": {"name": "a"}})).json
    second = (await api.post(f"/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "a"}})).json
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


async def test_put_of_another_uid_is_conflict(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json
    made["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    answer = await api.put(f"{config_maps}/a", made)
    assert (answer.status, answer.reason) == (409, "Conflict")


async def test_patch_with_a_version_is_a_precondition_and_the_uid_cannot_change(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json
    await api.merge(f"{config_maps}/a", {"data": {"k": "1"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"k": "2"}}
    assert (await api.merge(f"{config_maps}/a", stale)).reason == "Conflict"
    other = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"k": "2"}}
    assert (await api.merge(f"{config_maps}/a", other)).reason == "Invalid"
    same = {"metadata": {"uid": made["metadata"]["uid"]}, "data": {"k": "3"}}
    assert (await api.merge(f"{config_maps}/a", same)).status == 200


async def test_name_in_body_must_match_the_path(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a"}})
    assert (await api.put(f"{config_maps}/a", {"metadata": {"name": "b"}})).status == 400
    assert (await api.post(config_maps, {"metadata": {"name": "c", "namespace": "other"}})).status == 400


async def test_kind_in_body_must_match_the_path(api: Any, config_maps: str) -> None:
    assert (
        await api.post(config_maps, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}})
    ).status == 400


async def test_bad_names_are_invalid_with_their_field(api: Any, config_maps: str) -> None:
    for name in ("UPPER", "a_b", "-a", "a" * 254, "a..b"):
        answer = await api.post(config_maps, {"metadata": {"name": name}})
        assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"metadata.name"}), name
    nameless = await api.post(config_maps, {"metadata": {}})
    assert nameless.status == 422
    assert "metadata.name" in nameless.fields


async def test_bad_labels_are_invalid(api: Any, config_maps: str) -> None:
    answer = await api.post(config_maps, {"metadata": {"name": "a", "labels": {"ok": "not ok!", "b@d": "x"}}})
    assert answer.status == 422
    assert answer.fields == {"metadata.labels"}
    assert len(answer.json["details"]["causes"]) == 2


async def test_missing_objects_are_not_found(api: Any, config_maps: str) -> None:
    for answer in (
        await api.get(f"{config_maps}/no"),
        await api.delete(f"{config_maps}/no"),
        await api.merge(f"{config_maps}/no", {}),
    ):
        assert (answer.status, answer.reason) == (404, "NotFound")
        assert answer.json["details"] == {"name": "no", "kind": "configmaps"}


async def test_delete_checks_preconditions(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json["metadata"]
    wrong = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    assert (await api.delete(f"{config_maps}/a", wrong)).reason == "Conflict"
    assert (await api.delete(f"{config_maps}/a", {"preconditions": {"resourceVersion": "1"}})).reason == "Conflict"
    right = {"preconditions": {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}}
    answer = await api.delete(f"{config_maps}/a", right)
    assert (answer.status, answer.json["status"], answer.json["details"]["uid"]) == (200, "Success", made["uid"])
    assert (await api.get(f"{config_maps}/a")).status == 404


async def test_finalizers_hold_a_deleted_object(api: Any, config_maps: str) -> None:
    await api.post(config_maps, {"metadata": {"name": "a", "finalizers": ["flowbatch.test/hold"]}})
    held = (await api.delete(f"{config_maps}/a")).json
    assert held["metadata"]["deletionTimestamp"]
    added = {"metadata": {"finalizers": ["flowbatch.test/hold", "flowbatch.test/more"]}}
    assert (await api.merge(f"{config_maps}/a", added)).status == 422
    unset = (await api.merge(f"{config_maps}/a", {"metadata": {"deletionTimestamp": None}})).json
    assert unset["metadata"]["deletionTimestamp"] == held["metadata"]["deletionTimestamp"]
    assert (await api.merge(f"{config_maps}/a", {"metadata": {"finalizers": None}})).status == 200
    assert (await api.get(f"{config_maps}/a")).status == 404


async def test_dry_run_answers_but_stores_nothing(api: Any, config_maps: str) -> None:
    made = await api.post(config_maps, {"metadata": {"name": "a"}}, dryRun="All")
    assert (made.status, made.json["metadata"]["name"]) == (201, "a")
    assert (await api.get(f"{config_maps}/a")).status == 404
    await api.post(config_maps, {"metadata": {"name": "b"}, "data": {"k": "1"}})
    assert (await api.merge(f"{config_maps}/b", {"data": {"k": "2"}}, dryRun="All")).json["data"] == {"k": "2"}
    assert (await api.delete(f"{config_maps}/b", dryRun="All")).status == 200
    assert (await api.get(f"{config_maps}/b")).json["data"] == {"k": "1"}
    assert (await api.post(config_maps, {"metadata": {"name": "c"}}, dryRun="Some")).status in (400, 422)


async def test_unknown_fields_are_refused_warned_of_or_dropped(api: Any, config_maps: str) -> None:
    body = {"metadata": {"name": "a", "labls": {}}, "dta": {}}
    strict = await api.post(config_maps, body, fieldValidation="Strict")
    assert (strict.status, strict.reason) == (400, "BadRequest")
    assert 'unknown field "dta"' in strict.json["message"]
    assert 'unknown field "metadata.labls"' in strict.json["message"]
    warned = await api.post(config_maps, body)
    assert warned.status == 201
    assert any("unknown field" in each for each in warned.headers.getall("Warning"))
    assert "dta" not in warned.json
    quiet = await api.post(config_maps, {**body, "metadata": {"name": "b"}}, fieldValidation="Ignore")
    assert quiet.status == 201
    assert "Warning" not in quiet.headers


async def test_wrong_types_are_bad_requests(api: Any, config_maps: str, pods: str, make_pod: Any) -> None:
    assert (await api.post(config_maps, {"metadata": {"name": "a"}, "data": {"k": 1}})).status == 400
    assert (await api.post(config_maps, {"metadata": {"name": "a"}, "data": ["k"]})).status == 400
    assert (await api.post(pods, make_pod(activeDeadlineSeconds="x"))).status == 400
    assert (await api.post(config_maps, b"{not json")).status == 400
    assert (await api.post(config_maps, [1])).status == 400


async def test_generation_counts_spec_changes_only(api: Any, ns: str) -> None:
    path = f"/apis/policy/v1/namespaces/{ns}/poddisruptionbudgets"
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}
    made = (await api.post(path, {"metadata": {"name": "a"}, "spec": spec})).json
    assert made["metadata"]["generation"] == 1
    labelled = (await api.merge(f"{path}/a", {"metadata": {"labels": {"x": "y"}}})).json
    assert labelled["metadata"]["generation"] == 1
    changed = (await api.merge(f"{path}/a", {"spec": {"minAvailable": 2}})).json
    assert changed["metadata"]["generation"] == 2


async def test_leases_need_a_version_to_be_updated(api: Any, ns: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
    made = (await api.post(path, lease)).json
    assert (await api.put(f"{path}/l", lease)).status == 422
    made["spec"]["holderIdentity"] = "b"
    assert (await api.put(f"{path}/l", made)).json["spec"]["holderIdentity"] == "b"


async def test_delete_collection_obeys_selectors(api: Any, config_maps: str) -> None:
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        await api.post(config_maps, {"metadata": {"name": name, "labels": {"l": label}}})
    assert (await api.delete(config_maps, labelSelector="l=x")).status == 200
    left = (await api.get(config_maps, labelSelector="l")).json["items"]
    assert [each["metadata"]["name"] for each in left] == ["c"]


async def test_system_metadata_cannot_be_changed(api: Any, config_maps: str) -> None:
    made = (await api.post(config_maps, {"metadata": {"name": "a"}})).json["metadata"]
    changed = {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 5, "labels": {"a": "b"}}}
    after = (await api.merge(f"{config_maps}/a", changed)).json["metadata"]
    assert after["creationTimestamp"] == made["creationTimestamp"]
    assert after["labels"] == {"a": "b"}


async def test_two_controllers_cannot_own_one_object(api: Any, config_maps: str) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u", "controller": True}
    answer = await api.post(config_maps, {"metadata": {"name": "a", "ownerReferences": [owner, {**owner, "uid": "v"}]}})
    assert (answer.status, answer.fields) == (422, {"metadata.ownerReferences"})
