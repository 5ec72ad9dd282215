"""Over real HTTP: do gangs bind whole or wait whole, say why, and cost few requests?"""

from dataclasses import replace

import anyio
import pytest

from flowbatch.api.kinds import NODE, POD, POD_GROUP, PRIORITY_CLASS, QUEUE
from flowbatch.embedded.nodes import NodeSpecification, SimulatedNodes
from flowbatch.engine.replay import Cycled, replay
from flowbatch.scheduler.journal import read_journal
from tests.embedded.scheduler.conftest import BRISK


async def test_a_gang_binds_whole_with_few_requests(cluster):
    for index in range(4):
        await cluster.node(f"n{index}")
    async with cluster.scheduler():
        await cluster.group("mpi", 10)
        await cluster.until_phase("mpi", "Inqueue")
        for index in range(10):
            await cluster.pod(f"mpi-{index}", "mpi")
        await cluster.until_bound("mpi", 10)
        group = await cluster.until_phase("mpi", "Running")
    assert [each.type for each in group.status.conditions] == ["Scheduled"]
    assert cluster.accepted_bindings() == 10
    assert cluster.requests("create", "pods/binding") == 10
    assert cluster.requests("patch", "podgroups") == 2


async def test_pods_that_arrive_before_the_scheduler_and_before_their_gang_bind_too(cluster):
    for index in range(3):
        await cluster.pod(f"early-{index}", "early")
    async with cluster.scheduler():
        await cluster.group("early", 3)
        await anyio.sleep(0.05)
        assert await cluster.bound() == {}
        await cluster.node("n0")
        assert await cluster.until_bound("early", 3) == dict.fromkeys(["early-0", "early-1", "early-2"], "n0")


async def test_a_gang_that_does_not_fit_waits_whole_and_says_numbers(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.gang("big", 6)
        reason = await cluster.until_condition("big", "Unschedulable")
        assert reason.status == "True"
        assert "6" in reason.message
        assert reason.transition_id.startswith("test-")
        assert await cluster.bound() == {}
        await cluster.node("n1")
        await cluster.until_bound("big", 6)
        group = await cluster.until_phase("big", "Running")
        assert [each.type for each in group.status.conditions] == ["Scheduled"]


async def test_pods_of_a_waiting_gang_say_why_too(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.gang("big", 6)

        async def told():
            conditions = [each for pod in (await cluster.pods()).values() for each in pod.status.conditions]
            return [each for each in conditions if each.type == "PodScheduled" and each.status == "False"]

        conditions = await cluster.until(told)
        assert conditions[0].reason == "Unschedulable"
        assert conditions[0].message
        await anyio.sleep(0.5)
        assert cluster.requests("patch", "pods/status") <= 6


async def test_room_that_is_freed_wakes_the_gang_that_waits_for_it(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.gang("first", 4)
        await cluster.until_bound("first", 4)
        await cluster.gang("second", 3)
        await anyio.sleep(0.1)
        assert await cluster.bound("second") == {}
        for index in range(3):
            await cluster.finish(f"first-{index}")
        await cluster.until_bound("second", 3)


async def test_pods_of_other_schedulers_take_up_their_nodes(cluster):
    await cluster.node("n0")
    await cluster.pod("foreign", cpu="3", scheduler="default-scheduler", nodeName="n0")
    async with cluster.scheduler():
        await cluster.gang("ours", 2)
        await anyio.sleep(0.2)
        assert await cluster.bound("ours") == {}
        await cluster.user.delete(POD, "foreign", "default", grace_seconds=0)
        await cluster.until_bound("ours", 2)


async def test_the_standing_queues_are_made_once_and_left_alone(cluster):
    async with cluster.scheduler():
        await cluster.until(lambda: _queue_names(cluster))
    await cluster.user.patch(QUEUE, "default", {"spec": {"weight": 7}})
    async with cluster.scheduler():
        await anyio.sleep(0.2)
    queues = {each.metadata.name: each.spec for each in await cluster.user.list(QUEUE)}
    assert (queues["default"].weight, queues["default"].reclaimable, queues["root"].reclaimable) == (7, True, False)


async def _queue_names(cluster):
    names = sorted(each.metadata.name for each in await cluster.user.list(QUEUE))
    return names if names == ["default", "root"] else None


async def test_a_queue_says_what_it_has_allocated(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.gang("g", 2)
        await cluster.until_bound("g", 2)

        async def allocated():
            queue = await cluster.user.get(QUEUE, "default")
            return str(queue.status.allocated.get("cpu")) == "2"

        await cluster.until(allocated)


async def test_a_higher_class_goes_first(cluster):
    await cluster.user.create(
        PRIORITY_CLASS,
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "urgent"}, "value": 1000},
    )
    await cluster.gang("low", 4)
    await cluster.group("high", 4, priorityClassName="urgent")
    for index in range(4):
        await cluster.pod(f"high-{index}", "high")
    async with cluster.scheduler():
        await anyio.sleep(0.2)
        await cluster.node("n0")
        await cluster.until_bound("high", 4)
        assert await cluster.bound("low") == {}


async def test_a_gang_whose_minimum_is_met_takes_the_rest_as_room_comes(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.gang("elastic", 6, minimum=3)
        await cluster.until_bound("elastic", 4)
        await anyio.sleep(0.1)
        assert len(await cluster.bound("elastic")) == 4
        await cluster.node("n1")
        await cluster.until_bound("elastic", 6)


ENDS = {"flowbatch.dev/sim-run-seconds": "1"}


async def test_counts_follow_pods_that_run_and_end_with_few_writes(cluster):
    nodes = [NodeSpecification(name=f"sim-{index}", cpu="4", memory="8Gi") for index in range(3)]
    async with cluster.scheduler(), anyio.create_task_group() as tasks:
        tasks.start_soon(SimulatedNodes(cluster.user, nodes).run)
        await cluster.group("mpi", 10)
        for index in range(10):
            await cluster.pod(f"mpi-{index}", "mpi", restartPolicy="Never", annotations=ENDS)

        async def runs():
            status = (await cluster.see_group("mpi")).status
            return status if status.running == 10 else None

        async def ended():
            status = (await cluster.see_group("mpi")).status
            return status if status.succeeded == 10 else None

        assert (await cluster.until(runs)).phase == "Running"
        assert (await cluster.until(ended)).running == 0
        tasks.cancel_scope.cancel()
    assert cluster.requests("patch", "podgroups") <= 5


@pytest.mark.parametrize("kind", ["pod", "node", "group"])
async def test_an_unreadable_object_hurts_nobody_else(cluster, kind):
    await cluster.node("n0")
    async with cluster.scheduler() as scheduler:
        await _poison(cluster, kind)
        await cluster.gang("sound", 4)
        await cluster.until_bound("sound", 4)
        assert len(scheduler.feed.poisoned) == 1
        if kind == "group":
            assert (await cluster.until_condition("bad", "Unschedulable")).reason == "InvalidSpec"


async def _poison(cluster, kind):
    """Put something in the store that no API server would accept: it came from an older version, or by hand."""
    if kind == "group":
        await cluster.group("bad", 1)
        bad = {"metadata": {"annotations": {"flowbatch.dev/declared-tasks": "{"}}}
        await cluster.user.patch(POD_GROUP, "bad", bad, "default")
    elif kind == "node":
        await cluster.node("bad")
        cluster.tamper(NODE, "", "bad", lambda node: node["status"]["allocatable"].update(cpu="4 cores"))
    else:
        await cluster.group("lame", 1)
        await cluster.pod("lame-0", "lame")
        requests = {"requests": {"cpu": "some"}}
        cluster.tamper(POD, "default", "lame-0", lambda pod: pod["spec"]["containers"][0].update(resources=requests))


async def test_at_rest_there_are_no_requests_and_no_cycles(cluster):
    for index in range(3):
        await cluster.node(f"n{index}")
    async with cluster.scheduler() as scheduler:
        await cluster.gang("runs", 4)
        await cluster.gang("waits", 40)
        await cluster.until_bound("runs", 4)
        await anyio.sleep(1.5)
        cycles, requests = scheduler.cycles.cycles, cluster.requests()
        await _stir(cluster)
        await anyio.sleep(1.5)
        assert (scheduler.cycles.cycles, cluster.requests()) == (cycles, requests)


async def _stir(cluster):
    """Change what schedulers do not read: a heartbeat, another condition, an address."""
    ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    pressure = {"type": "MemoryPressure", "status": "False"}
    await cluster.user.patch(NODE, "n0", {"status": {"conditions": [ready]}}, subresource="status")
    await cluster.user.patch(NODE, "n0", {"status": {"conditions": [ready, pressure]}}, subresource="status")
    await cluster.user.patch(POD, "runs-0", {"status": {"podIP": "10.0.0.1"}}, "default", subresource="status")


async def test_a_new_scheduler_finds_nothing_to_write_where_nothing_has_changed(cluster):
    await cluster.node("n0")
    async with cluster.scheduler():
        await cluster.gang("runs", 3)
        await cluster.gang("waits", 9)
        await cluster.until_phase("runs", "Running")
        await cluster.until_condition("waits", "Unschedulable")
        await anyio.sleep(1.0)
    async with cluster.scheduler(component="successor"):
        await anyio.sleep(1.5)
    assert [cluster.requests(verb, component="successor") for verb in ("create", "patch", "update", "delete")] == [
        0
    ] * 4


async def test_why_is_answered_live(cluster):
    await cluster.node("n0")
    async with cluster.scheduler() as scheduler:
        await cluster.gang("big", 6)
        await cluster.until_condition("big", "Unschedulable")
        assert "6" in str(scheduler.explain("default", "big"))
        assert scheduler.explain("default", "nobody") is None


async def test_a_journal_replays_to_the_same_plans(cluster, tmp_path):
    await cluster.node("n0")
    path = tmp_path / "journal"
    async with cluster.scheduler(replace(BRISK, journal=path)):
        await cluster.gang("runs", 3)
        await cluster.gang("waits", 9)
        await cluster.until_bound("runs", 3)
        await cluster.until_condition("waits", "Unschedulable")
    entries = list(read_journal(path))
    assert sum(isinstance(entry, Cycled) for entry in entries) > 1
    assert replay(entries) is None
