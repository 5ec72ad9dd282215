"""Over real HTTP: do affinity, anti-affinity and spread reach the engine, labels and namespaces included?"""

import anyio

from flowbatch.api.kinds import NAMESPACE, NODE, POD

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


async def nodes(cluster, *zones: str):
    for index, zone in enumerate(zones):
        await cluster.node(f"n{index}")
        labels = {HOST: f"n{index}", ZONE: zone}
        await cluster.user.patch(NODE, f"n{index}", {"metadata": {"labels": labels}})


async def pod(cluster, name, group="", labels=None, namespace="default", node="", **spec):
    notes = {"scheduling.k8s.io/group-name": group} if group else {}
    container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": notes, "labels": labels or {}},
        "spec": {"schedulerName": "volcano", "containers": [container], **({"nodeName": node} if node else {}), **spec},
    }
    await cluster.user.create(POD, manifest, namespace)


def term(key, labels, **more):
    return {"topologyKey": key, "labelSelector": {"matchLabels": labels}, **more}


def required(**terms):
    return {
        "affinity": {name: {"requiredDuringSchedulingIgnoredDuringExecution": [each]} for name, each in terms.items()}
    }


async def test_anti_affinity_by_host_spreads_a_gang_and_the_rest_is_told_why(cluster):
    await nodes(cluster, "a", "a", "b")
    async with cluster.scheduler():
        await cluster.group("g", 3)
        for index in range(3):
            await pod(cluster, f"g-{index}", "g", {"app": "x"}, **required(podAntiAffinity=term(HOST, {"app": "x"})))
        assert sorted((await cluster.until_bound("g-", 3)).values()) == ["n0", "n1", "n2"]
        await cluster.group("h", 1)
        await pod(cluster, "h-0", "h", {"app": "x"}, **required(podAntiAffinity=term(HOST, {"app": "x"})))
        told = await cluster.until_condition("h", "Unschedulable")
        assert "3 node(s) didn't match pod anti-affinity rules" in told.message
        await cluster.finish("g-1")
        await cluster.until_bound("h-", 1)


async def test_pods_that_were_there_before_anybody_asked_for_their_labels_count(cluster):
    await nodes(cluster, "a", "b")
    await pod(cluster, "web", "", {"app": "web"}, node="n1")
    async with cluster.scheduler():
        await anyio.sleep(0.2)
        await cluster.group("g", 2)
        for index in range(2):
            await pod(cluster, f"g-{index}", "g", **required(podAffinity=term(ZONE, {"app": "web"})))
        assert sorted((await cluster.until_bound("g-", 2)).values()) == ["n1", "n1"]


async def test_a_namespace_selector_follows_the_labels_of_namespaces(cluster):
    await nodes(cluster, "a", "b")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    await cluster.user.create(NAMESPACE, body)
    await pod(cluster, "web", "", {"app": "web"}, namespace="other", node="n1")
    near = term(ZONE, {"app": "web"}, namespaceSelector={"matchLabels": {"team": "blue"}})
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await pod(cluster, "g-0", "g", **required(podAffinity=near))
        await cluster.until_condition("g", "Unschedulable")
        await cluster.user.patch(NAMESPACE, "other", {"metadata": {"labels": {"team": "blue"}}})
        assert await cluster.until_bound("g-", 1) == {"g-0": "n1"}


async def test_spread_constraints_with_label_keys_count_only_pods_of_the_same_version(cluster):
    await nodes(cluster, "a", "b")
    for index in range(2):
        await pod(cluster, f"old-{index}", "", {"app": "x", "version": "1"}, node="n0")
    constraint = {
        "topologyKey": ZONE,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "x"}},
        "matchLabelKeys": ["version"],
    }
    async with cluster.scheduler():
        await cluster.group("g", 4)
        for index in range(4):
            labels = {"app": "x", "version": "2"}
            await pod(cluster, f"g-{index}", "g", labels, topologySpreadConstraints=[constraint])
        assert sorted((await cluster.until_bound("g-", 4)).values()) == ["n0", "n0", "n1", "n1"]
