"""Are requests built as Kubernetes spells them, and can no name climb out of its path?"""

import json

import pytest

from flowbatch.api.kinds import JOB, NODE, POD, POD_GROUP
from flowbatch.kube import request as build


def test_paths_of_core_and_custom_and_cluster_scoped_kinds():
    assert build.get_object(POD, "p", "a").target == "/api/v1/namespaces/a/pods/p"
    assert build.get_object(NODE, "n").target == "/api/v1/nodes/n"
    assert (
        build.get_object(JOB, "j", "a", "status").target == "/apis/batch.volcano.sh/v1alpha1/namespaces/a/jobs/j/status"
    )
    assert build.list_objects(POD_GROUP).target == "/apis/scheduling.volcano.sh/v1beta1/podgroups"


@pytest.mark.parametrize("name", ["../secrets/x", "a/b", "p?watch=1", "p#x", "é"])
def test_no_name_climbs_out_of_its_path(name: str):
    target = build.get_object(POD, name, "a").target
    assert target.startswith("/api/v1/namespaces/a/pods/")
    assert not set("/?#") & set(target.removeprefix("/api/v1/namespaces/a/pods/"))


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_is_none_is_refused_rather_than_meaning_the_collection(name: str):
    with pytest.raises(ValueError, match="no usable name"):
        build.delete_object(POD, name, "a")


def test_a_list_leaves_out_what_is_not_asked():
    assert build.list_objects(POD, "a").params == ()
    full = build.list_objects(POD, label_selector="a=b,c", field_selector="spec.nodeName=", limit=500)
    assert full.target == "/api/v1/pods?labelSelector=a%3Db%2Cc&fieldSelector=spec.nodeName%3D&limit=500"


def test_a_continued_list_names_no_version_because_its_token_does():
    asked = build.list_objects(POD, continue_="t", resource_version="7", resource_version_match="NotOlderThan")
    assert asked.params == (("continue", "t"),)


def test_version_zero_is_a_version():
    assert ("resourceVersion", "0") in build.list_objects(POD, resource_version="0").params


def test_a_watch_asks_for_bookmarks_and_a_watch_list_for_the_state():
    plain = dict(build.watch_objects(POD, resource_version="7", timeout_s=300).params)
    assert plain == {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "7", "timeoutSeconds": "300"}
    initial = dict(build.watch_objects(POD, initial_events=True).params)
    assert initial["sendInitialEvents"] == "true"
    assert initial["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in initial


def test_a_binding_names_the_pod_by_uid_and_carries_the_epoch():
    body = json.loads(build.bind_pod("a", "p", "u1", "n1", {"flowbatch.dev/epoch": "3"}).body)
    assert body["metadata"] == {
        "name": "p",
        "namespace": "a",
        "uid": "u1",
        "annotations": {"flowbatch.dev/epoch": "3"},
    }
    assert body["target"] == {"apiVersion": "v1", "kind": "Node", "name": "n1"}


def test_deletion_and_eviction_meet_only_the_pod_that_was_meant():
    body = json.loads(build.delete_object(POD, "p", "a", uid="u1", grace_seconds=0, propagation="Foreground").body)
    assert body["preconditions"] == {"uid": "u1"}
    assert body["gracePeriodSeconds"] == 0
    assert body["propagationPolicy"] == "Foreground"
    evicted = json.loads(build.evict_pod("a", "p", "u1").body)
    assert evicted["deleteOptions"]["preconditions"] == {"uid": "u1"}
    assert "gracePeriodSeconds" not in evicted["deleteOptions"]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ("merge", "application/merge-patch+json"),
        ("strategic", "application/strategic-merge-patch+json"),
        ("json", "application/json-patch+json"),
        ("apply", "application/apply-patch+yaml"),
    ],
)
def test_each_patch_says_what_it_is(content: build.PatchContent, media_type: str):
    assert build.patch_object(POD, "p", {}, "a", content=content).content_type == media_type


def test_a_created_object_goes_where_it_says_unless_told_otherwise():
    manifest = {"metadata": {"name": "p", "namespace": "a"}}
    assert build.create_object(POD, manifest).path == "/api/v1/namespaces/a/pods"
    assert build.create_object(POD, manifest, "b").path == "/api/v1/namespaces/b/pods"


def test_logs_can_be_asked_for_no_lines_at_all():
    asked = dict(build.pod_logs("a", "p", container="c", follow=True, tail_lines=0).params)
    assert asked == {"container": "c", "follow": "true", "tailLines": "0"}
