"""Over real HTTP: claims hold pods back, bind late, and are bound before their pods are."""

from dataclasses import replace

import anyio

from flowbatch.api.kinds import NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from tests.embedded.scheduler.conftest import BRISK

HOST = "kubernetes.io/hostname"


async def storage_class(cluster, provisioner="kubernetes.io/no-provisioner"):
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local"},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    await cluster.user.create(STORAGE_CLASS, body)


async def volume(cluster, name, node):
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": [node]}]}
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }
    await cluster.user.create(PERSISTENT_VOLUME, body)
    # The volume controller's word.
    available = {"status": {"phase": "Available"}}
    await cluster.user.patch(PERSISTENT_VOLUME, name, available, subresource="status")


async def claim(cluster, name):
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "local",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    await cluster.user.create(PERSISTENT_VOLUME_CLAIM, body, "default")


async def bind_claim(cluster, name, volume_name):
    """What the volume controller does."""
    patch = cluster.user.patch
    await patch(PERSISTENT_VOLUME_CLAIM, name, {"spec": {"volumeName": volume_name}}, "default")
    status = {"status": {"phase": "Bound"}}
    await patch(PERSISTENT_VOLUME_CLAIM, name, status, "default", subresource="status")


def mounting(name):
    return {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}]}


async def nodes(cluster):
    for name in ("n0", "n1"):
        await cluster.node(name)
        await cluster.user.patch(NODE, name, {"metadata": {"labels": {HOST: name}}})


async def test_a_missing_claim_holds_a_gang_back_and_a_late_one_gets_a_volume_before_its_pod_is_bound(cluster):
    await nodes(cluster)
    await storage_class(cluster)
    await volume(cluster, "v1", "n1")
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **mounting("data"))
        told = await cluster.until_condition("g", "Unschedulable")
        assert '2 persistentvolumeclaim "data" not found' in told.message
        await claim(cluster, "data")

        async def given():
            found = await cluster.user.get(PERSISTENT_VOLUME, "v1")
            return found if found.spec.claim_ref is not None else None

        found = await cluster.until(given)
        assert (found.spec.claim_ref.name, found.spec.claim_ref.namespace) == ("data", "default")
        await anyio.sleep(0.2)
        assert await cluster.bound("g-") == {}
        await bind_claim(cluster, "data", "v1")
        assert await cluster.until_bound("g-", 1) == {"g-0": "n1"}


async def test_a_claim_that_is_to_be_made_is_told_its_node(cluster):
    await nodes(cluster)
    await storage_class(cluster, "csi.example")
    await claim(cluster, "data")
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **mounting("data"))

        async def selected():
            found = await cluster.user.get(PERSISTENT_VOLUME_CLAIM, "data", "default")
            return found.metadata.annotations.get("volume.kubernetes.io/selected-node")

        node = await cluster.until(selected)
        await bind_claim(cluster, "data", "made-later")
        assert await cluster.until_bound("g-", 1) == {"g-0": node}


async def test_a_pod_that_waits_for_its_claim_holds_up_no_other_binding(cluster):
    await nodes(cluster)
    await storage_class(cluster, "csi.example")
    await claim(cluster, "data")
    async with cluster.scheduler(replace(BRISK, lanes=1)):
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **mounting("data"))

        async def selected():
            found = await cluster.user.get(PERSISTENT_VOLUME_CLAIM, "data", "default")
            return found.metadata.annotations.get("volume.kubernetes.io/selected-node")

        await cluster.until(selected)
        await cluster.gang("h", 3)
        await cluster.until_bound("h-", 3)
        assert await cluster.bound("g-") == {}
        await bind_claim(cluster, "data", "made-later")
        await cluster.until_bound("g-", 1)
