"""Over real HTTP: pods behind their queue's gate are bound, shown when only nodes are missing, and hidden otherwise."""

import anyio

from flowbatch.api.kinds import QUEUE
from flowbatch.api.names import QUEUE_ALLOCATION_GATE

GATED = {"schedulingGates": [{"name": QUEUE_ALLOCATION_GATE}]}


async def gates(cluster, name):
    return [each.name for each in (await cluster.pods())[name].spec.scheduling_gates]


async def queue(cluster, name, cpu):
    body = {"apiVersion": QUEUE.api_version, "kind": "Queue", "metadata": {"name": name}}
    await cluster.user.create(QUEUE, {**body, "spec": {"capability": {"cpu": cpu}}})


async def told_without_a_place(cluster, name):
    conditions = (await cluster.pods())[name].status.conditions
    return any(each.reason == "Unschedulable" for each in conditions)


async def test_a_gated_gang_is_bound_in_one_go(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.group("g", 2)
        for index in range(2):
            await cluster.pod(f"g-{index}", "g", **GATED)
        await cluster.until_bound("g-", 2)
        assert await gates(cluster, "g-0") == []
        assert cluster.requests("patch", "pods") == 2


async def test_who_waits_for_nodes_is_shown_and_who_waits_for_the_queue_is_not(cluster):
    await cluster.node("n0", cpu="4")
    await queue(cluster, "small", "2")
    async with cluster.scheduler():
        await cluster.group("nodes", 1)
        await cluster.pod("nodes-0", "nodes", cpu="8", **GATED)
        await cluster.group("full", 1, queue="small")
        await cluster.pod("full-0", "full", cpu="3", **GATED)

        async def shown():
            return await gates(cluster, "nodes-0") == [] and await told_without_a_place(cluster, "nodes-0")

        await cluster.until(shown)
        await cluster.until_condition("full", "Unschedulable")
        await anyio.sleep(0.3)
        assert await gates(cluster, "full-0") == [QUEUE_ALLOCATION_GATE]
        assert not await told_without_a_place(cluster, "full-0")
        await cluster.user.patch(QUEUE, "small", {"spec": {"capability": {"cpu": "4"}}})
        assert await cluster.until_bound("full-", 1) == {"full-0": "n0"}


async def test_other_gates_are_somebody_elses(cluster):
    await cluster.node("n0", cpu="4")
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", cpu="8", schedulingGates=[*GATED["schedulingGates"], {"name": "other"}])
        await cluster.until_condition("g", "Unschedulable")
        await anyio.sleep(0.3)
        assert await gates(cluster, "g-0") == [QUEUE_ALLOCATION_GATE, "other"]


async def test_who_waited_for_the_queue_first_is_shown_when_nodes_are_what_is_missing(cluster):
    await cluster.node("n0", cpu="2")
    await queue(cluster, "small", "2")
    async with cluster.scheduler():
        await cluster.group("g", 1, queue="small")
        await cluster.pod("g-0", "g", cpu="3", **GATED)
        await cluster.until_condition("g", "Unschedulable")
        # Long enough for pods to have been told, if they were.
        await anyio.sleep(0.5)
        assert await gates(cluster, "g-0") == [QUEUE_ALLOCATION_GATE]
        await cluster.user.patch(QUEUE, "small", {"spec": {"capability": {"cpu": "4"}}})

        async def shown():
            return await gates(cluster, "g-0") == [] and await told_without_a_place(cluster, "g-0")

        await cluster.until(shown)
