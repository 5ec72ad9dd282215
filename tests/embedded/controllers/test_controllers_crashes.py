"""Do controllers that are killed at any write, and whose replies and watches fail, end where undisturbed ones end?

J1-J8, L4, L5 and I8 of reliability.md.
"""

import asyncio
from collections import Counter

import pytest

from flowbatch.api.kinds import COMMAND, CONFIG_MAP, JOB, POD, POD_GROUP, SECRET, SERVICE
from flowbatch.embedded.faults import Fault
from tests.embedded.controllers.stage import task
from tests.embedded.controllers.stage import world as make_world

PLUGINS = {"svc": [], "ssh": [], "env": []}
RESTART = [{"event": "PodFailed", "action": "RestartJob"}]


async def live(world, job):
    """The uids of a job's pods that are neither ending nor over."""
    pods = await world.pods(job)
    return {
        pod.metadata.name: pod.metadata.uid
        for pod in pods
        if pod.metadata.deletion_timestamp is None and pod.status.phase == "Running"
    }


async def life_of_a_job(world):
    """A job fails once and is restarted, is suspended, resumed, and completes: every kind of write there is."""
    await world.submit("j", task("a", 2), task("b", 1), policies=RESTART, plugins=PLUGINS, maxRetry=3)

    async def all_three():
        now = await live(world, "j")
        return now if len(now) == 3 else None

    first = await world.until(all_three, "three running pods", 30)
    await world.end("j", task="b", exit_code=1)

    async def renewed():
        now = await live(world, "j")
        return len(now) == 3 and not set(now.values()) & set(first.values())

    await world.until(renewed, "three new pods", 30)
    await world.until_phase("j", "Running")
    await world.command("AbortJob", "j")
    await world.until_phase("j", "Aborted")
    await world.until_pods("j", {})
    await world.command("ResumeJob", "j")
    await world.until(all_three, "three running pods after resuming", 30)
    await world.until_phase("j", "Running")
    await world.end("j")
    await world.until_phase("j", "Completed")


async def end_state(world):
    """What must not depend on crashes: uids and times left out, numbers of attempts kept."""
    job = await world.client.get(JOB, "j", "default")
    status = job.status
    group = f"j-{job.metadata.uid}"
    objects = []
    for kind in (POD, POD_GROUP, SERVICE, CONFIG_MAP, SECRET, COMMAND):
        for each in await world.client.list(kind, "default"):
            owner = each.metadata.controller
            mine = owner is not None and owner.uid == job.metadata.uid
            name = "group" if each.metadata.name == group else each.metadata.name
            objects.append((kind.kind, name, mine))
    return {
        "phase": status.state.phase,
        "retries": status.retry_count,
        "version": status.version,
        "counts": (status.pending, status.running, status.succeeded, status.failed, status.terminating),
        "objects": Counter(objects),
    }


@pytest.fixture(scope="module")
async def reference(tmp_path_factory):
    async with make_world(tmp_path_factory.mktemp("reference")) as world:
        await world.start()
        await life_of_a_job(world)
        await world.settled()
        return await end_state(world)


@pytest.mark.parametrize("writes", [1, 2, 3, 5])
async def test_controllers_killed_after_every_nth_write_end_where_undisturbed_ones_do(world, reference, writes):
    loop = asyncio.create_task(world.crash_loop(writes))
    try:
        await life_of_a_job(world)
        await world.settled(quiet_s=0.5)
    finally:
        loop.cancel()
        await asyncio.wait([loop])
    assert world.crashes >= 5 // writes
    assert await end_state(world) == reference
    before = world.writes()
    await world.kill()
    await world.start()
    await world.settled(quiet_s=0.5)
    assert world.writes() == before, "a fresh start on the end state found something to write"


async def test_lost_replies_make_no_second_pod_and_lose_none(world, reference):
    """Every third write of the controllers is done, but they never hear of it."""
    writes = 0

    def rule(moment):
        nonlocal writes
        ours = "(controllers)" in moment.user_agent and moment.verb in ("create", "patch", "delete")
        if moment.point != "reply" or not ours:
            return None
        writes += 1
        return Fault("drop_reply") if writes % 3 == 0 else None

    world.server.rule = rule
    await world.start()
    await life_of_a_job(world)
    await world.settled()
    assert writes > 10
    assert await end_state(world) == reference


async def test_a_late_watch_of_pods_makes_the_controller_wait_rather_than_act_blind(world):
    """I8: the controller's own creates come back late, and it must not create, count or fail anything meanwhile."""

    def rule(moment):
        late = moment.point == "event" and moment.resource == "pods" and "(controllers)" in moment.user_agent
        return Fault("delay", seconds=0.05) if late else None

    world.server.rule = rule
    await world.start()
    await world.submit("j", task(replicas=8))
    await world.until_phase("j", "Running")
    await world.settled()
    assert world.requests()["create pods"] == 8
    assert world.requests().get("delete pods", 0) == 0


async def test_a_silent_watch_makes_the_controller_ask_the_server_and_still_not_act_blind(world):
    silent = False

    def rule(moment):
        nonlocal silent
        ours = moment.point == "event" and moment.resource == "pods" and "(controllers)" in moment.user_agent
        if not (ours and silent):
            return None
        silent = False
        return Fault("delay", seconds=1.0)

    world.server.rule = rule
    await world.start(lag_s=0.2)
    silent = True
    await world.submit("j", task(replicas=3))
    await world.until_phase("j", "Running")
    assert world.requests().get("get pods", 0) >= 3, "the controller did not ask about its pods"
    assert world.requests()["create pods"] == 3
