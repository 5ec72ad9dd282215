"""Do pods that no job made get a PodGroup, once, with what they and their owners ask for, and is none left behind?"""

import pytest

from flowbatch.api.kinds import POD, POD_GROUP
from flowbatch.kube.errors import NotFound
from flowbatch.kube.request import Request

GROUP = "scheduling.k8s.io/group-name"


def pod(name, *, owner=None, scheduler="volcano", annotations=None):
    metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
    if owner:
        metadata["ownerReferences"] = [owner]
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "100m"}}}
    spec = {"schedulerName": scheduler, "containers": [container], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def group_of(world, name):
    async def named():
        return (await world.client.get(POD, name, "default")).metadata.annotations.get(GROUP)

    return await world.until(named, f"pod {name} to name a group")


async def make_replica_set(world, replicas=2, **annotations):
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "rs", "namespace": "default", "annotations": annotations},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    made = world.server.create("apps/v1", "ReplicaSet", manifest, "default")
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "rs",
        "uid": made["metadata"]["uid"],
        "controller": True,
    }


async def test_a_bare_pod_is_grouped_and_its_group_goes_with_it(world):
    await world.start()
    made = await world.client.create(POD, pod("p"))
    name = await group_of(world, "p")
    assert name == f"podgroup-{made.metadata.uid}"
    group = await world.client.get(POD_GROUP, name, "default")
    assert (group.spec.min_member, group.spec.queue, group.spec.min_resources) == (1, "default", {"cpu": "100m"})
    await world.client.delete(POD, "p", "default", grace_seconds=0)

    async def gone():
        try:
            await world.client.get(POD_GROUP, name, "default")
        except NotFound:
            return True
        return False

    await world.until(gone, "the group to be collected")


async def test_pods_of_other_schedulers_and_pods_with_a_group_are_left_alone(world):
    await world.start()
    await world.client.create(POD, pod("theirs", scheduler="default-scheduler"))
    await world.client.create(POD, pod("grouped", annotations={GROUP: "mine"}))
    await world.client.create(POD, pod("ours"))
    await group_of(world, "ours")
    await world.settled()
    assert len(await world.client.list(POD_GROUP)) == 1
    assert GROUP not in (await world.client.get(POD, "theirs", "default")).metadata.annotations


async def test_pods_of_one_owner_share_a_gang_of_the_size_it_asks_for(world):
    await world.start()
    owner = await make_replica_set(world, **{"scheduling.volcano.sh/group-min-member": "3"})
    for index in range(4):
        await world.client.create(POD, pod(f"p{index}", owner=owner))
    names = {await group_of(world, f"p{index}") for index in range(4)}
    assert names == {f"podgroup-{owner['uid']}"}
    (group,) = await world.client.list(POD_GROUP)
    assert group.spec.min_member == 3
    assert group.metadata.controller.uid == owner["uid"]


async def test_an_owner_that_asks_for_another_size_gets_it_with_its_next_pod_and_the_rest_of_the_group_stays(world):
    await world.start()
    owner = await make_replica_set(world, **{"scheduling.volcano.sh/group-min-member": "2"})
    await world.client.create(POD, pod("p0", owner=owner))
    name = await group_of(world, "p0")
    await world.settled()
    by_hand = {"spec": {"priorityClassName": "high", "queue": "moved"}}
    await world.client.patch(POD_GROUP, name, by_hand, "default")
    note = b'{"metadata":{"annotations":{"scheduling.volcano.sh/group-min-member":"4"}}}'
    path = "/apis/apps/v1/namespaces/default/replicasets/rs"
    await world.client.send(Request("PATCH", path, (), note, "application/merge-patch+json"))
    await world.kill()  # whoever starts anew trusts no group that it has not seen
    await world.start()
    await world.client.create(POD, pod("p1", owner=owner))
    await group_of(world, "p1")
    await world.settled()
    group = await world.client.get(POD_GROUP, name, "default")
    assert (group.spec.min_member, group.spec.min_resources) == (4, {"cpu": "400m"})
    assert (group.spec.priority_class_name, group.spec.queue) == ("high", "moved")
    before = world.writes()
    await world.client.create(POD, pod("p2", owner=owner))
    await group_of(world, "p2")
    await world.settled()
    assert world.writes() - before == 1  # the pod's annotation


async def test_the_namespace_gives_the_queue_where_nobody_else_does(world):
    await world.start()
    queue = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "metadata": {"name": "team"}}
    world.server.create("scheduling.volcano.sh/v1beta1", "Queue", {**queue, "spec": {"weight": 1}})
    note = b'{"metadata":{"annotations":{"scheduling.volcano.sh/queue-name":"team"}}}'
    await world.client.send(Request("PATCH", "/api/v1/namespaces/default", (), note, "application/merge-patch+json"))
    await world.settled()
    await world.client.create(POD, pod("p"))
    group = await world.client.get(POD_GROUP, await group_of(world, "p"), "default")
    assert group.spec.queue == "team"


async def test_pods_made_while_no_controller_ran_are_grouped_and_nothing_is_done_twice(world):
    await world.client.create(POD, pod("p"))
    await world.start()
    await group_of(world, "p")
    await world.settled()
    before = world.writes()
    await world.kill()
    await world.start()
    await world.settled()
    assert world.writes() == before


def crd(group, version, kind, plural):
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": version, "served": True, "storage": True, "schema": schema}
    spec = {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [served]}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


@pytest.mark.parametrize(
    ("api_version", "kind", "plural"),
    [
        ("apps/v1", "ReplicaSet", ""),
        ("apps/v1", "StatefulSet", ""),
        ("apps/v1", "DaemonSet", ""),
        ("batch/v1", "Job", ""),
        ("v1", "ReplicationController", ""),
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", "sparkapplications"),
        ("argoproj.io/v1alpha1", "Workflow", "workflows"),
        ("kubeflow.org/v1", "PyTorchJob", "pytorchjobs"),
        ("ray.io/v1", "RayCluster", "rayclusters"),
    ],
)
async def test_pods_of_every_kind_of_owner_are_one_gang_as_its_annotations_say_and_belongs_to_the_owner(
    world, api_version, kind, plural
):
    if plural:
        group, _, version = api_version.partition("/")
        world.server.create("apiextensions.k8s.io/v1", "CustomResourceDefinition", crd(group, version, kind, plural))
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"
    selector = labels if kind == "ReplicationController" else {"matchLabels": labels}
    spec = {"template": template, **({} if kind == "Job" else {"selector": selector})}
    if kind == "StatefulSet":
        spec["serviceName"] = "s"
    notes = {"scheduling.volcano.sh/group-min-member": "2", "volcano.sh/preemptable": "true", "other/note": "x"}
    metadata = {"name": "owner", "namespace": "default", "annotations": notes}
    made = world.server.create(
        api_version, kind, {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}, "default"
    )
    owner = {"apiVersion": api_version, "kind": kind, "name": "owner", "uid": made["metadata"]["uid"]}
    await world.start()
    for index in range(2):
        await world.client.create(POD, pod(f"p{index}", owner={**owner, "controller": True}))
    name = f"podgroup-{owner['uid']}"
    assert {await group_of(world, f"p{index}") for index in range(2)} == {name}
    group = await world.client.get(POD_GROUP, name, "default")
    assert (group.spec.min_member, group.metadata.annotations) == (2, {"volcano.sh/preemptable": "true"})
    (reference,) = group.metadata.owner_references
    assert (reference.kind, reference.uid) == (kind, owner["uid"])


async def test_a_pod_with_an_owner_of_an_unknown_kind_is_grouped_all_the_same(world):
    await world.start()
    owner = {"apiVersion": "example.org/v1", "kind": "Thing", "name": "t", "uid": "thing-uid", "controller": True}
    await world.client.create(POD, pod("p", owner=owner))
    assert await group_of(world, "p") == "podgroup-thing-uid"
