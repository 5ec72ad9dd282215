"""Does suspending a queue reach every job in it and below it, over real HTTP, whoever leads and whatever is killed?"""

import asyncio

import pytest

from flowbatch.api.kinds import JOB, QUEUE
from tests.embedded.controllers.stage import task


async def suspend(world, queue: str, to: bool) -> None:
    await world.client.patch(QUEUE, queue, {"spec": {"suspend": to}})


async def make_queue(world, name: str, parent: str = "root") -> None:
    manifest = {"apiVersion": QUEUE.api_version, "kind": QUEUE.kind, "metadata": {"name": name}}
    await world.client.create(QUEUE, {**manifest, "spec": {"parent": parent, "weight": 1}})


async def two_queues(world) -> None:
    """Queue ads with queue night below it, a job in that and two elsewhere, all running."""
    await make_queue(world, "ads")
    await make_queue(world, "night", "ads")
    for job, queue in (("a", "default"), ("b", "night"), ("c", "default")):
        await world.submit(job, task(replicas=2), queue=queue)
    for job in "abc":
        await world.until_phase(job, "Running")


async def test_the_jobs_of_a_queue_and_of_those_below_go_down_and_come_back(world):
    await world.start()
    await two_queues(world)
    await suspend(world, "ads", True)
    await world.until_phase("b", "Aborted")
    await world.until_pods("b", {})
    await world.settled()
    assert [await world.phase(job) for job in "ac"] == ["Running", "Running"]
    await suspend(world, "ads", False)
    await world.until_phase("b", "Running")
    assert (await world.client.get(JOB, "b", "default")).status.retry_count == 0


async def test_the_annotation_is_a_level_too_and_is_found_by_a_new_controller(world):
    await world.start()
    await two_queues(world)
    await world.kill()
    await world.client.patch(QUEUE, "night", {"metadata": {"annotations": {"flowbatch.dev/suspended": "true"}}})
    await world.start()
    await world.until_phase("b", "Aborted")
    await world.until_pods("b", {})
    before = world.writes()
    await world.kill()
    await world.start()
    await world.settled(quiet_s=0.5)
    assert world.writes() == before


@pytest.mark.parametrize("writes", [1, 2])
async def test_controllers_killed_at_any_write_suspend_and_resume_a_queue_all_the_same(world, writes):
    loop = asyncio.create_task(world.crash_loop(writes))
    try:
        await two_queues(world)
        await suspend(world, "ads", True)
        await world.until_phase("b", "Aborted")
        await world.until_pods("b", {})
        await suspend(world, "ads", False)
        await world.until_phase("b", "Running")
        await world.settled(quiet_s=0.5)
    finally:
        loop.cancel()
        await asyncio.wait([loop])
    assert (await world.client.get(JOB, "b", "default")).status.retry_count == 0
    assert await world.pod_phases("b") == {"b-worker-0": "Running", "b-worker-1": "Running"}
