"""Does an AdmissionReview get a right answer, and nonsense a refusal instead of a crash?"""

import base64
import json

import pytest

from flowbatch.admission.patch import json_patch
from flowbatch.admission.review import NotAReview, mutation, read_review, verdict
from flowbatch.embedded.apiserver.patch import json_patch as apply_json_patch
from tests.admissionworld import Stored, job, queue

WORLD = Stored(queue("default"))


def review(obj, old=None, operation="CREATE", **more):
    group, _, version = (obj or old)["apiVersion"].rpartition("/")
    request = {"uid": "u1", "operation": operation, "object": obj, "oldObject": old, "namespace": "default"}
    request["kind"] = {"group": group, "version": version, "kind": (obj or old)["kind"]}
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {**request, **more}}
    ).encode()


def test_a_mutation_is_a_json_patch_that_gives_the_defaults():
    bare = job()
    answer = mutation(read_review(review(bare)), WORLD)["response"]
    assert (answer["uid"], answer["allowed"], answer["patchType"]) == ("u1", True, "JSONPatch")
    full = apply_json_patch(bare, json.loads(base64.b64decode(answer["patch"])))
    assert full["spec"]["queue"] == "default"
    assert full["spec"]["tasks"][0]["minAvailable"] == 2
    assert "patch" not in mutation(read_review(review(full)), WORLD)["response"], "a second time changes nothing"


def test_a_verdict_lists_every_problem_in_message_and_causes():
    answer, found = verdict(read_review(review(job(maxRetry=-1, queue="gone"))), WORLD)
    status = answer["response"]["status"]
    assert (answer["response"]["allowed"], status["code"], status["reason"]) == (False, 422, "Invalid")
    assert {cause["field"] for cause in status["details"]["causes"]} == {"spec.maxRetry", "spec.queue"}
    assert all(each.path in status["message"] for each in found)


def test_deletions_and_kinds_of_others():
    doomed = review(None, queue("default"), "DELETE")
    assert verdict(read_review(doomed), WORLD)[0]["response"]["allowed"] is False
    assert mutation(read_review(doomed), WORLD)["response"] == {"uid": "u1", "allowed": True}
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    assert verdict(read_review(review(theirs)), WORLD)[0]["response"] == {"uid": "u1", "allowed": True}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "1"}}',
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}',
        b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"kind": []}}',
        b'{"a":' * 100_000,
        b"[" * 2_000_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_what_is_no_review_is_refused(body):
    with pytest.raises(NotAReview):
        read_review(body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"a": 1}),
        ({"a": 1}, {}),
        ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3, "c": 4}]}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": 1}, {"a": True}),
        ({"a": {"b": 1}}, {"a": [1]}),
    ],
)
def test_a_patch_turns_old_into_new(old, new):
    assert json.dumps(apply_json_patch(old, json_patch(old, new))) == json.dumps(new)
