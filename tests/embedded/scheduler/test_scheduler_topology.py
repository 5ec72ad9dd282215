"""Over real HTTP: do gangs land inside one HyperNode, remember it, and do HyperNodes say what they are made of?"""

import anyio
import pytest

from flowbatch.admission.crds import crds
from flowbatch.api.kinds import HYPER_NODE, POD, POD_GROUP
from flowbatch.embedded.apiserver import ApiServer
from flowbatch.kube.client import Client
from flowbatch.kube.config import from_kubeconfig
from tests.embedded.scheduler.conftest import Cluster

HOME = "volcano.sh/job-allocated-hypernode"


async def hyper_node(cluster, name, tier, *members, kind="Node", tier_name=""):
    """Members are exact names, `~pattern` or `key=value` labels."""
    selected = []
    for member in members:
        key, equals, value = member.partition("=")
        if equals:
            selector = {"labelMatch": {"matchLabels": {key: value}}}
        elif member.startswith("~"):
            selector = {"regexMatch": {"pattern": member[1:]}}
        else:
            selector = {"exactMatch": {"name": member}}
        selected.append({"type": kind, "selector": selector})
    spec = {"tier": tier, "members": selected, **({"tierName": tier_name} if tier_name else {})}
    body = {"apiVersion": HYPER_NODE.api_version, "kind": "HyperNode", "metadata": {"name": name}, "spec": spec}
    await cluster.user.create(HYPER_NODE, body)


async def eight_nodes(cluster):
    """Racks by name, by pattern and by label; two blocks; 4 cores a node."""
    for index in range(8):
        await cluster.node(f"n{index}")
    for index in (6, 7):
        await cluster.user.patch(_node(), f"n{index}", {"metadata": {"labels": {"rack": "s3"}}})
    await hyper_node(cluster, "s0", 1, "n0", "n1", tier_name="rack")
    await hyper_node(cluster, "s1", 1, "~^n[23]$", tier_name="rack")
    await hyper_node(cluster, "s2", 1, "n4", "n5", tier_name="rack")
    await hyper_node(cluster, "s3", 1, "rack=s3", tier_name="rack")
    await hyper_node(cluster, "s4", 2, "s0", "s1", kind="HyperNode")
    await hyper_node(cluster, "s5", 2, "~^s[23]$", kind="HyperNode")


def _node():
    from flowbatch.api.kinds import NODE

    return NODE


async def gang(cluster, name, count, cpu, **spec):
    await cluster.group(name, count, **spec)
    for index in range(count):
        await cluster.pod(f"{name}-{index}", name, cpu)


async def test_a_gang_lands_inside_one_hypernode_and_its_group_remembers_which(cluster):
    await eight_nodes(cluster)
    async with cluster.scheduler():
        await gang(cluster, "near", 4, "2", networkTopology={"mode": "hard", "highestTierAllowed": 1})
        bound = await cluster.until_bound("near", 4)
        racks = {int(node[1:]) // 2 for node in bound.values()}
        assert len(racks) == 1
        await gang(cluster, "named", 6, "2", networkTopology={"mode": "hard", "highestTierName": "rack"})
        reason = await cluster.until_condition("named", "Unschedulable")
        assert 'inside one HyperNode of tier "rack"' in reason.message

        async def remembered():
            return (await cluster.see_group("near")).metadata.annotations.get(HOME)

        assert await cluster.until(remembered) == f"s{racks.pop()}"
    assert cluster.requests("patch", "podgroups") <= 7


async def test_a_pod_made_again_after_a_restart_of_the_scheduler_returns_to_its_hypernode(cluster):
    await eight_nodes(cluster)
    hard = {"mode": "hard", "highestTierAllowed": 1}
    async with cluster.scheduler():
        await gang(cluster, "job", 3, "2", networkTopology=hard)
        first = await cluster.until_bound("job", 3)
    home = {int(node[1:]) // 2 for node in first.values()}
    async with cluster.scheduler():
        await cluster.user.delete(POD, "job-0", "default", grace_seconds=0)
        await cluster.pod("job-9", "job", "2")
        again = await cluster.until_bound("job-9", 1)
    assert {int(again["job-9"][1:]) // 2} == home


async def test_sub_groups_are_cut_by_labels_that_nobody_has_asked_for_before(cluster):
    await eight_nodes(cluster)
    policy = {
        "name": "team",
        "subGroupSize": 2,
        "matchLabelKeys": ["example.com/team"],
        "networkTopology": {"mode": "hard", "highestTierAllowed": 1},
    }
    async with cluster.scheduler():
        for index in range(8):
            await _labelled(cluster, f"job-{index}", {"example.com/team": f"t{index % 4}"})
        await anyio.sleep(0.1)
        await cluster.group("job", 8, subGroupPolicy=[policy])
        bound = await cluster.until_bound("job", 8)
    for team in range(4):
        assert len({int(bound[f"job-{index}"][1:]) // 2 for index in (team, team + 4)}) == 1


async def _labelled(cluster, name, labels):
    container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": "4"}}}
    notes = {"scheduling.k8s.io/group-name": "job"}
    meta = {"name": name, "annotations": notes, "labels": labels}
    spec = {"schedulerName": "volcano", "containers": [container]}
    await cluster.user.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "default")


async def test_hypernodes_say_how_many_nodes_they_have_and_what_is_wrong_with_them(cluster):
    await eight_nodes(cluster)
    await hyper_node(cluster, "odd", 2, "s0", kind="HyperNode")

    async def said():
        nodes = {each.metadata.name: each for each in await cluster.user.list(HYPER_NODE)}
        counts = {name: each.status.node_count for name, each in nodes.items()}
        troubled = {name: each.status.conditions for name, each in nodes.items() if each.status.conditions}
        return troubled if counts == {"s0": 2, "s1": 2, "s2": 2, "s3": 2, "s4": 2, "s5": 4, "odd": 0} else None

    async with cluster.scheduler():
        troubled = await cluster.until(said)
        assert list(troubled) == ["s0"]
        assert troubled["s0"][0].type == "Sound"
        assert "several HyperNodes (odd and s4)" in troubled["s0"][0].message
        await cluster.user.delete(HYPER_NODE, "odd")

        async def mended():
            node = await cluster.user.get(HYPER_NODE, "s4")
            return node.status.node_count == 4

        await cluster.until(mended)


async def test_a_contradiction_is_said_on_the_group_and_hurts_nobody_else(cluster):
    await eight_nodes(cluster)
    both = {"mode": "hard", "highestTierAllowed": 1, "highestTierName": "rack"}
    async with cluster.scheduler():
        await cluster.group("bad", 1)
        cluster.tamper(POD_GROUP, "default", "bad", lambda group: group["spec"].update(networkTopology=both))
        await gang(cluster, "good", 2, "2")
        await cluster.until_bound("good", 2)
        assert (await cluster.until_condition("bad", "Unschedulable")).reason == "InvalidSpec"


@pytest.mark.parametrize("served", [False, True])
async def test_a_cluster_that_serves_no_hypernodes_schedules_all_the_same(served):
    async with ApiServer(tls=False) as server:
        for crd in crds():
            if served or crd["spec"]["names"]["kind"] != "HyperNode":
                await server.install(crd)
        config = await from_kubeconfig(server.kubeconfig())
        async with Client(config, component="user") as user:
            cluster = Cluster(server, config, user)
            await cluster.node("n0")
            async with cluster.scheduler():
                await gang(cluster, "plain", 2, "1")
                await cluster.until_bound("plain", 2)
                await gang(cluster, "near", 2, "1", networkTopology={"mode": "hard", "highestTierAllowed": 1})
                reason = await cluster.until_condition("near", "Unschedulable")
                assert "there is none with nodes" in reason.message
