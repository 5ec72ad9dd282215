"""Which PodGroup does a pod get that no job made?"""

import pytest

from flowbatch.api.core import Container, Pod, PodSpec, ResourceRequirements
from flowbatch.api.meta import ObjectMeta, OwnerReference
from flowbatch.controllers.pod_group_manifest import group_name, pod_group


def pod(*, owner=None, annotations=None, cpu="500m", priority=""):
    references = (owner,) if owner else ()
    meta = ObjectMeta(
        name="p", namespace="ns", uid="pod-uid", annotations=annotations or {}, owner_references=references
    )
    asked = ResourceRequirements(requests={"cpu": cpu, "memory": "1Gi"})
    return Pod(metadata=meta, spec=PodSpec(containers=(Container(resources=asked),), priority_class_name=priority))


REPLICA_SET = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="rs", uid="rs-uid", controller=True)


def owner(**annotations):
    return ObjectMeta(name="rs", namespace="ns", uid="rs-uid", annotations=annotations)


def test_a_bare_pod_has_a_group_of_one_that_it_owns():
    manifest = pod_group(pod(priority="high"), [], None)
    assert manifest == {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": {
            "name": "podgroup-pod-uid",
            "namespace": "ns",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "pod-uid", "controller": True}],
        },
        "spec": {
            "minMember": 1,
            "queue": "default",
            "minResources": {"cpu": "500m", "memory": "1Gi"},
            "priorityClassName": "high",
        },
    }


def test_pods_of_one_owner_share_its_group():
    one = pod(owner=REPLICA_SET)
    assert group_name(one) == "podgroup-rs-uid"
    assert pod_group(one, [owner()], None)["metadata"]["ownerReferences"][0]["uid"] == "rs-uid"


def test_an_owner_may_ask_for_a_gang():
    asked = {"scheduling.volcano.sh/group-min-member": "4"}
    spec = pod_group(pod(owner=REPLICA_SET), [owner(**asked)], None)["spec"]
    assert spec["minMember"] == 4
    assert spec["minResources"] == {"cpu": "2", "memory": "4Gi"}


def test_stated_resources_win_over_computed_ones_and_unreadable_text_does_not():
    for text, expected in (('{"cpu": "9"}', {"cpu": "9"}), ("nonsense", {"cpu": "500m", "memory": "1Gi"})):
        stated = {"scheduling.volcano.sh/group-min-resources": text}
        assert pod_group(pod(annotations=stated), [], None)["spec"]["minResources"] == expected


def test_an_unreadable_minimum_or_quantity_keeps_no_pod_from_running():
    bad = pod(annotations={"scheduling.volcano.sh/group-min-member": "-3"}, cpu="lots")
    assert pod_group(bad, [], None)["spec"] == {"minMember": 1, "queue": "default"}


def test_the_queue_is_the_pods_then_the_owners_then_the_namespaces():
    key = "scheduling.volcano.sh/queue-name"
    space = ObjectMeta(name="ns", annotations={key: "of-namespace"})
    of_owner = owner(**{key: "of-owner"})
    assert pod_group(pod(annotations={key: "of-pod"}), [of_owner], space)["spec"]["queue"] == "of-pod"
    assert pod_group(pod(), [of_owner], space)["spec"]["queue"] == "of-owner"
    assert pod_group(pod(), [owner()], space)["spec"]["queue"] == "of-namespace"


def test_volcano_annotations_are_inherited_and_others_are_not():
    mine = {"volcano.sh/preemptable": "true", "example.org/note": "x"}
    theirs = {"volcano.sh/preemptable": "false", "volcano.sh/revocable-zone": "*"}
    made = pod_group(pod(annotations=mine), [owner(**theirs)], None)
    assert made["metadata"]["annotations"] == {"volcano.sh/preemptable": "true", "volcano.sh/revocable-zone": "*"}


@pytest.mark.parametrize(
    ("mode", "tier", "expected"),
    [
        ("hard", "2", {"mode": "hard", "highestTierAllowed": 2}),
        ("soft", "", {"mode": "soft"}),
        ("", "1", {"mode": "hard", "highestTierAllowed": 1}),
        ("firm", "1", None),
        ("hard", "x", {"mode": "hard"}),
        ("", "", None),
    ],
)
def test_an_owner_may_ask_for_closeness(mode, tier, expected):
    asked = {"volcano.sh/network-topology-mode": mode, "volcano.sh/network-topology-highest-tier": tier}
    assert pod_group(pod(owner=REPLICA_SET), [owner(**asked)], None)["spec"].get("networkTopology") == expected
