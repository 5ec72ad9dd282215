"""Over real HTTP: HyperNodes follow the labels of nodes, in few writes, and come back when somebody deletes them."""

import pytest

from flowbatch.api.kinds import HYPER_NODE, NODE
from flowbatch.workload.discovery import SOURCE, TopologyType

FABRIC = (TopologyType("fabric", ("leaf", "spine")),)


@pytest.fixture
async def fabric(world):
    for index in range(4):
        await node(world, f"n{index}", leaf=f"l{index // 2}", spine="s0")
    await world.start(discovery=FABRIC, discovery_settle_s=0.01)
    return world


async def node(world, name, **labels):
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    await world.client.create(NODE, manifest)


async def tree(world):
    found = {each.metadata.name: each for each in await world.client.list(HYPER_NODE)}
    values = {name: next(v for k, v in each.metadata.labels.items() if k != SOURCE) for name, each in found.items()}
    return {
        values[name]: sorted(
            values.get(member.selector.exact_match.name, member.selector.exact_match.name)
            for member in each.spec.members
        )
        for name, each in found.items()
    }


def written(world):
    return sum(count for key, count in world.requests().items() if "hypernodes" in key and key.split()[0] != "list")


async def until_tree(world, expected):
    async def same():
        return await tree(world) == expected

    await world.until(same, f"the tree {expected}")


async def test_the_tree_is_made_and_follows_the_labels(fabric):
    await until_tree(fabric, {"l0": ["n0", "n1"], "l1": ["n2", "n3"], "s0": ["l0", "l1"]})
    assert written(fabric) == 3
    await fabric.client.patch(NODE, "n3", {"metadata": {"labels": {"leaf": "l2"}}})
    await until_tree(fabric, {"l0": ["n0", "n1"], "l1": ["n2"], "l2": ["n3"], "s0": ["l0", "l1", "l2"]})
    assert written(fabric) == 6
    await fabric.client.delete(NODE, "n3")
    await until_tree(fabric, {"l0": ["n0", "n1"], "l1": ["n2"], "s0": ["l0", "l1"]})


async def test_what_does_not_matter_is_not_written(fabric):
    await until_tree(fabric, {"l0": ["n0", "n1"], "l1": ["n2", "n3"], "s0": ["l0", "l1"]})
    before = written(fabric)
    await fabric.client.patch(NODE, "n3", {"metadata": {"labels": {"other": "x"}}})
    await fabric.settled()
    assert written(fabric) == before


async def test_one_that_is_deleted_or_changed_by_hand_is_mended(fabric):
    whole = {"l0": ["n0", "n1"], "l1": ["n2", "n3"], "s0": ["l0", "l1"]}
    await until_tree(fabric, whole)
    first = next(each for each in await fabric.client.list(HYPER_NODE) if each.metadata.labels.get("leaf") == "l0")
    await fabric.client.delete(HYPER_NODE, first.metadata.name)
    await until_tree(fabric, whole)
    await fabric.client.patch(HYPER_NODE, first.metadata.name, {"spec": {"tier": 3}})

    async def mended():
        return (await fabric.client.get(HYPER_NODE, first.metadata.name)).spec.tier == 1

    await fabric.until(mended, "its tier")


async def test_hyper_nodes_of_others_are_theirs_and_a_restart_writes_nothing(fabric):
    whole = {"l0": ["n0", "n1"], "l1": ["n2", "n3"], "s0": ["l0", "l1"]}
    await until_tree(fabric, whole)
    await fabric.kill()
    members = [{"type": "Node", "selector": {"exactMatch": {"name": "n0"}}}]
    theirs = {
        "apiVersion": HYPER_NODE.api_version,
        "kind": "HyperNode",
        "metadata": {"name": "theirs", "labels": {"leaf": "l9", "by": "hand"}},
        "spec": {"tier": 1, "members": members},
    }
    await fabric.client.create(HYPER_NODE, theirs)
    before = written(fabric)
    await fabric.start(discovery=FABRIC, discovery_settle_s=0.01)
    await fabric.settled()
    assert written(fabric) == before
    assert (await fabric.client.get(HYPER_NODE, "theirs")).spec.tier == 1


async def test_without_discovery_nodes_are_not_even_watched(world):
    controllers = await world.start()
    assert "hypernode" not in controllers.running
    assert not controllers.caches.nodes.synced
