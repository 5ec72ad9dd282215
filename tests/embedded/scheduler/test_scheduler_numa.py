"""Over real HTTP: a Numatopology is served and heard, a pod hears which cpus it has, a new scheduler reads it there."""

import json
from functools import partial

from flowbatch.api.kinds import NUMATOPOLOGY, Kind
from flowbatch.api.nodeinfo import Numatopology
from flowbatch.engine.engine import Engine
from flowbatch.policy.volcano import read_volcano

DECISION = "volcano.sh/topology-decision"
PLUGINS = ("priority", "gang", "conformance", "predicates", "proportion", "nodeorder", "binpack")
AWARE = read_volcano(
    {
        "actions": "enqueue, allocate, backfill",
        "tiers": [
            {"plugins": [{"name": name} for name in PLUGINS]},
            {"plugins": [{"name": "numa-aware", "arguments": {"weight": "10"}}]},
        ],
    }
)
CRD = Kind(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    Numatopology,
    namespaced=False,
)
MAKE = partial(Engine, AWARE, validate=True)


def numatopology(name, policy="single-numa-node", free="0-7", **spec):
    detail = {str(cpu): {"numa": cpu // 4, "socket": cpu // 4, "core": cpu // 2} for cpu in range(8)}
    return {
        "apiVersion": NUMATOPOLOGY.api_version,
        "kind": "Numatopology",
        "metadata": {"name": name},
        "spec": {
            "policies": {"CPUManagerPolicy": "static", "TopologyManagerPolicy": policy},
            "numares": {"cpu": {"allocatable": free, "capacity": 8}},
            "cpuDetail": detail,
            **spec,
        },
    }


async def numa_node(cluster, name, policy="single-numa-node"):
    await cluster.node(name, cpu="8")
    await cluster.user.create(NUMATOPOLOGY, numatopology(name, policy))


async def guaranteed(cluster, name, group, cpu, policy=""):
    asked = {"cpu": str(cpu), "memory": "1Gi"}
    container = {"name": "main", "image": "x", "resources": {"requests": asked, "limits": asked}}
    notes = {"volcano.sh/numa-topology-policy": policy} if policy else {}
    await cluster.pod(name, group, containers=[container], annotations=notes)


def decision_of(pod):
    return json.loads(pod.metadata.annotations[DECISION])


async def test_the_pod_knows_its_cpus_and_so_does_the_next_scheduler(cluster):
    await numa_node(cluster, "n0")
    await cluster.group("a", 1)
    async with cluster.scheduler(make=MAKE):
        await guaranteed(cluster, "a-0", "a", 3, "single-numa-node")
        await cluster.until_bound("a-", 1, timeout_s=30)
    assert decision_of((await cluster.pods())["a-0"]) == {"numa": {"0": {"cpu": "3"}}, "cpus": "0-2"}
    await cluster.group("b", 1)
    await cluster.group("c", 1)
    async with cluster.scheduler(make=MAKE):
        await guaranteed(cluster, "b-0", "b", 3)
        await cluster.until_bound("b-", 1, timeout_s=30)
        await guaranteed(cluster, "c-0", "c", 2)
        await cluster.until(partial(says, cluster, "c", "couldn't align 2 exclusive cpus"), timeout_s=30)
        # The kubelet tells of the first, which has ended meanwhile.
        await cluster.finish("a-0")
        await cluster.until_bound("c-", 1, timeout_s=30)
    pods = await cluster.pods()
    assert decision_of(pods["b-0"])["cpus"] == "4-6"
    assert decision_of(pods["c-0"])["cpus"] == "0-1"


async def says(cluster, name, words):
    group = await cluster.see_group(name)
    return any(words in each.message for each in group.status.conditions)


async def test_what_a_kubelet_frees_is_heard(cluster):
    await numa_node(cluster, "n0", "restricted")
    await cluster.user.patch(NUMATOPOLOGY, "n0", {"spec": {"numares": {"cpu": {"allocatable": "0,4"}}}})
    await cluster.group("g", 1)
    async with cluster.scheduler(make=MAKE):
        await guaranteed(cluster, "g-0", "g", 2, "restricted")
        await cluster.until(
            partial(says, cluster, "g", "couldn't align 2 exclusive cpus under restricted"), timeout_s=30
        )
        assert not await cluster.bound("g-")
        await cluster.user.patch(NUMATOPOLOGY, "n0", {"spec": {"numares": {"cpu": {"allocatable": "0,4-5"}}}})
        await cluster.until_bound("g-", 1, timeout_s=30)
    assert decision_of((await cluster.pods())["g-0"]) == {"numa": {"1": {"cpu": "2"}}, "cpus": "4-5"}


async def test_a_policy_that_no_node_has_is_waited_for(cluster):
    await numa_node(cluster, "n0", "best-effort")
    await cluster.node("n1", cpu="8")
    await cluster.group("g", 1)
    async with cluster.scheduler(make=MAKE):
        await guaranteed(cluster, "g-0", "g", 2, "single-numa-node")
        await cluster.until(partial(says, cluster, "g", "policy best-effort, not single-numa-node"), timeout_s=30)
        assert await says(cluster, "g", "1 node(s) didn't report their NUMA topology")
        await cluster.user.create(NUMATOPOLOGY, numatopology("n1"))
        assert await cluster.until_bound("g-", 1, timeout_s=30) == {"g-0": "n1"}


async def test_an_api_server_without_the_kind_is_done_without(cluster):
    await cluster.user.delete(CRD, "numatopologies.nodeinfo.volcano.sh")
    await cluster.node("n0", cpu="8")
    await cluster.group("g", 1)
    async with cluster.scheduler(make=MAKE):
        await guaranteed(cluster, "g-0", "g", 2)
        await cluster.until_bound("g-", 1, timeout_s=30)
    assert DECISION not in (await cluster.pods())["g-0"].metadata.annotations
