"""Over real HTTP: claims are made from templates, given devices before their pods are bound, and given back."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import msgspec
import pytest

from flowbatch.api.kinds import DEVICE_CLASS, NODE, QUEUE, RESOURCE_CLAIM, RESOURCE_CLAIM_TEMPLATE, RESOURCE_SLICE
from flowbatch.embedded.controllers import EmbeddedControllers
from flowbatch.embedded.faults import Fault, Rule, Rules
from flowbatch.engine.decisions import Step
from flowbatch.policy.deviceclaims import DevicesGiven
from flowbatch.scheduler.claimwrites import ClaimWrites
from flowbatch.scheduler.requests import NoSuchStep
from tests.embedded.scheduler.conftest import Cluster

DRIVER = "gpu.example"
PROTECTION = "resource.kubernetes.io/delete-protection"
IS_OURS = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}


@pytest.fixture(autouse=True)
async def controllers(cluster: Cluster) -> AsyncIterator[None]:
    task = asyncio.create_task(EmbeddedControllers(cluster.server).run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def device_class(cluster, name="gpu", **spec):
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": name}}
    await cluster.user.create(DEVICE_CLASS, {**body, "spec": {"selectors": [IS_OURS], **spec}})


async def pool(cluster, node, count=2, **attributes):
    devices = [
        {
            "name": f"gpu-{index}",
            "attributes": {"index": {"int": index}, **attributes},
            "capacity": {"memory": {"value": "40Gi"}},
        }
        for index in range(count)
    ]
    where = {"nodeName": node} if node else {"allNodes": True}
    body = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"slice-{node or 'all'}"},
        "spec": {
            "driver": DRIVER,
            "pool": {"name": node or "all", "generation": 1, "resourceSliceCount": 1},
            "devices": devices,
            **where,
        },
    }
    await cluster.user.create(RESOURCE_SLICE, body)


def wanting(count=1, **exactly):
    return {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "count": count, **exactly}}]}}


async def template(cluster, spec, name="one"):
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": name}}
    await cluster.user.create(RESOURCE_CLAIM_TEMPLATE, {**body, "spec": {"spec": spec}}, "default")


async def shared_claim(cluster, name, spec):
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": name}}
    await cluster.user.create(RESOURCE_CLAIM, {**body, "spec": spec}, "default")


OWN = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}]}


def using(claim):
    return {"resourceClaims": [{"name": "gpu", "resourceClaimName": claim}]}


async def claims(cluster):
    return {claim.metadata.name: claim for claim in await cluster.user.list(RESOURCE_CLAIM)}


def names(claim):
    allocation = claim.status.allocation
    return [f"{each.pool}/{each.device}" for each in allocation.devices.results] if allocation else []


async def test_pods_get_claims_from_a_template_and_devices_with_their_nodes(cluster):
    for node in ("n0", "n1"):
        await cluster.node(node, cpu="8")
    await pool(cluster, "n1", 3)
    async with cluster.scheduler():
        await cluster.group("g", 3)
        for index in range(3):
            await cluster.pod(f"g-{index}", "g", **OWN)
        told = await cluster.until_condition("g", "Unschedulable")
        assert 'resourceclaimtemplate "one" not found' in told.message
        await template(cluster, wanting())

        async def classless():
            told = await cluster.until_condition("g", "Unschedulable")
            return 'device class "gpu" does not exist' in told.message

        await cluster.until(classless)
        await device_class(cluster, config=[{"opaque": {"driver": DRIVER, "parameters": {"mode": "fast"}}}])
        assert await cluster.until_bound("g-", 3) == {f"g-{index}": "n1" for index in range(3)}
        found = list((await claims(cluster)).values())
        assert sorted(each for claim in found for each in names(claim)) == ["n1/gpu-0", "n1/gpu-1", "n1/gpu-2"]
        assert all(PROTECTION in claim.metadata.finalizers for claim in found)
        pods = await cluster.pods()
        for claim in found:
            (user,) = claim.status.reserved_for
            assert user.uid == pods[user.name].metadata.uid == claim.metadata.owner_references[0].uid
        stored = cluster.server.rest.collection(
            cluster.server.registry.of_kind("resource.k8s.io/v1", "ResourceClaim")
        ).entries.values()
        allocation = next(iter(stored)).obj["status"]["allocation"]
        assert allocation["devices"]["config"] == [
            {"source": "FromClass", "opaque": {"driver": DRIVER, "parameters": {"mode": "fast"}}}
        ]
        field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
        assert allocation["nodeSelector"] == {"nodeSelectorTerms": [{"matchFields": [field]}]}


async def test_devices_of_a_pod_that_ended_start_who_waits_for_them(cluster):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 2)
    await template(cluster, wanting(2))
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **OWN)
        await cluster.until_bound("g-", 1)
        await cluster.group("h", 1)
        await cluster.pod("h-0", "h", **OWN)
        told = await cluster.until_condition("h", "Unschedulable")
        assert "1 node(s) didn't have free devices for 2 of class gpu (most: 0)" in told.message
        await cluster.finish("g-0")
        assert await cluster.until_bound("h-", 1) == {"h-0": "n0"}
        found = await claims(cluster)
        assert [name.rpartition("-")[0] for name in found] == ["h-0-gpu"]


async def test_a_shared_claim_is_given_once_and_all_its_pods_are_reserved_for(cluster):
    for node in ("n0", "n1"):
        await cluster.node(node, cpu="8")
        await pool(cluster, node, 1)
    await device_class(cluster)
    await shared_claim(cluster, "data", wanting())
    async with cluster.scheduler():
        await cluster.group("g", 4)
        for index in range(4):
            await cluster.pod(f"g-{index}", "g", **using("data"))
        nodes = await cluster.until_bound("g-", 4)
        assert len(set(nodes.values())) == 1
        claim = (await claims(cluster))["data"]
        assert sorted(each.name for each in claim.status.reserved_for) == ["g-0", "g-1", "g-2", "g-3"]
        assert names(claim) == [f"{nodes['g-0']}/gpu-0"]
        for index in range(4):
            await cluster.finish(f"g-{index}")

        async def given_back():
            claim = (await claims(cluster))["data"]
            return claim.status.allocation is None and not claim.metadata.finalizers

        await cluster.until(given_back)


async def test_a_restarted_scheduler_gives_nothing_twice(cluster):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 2)
    await template(cluster, wanting())
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **OWN)
        await cluster.until_bound("g-", 1)
    async with cluster.scheduler():
        await cluster.group("h", 1)
        await cluster.pod("h-0", "h", **OWN)
        await cluster.until_bound("h-", 1)
    assert sorted(each for claim in (await claims(cluster)).values() for each in names(claim)) == [
        "n0/gpu-0",
        "n0/gpu-1",
    ]


async def test_selectors_are_evaluated_on_attributes_and_capacity(cluster):
    for node, model in (("n0", "small"), ("n1", "large")):
        await cluster.node(node, cpu="8")
        await pool(cluster, node, 2, model={"string": model})
    await device_class(cluster)
    wants = [
        {"cel": {"expression": f'device.attributes["{DRIVER}"].model == "large"'}},
        {"cel": {"expression": f'device.capacity["{DRIVER}"].memory.compareTo(quantity("39Gi")) > 0'}},
        {"cel": {"expression": f'device.attributes["{DRIVER}"].index > 0'}},
    ]
    await template(cluster, wanting(selectors=wants))
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **OWN)
        assert await cluster.until_bound("g-", 1) == {"g-0": "n1"}
        assert [names(claim) for claim in (await claims(cluster)).values()] == [["n1/gpu-1"]]


async def test_a_claim_that_cannot_be_given_says_so_on_the_group(cluster):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 2)
    await template(cluster, wanting(selectors=[{"cel": {"expression": "device.driver =="}}]))
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **OWN)
        told = await cluster.until_condition("g", "Unschedulable")
        assert 'request "r": selector does not compile' in told.message


async def test_what_was_given_is_taken_back_when_the_binding_cannot_go_on(cluster):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 2)
    await shared_claim(cluster, "a", wanting())
    await shared_claim(cluster, "b", wanting())
    async with cluster.scheduler() as scheduler:
        claim_writes = scheduler.dispatch.bindings.claim_writes
        allowed, do = anyio.Event(), claim_writes.do

        async def failing(step):
            if step.name == "default/b" and not allowed.is_set():
                raise NoSuchStep("not now")
            await do(step)

        claim_writes.do = failing
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", resourceClaims=[{"name": n, "resourceClaimName": n} for n in ("a", "b")])

        async def back():
            found = await claims(cluster)
            writes = cluster.requests("patch", "resourceclaims/status")
            free = all(each.status.allocation is None and not each.metadata.finalizers for each in found.values())
            return writes >= 2 and free

        await cluster.until(back)
        assert await cluster.bound("g-") == {}
        allowed.set()
        await cluster.until_bound("g-", 1, timeout_s=30)


LOST = Rule(fault=Fault("drop_reply"), point="reply", verb="patch", resource="resourceclaims", subresource="status")
UNHEARD = Rule(fault=Fault("drop_request"), verb="patch", resource="resourceclaims", subresource="status")
BROKEN = Rule(fault=Fault("status", code=500), verb="patch", resource="resourceclaims", subresource="status", times=2)


@pytest.mark.parametrize("rule", [LOST, UNHEARD, BROKEN])
async def test_an_allocation_whose_answer_is_lost_is_written_again(cluster, rule):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 1)
    await template(cluster, wanting())
    rules = cluster.server.rule = Rules([rule])
    async with cluster.scheduler() as scheduler:
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **OWN)
        await cluster.until_bound("g-", 1)
        (claim,) = (await claims(cluster)).values()
        assert (bool(rules.fired), names(claim), len(claim.status.reserved_for)) == (True, ["n0/gpu-0"], 1)
        # Nobody had to decide again for that.
        assert scheduler.cycles.engine.counters.binds == 1


async def test_a_claim_is_two_writes_besides_the_binding(cluster):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 4)
    await template(cluster, wanting())
    async with cluster.scheduler():
        await cluster.group("g", 4)
        for index in range(4):
            await cluster.pod(f"g-{index}", "g", **OWN)
        await cluster.until_bound("g-", 4)
        assert cluster.requests("patch", "resourceclaims") == 4
        assert cluster.requests("patch", "resourceclaims/status") == 4
        assert cluster.requests("get", "resourceclaims") == 0


async def test_devices_on_a_node_that_went_are_taken_back_and_the_pod_goes_elsewhere(cluster):
    for node in ("n0", "n1"):
        await cluster.node(node, cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 1)
    await template(cluster, wanting())
    # Devices are given, and then nothing is bound any more.
    cluster.server.rule = Rules(
        [Rule(fault=Fault("status", code=503), verb="create", resource="pods", subresource="binding", times=0)]
    )
    async with cluster.scheduler():
        await cluster.group("g", 1)
        await cluster.pod("g-0", "g", **OWN)

        async def allocated():
            return [claim for claim in (await claims(cluster)).values() if names(claim)]

        await cluster.until(allocated)
    await cluster.user.delete(NODE, "n0")
    await cluster.user.delete(RESOURCE_SLICE, "slice-n0")
    await pool(cluster, "n1", 1)
    cluster.server.rule = None
    async with cluster.scheduler():
        assert await cluster.until_bound("g-", 1, timeout_s=30) == {"g-0": "n1"}
        assert [names(claim) for claim in (await claims(cluster)).values()] == [["n1/gpu-0"]]


async def test_a_queue_counts_devices_of_a_class_and_says_how_many_it_holds(cluster):
    await cluster.node("n0", cpu="8")
    await device_class(cluster)
    await pool(cluster, "n0", 4)
    await template(cluster, wanting(2))
    body = {"apiVersion": QUEUE.api_version, "kind": "Queue", "metadata": {"name": "q"}}
    await cluster.user.create(QUEUE, {**body, "spec": {"capability": {"deviceclass/gpu": "3"}}})
    async with cluster.scheduler():
        await cluster.group("g", 1, queue="q")
        await cluster.pod("g-0", "g", **OWN)
        await cluster.until_bound("g-", 1)
        await cluster.group("h", 1, queue="q")
        await cluster.pod("h-0", "h", **OWN)
        told = await cluster.until_condition("h", "Unschedulable")
        assert 'short 1 deviceclass/gpu in queue "q" (capability; it holds 2 deviceclass/gpu)' in told.message

        async def allocated():
            return (await cluster.user.get(QUEUE, "q")).status.allocated.get("deviceclass/gpu")

        assert await cluster.until(allocated) == "2"
        await cluster.finish("g-0")
        await cluster.until_bound("h-", 1)


async def test_a_step_for_a_claim_that_only_its_pod_has_named_is_written_to_the_one_of_that_name(cluster):
    await shared_claim(cluster, "data", wanting())
    await cluster.pod("p", **using("data"))
    writes, uid = ClaimWrites(cluster.user), (await cluster.pods())["p"].metadata.uid
    said = DevicesGiven("default/data", "", "p", uid, (("r", DRIVER, "n0", "gpu-0"),))
    step = Step("devices", "default/data", msgspec.json.encode(said).decode())
    await writes.do(step)
    assert names((await claims(cluster))["data"]) == ["n0/gpu-0"]
    await writes.take_back([step])
    claim = (await claims(cluster))["data"]
    assert (claim.status.allocation, claim.metadata.finalizers) == (None, ())
    elsewhere = msgspec.structs.replace(said, elsewhere=True)
    with pytest.raises(NoSuchStep, match="does not reach"):
        await writes.do(Step("devices", "x", msgspec.json.encode(elsewhere).decode()))
    gone = msgspec.structs.replace(said, uid="another")
    with pytest.raises(NoSuchStep, match="is gone"):
        await writes.do(Step("devices", "x", msgspec.json.encode(gone).decode()))
