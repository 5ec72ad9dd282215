"""Do controllers that are killed after every few writes bring a flow to the end that undisturbed ones bring it to?"""

import asyncio

import pytest

from flowbatch.admission.crds import crds
from flowbatch.api.kinds import JOB, POD
from flowbatch.embedded.faults import Fault
from flowbatch.kube.request import Request
from tests.embedded.controllers.flows import Flows, step
from tests.embedded.controllers.stage import task

STEPS = (
    step("a", outputs=[{"name": "n"}]),
    step("b", "a", retry={"limit": 1, "backoffSeconds": 0}),
    step("c", "a", forEach={"items": [1, 2], "maxParallel": 1}),
    step("d", "b", "c", inputs=[{"name": "N", "from": "a.n"}]),
)


async def play(flows, seen):
    """Let every pod that runs end well, but for the first of step b; note the uid of every job there ever was."""
    failed = False
    while True:
        for job in await flows.world.client.list(JOB, "default"):
            seen.setdefault(job.metadata.name, {})[job.metadata.uid] = None
        for pod in await flows.world.client.list(POD, "default"):
            if pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None:
                bad = pod.metadata.name == "f-b-main-0" and not failed
                failed = failed or bad
                await flows.end_pod(pod, 1 if bad else 0, '{"n": 7}')
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("writes", [1, 2, 3, 5])
async def test_killed_after_so_many_writes_for_ever_it_ends_as_if_undisturbed(world, writes):
    flows = Flows(world)
    seen = {}
    await world.start()
    await flows.template()
    await world.settled()
    await world.kill()
    await flows.submit(*STEPS)
    playing = asyncio.create_task(play(flows, seen))
    crashing = asyncio.create_task(world.crash_loop(writes, phase_delay_s=0.02))

    async def ended():
        return (await flows.get()).status.state.phase in ("Succeed", "Failed")

    try:
        await world.until(ended, "the flow to end", patience_s=60.0)
        await world.settled(quiet_s=0.5)
    finally:
        playing.cancel()
        crashing.cancel()
        await asyncio.wait([playing, crashing])
    status = (await flows.get()).status
    assert status.state.phase == "Succeed"
    assert {each.name: each.attempts for each in status.steps} == {"a": 1, "b": 2, "c": 1, "d": 1}
    made = {name: len(uids) for name, uids in seen.items()}
    assert made == {"f-a": 1, "f-b": 2, "f-c-0": 1, "f-c-1": 1, "f-d": 1}, "each effect once"
    assert world.crashes > 3


async def test_lost_replies_make_no_second_job_and_lose_no_step(world):
    """Every third write of the controllers is done, but they never hear of it."""
    flows, seen, writes = Flows(world), {}, 0

    def rule(moment):
        nonlocal writes
        ours = "(controllers)" in moment.user_agent and moment.verb in ("create", "patch", "delete")
        if moment.point != "reply" or not ours:
            return None
        writes += 1
        return Fault("drop_reply") if writes % 3 == 0 else None

    await world.start(phase_delay_s=0.02)
    await flows.template()
    world.server.rule = rule
    await flows.submit(*STEPS)
    playing = asyncio.create_task(play(flows, seen))

    async def ended():
        return (await flows.get()).status.state.phase in ("Succeed", "Failed")

    try:
        await world.until(ended, "the flow to end", patience_s=60.0)
    finally:
        playing.cancel()
        await asyncio.wait([playing])
    assert {each.name: each.attempts for each in (await flows.get()).status.steps} == {"a": 1, "b": 2, "c": 1, "d": 1}
    assert {name: len(uids) for name, uids in seen.items()} == {"f-a": 1, "f-b": 2, "f-c-0": 1, "f-c-1": 1, "f-d": 1}


async def test_a_cluster_that_does_not_serve_flows_has_its_jobs_all_the_same_and_flows_when_it_does(world):
    definitions = {each["metadata"]["name"]: each for each in crds()}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = ("jobflows.flow.volcano.sh", "jobtemplates.flow.volcano.sh", "cronjobs.batch.volcano.sh")
    for name in names:
        await world.client.send(Request("DELETE", f"{path}/{name}"))
    await world.start()
    await world.submit("j", task())
    await world.until_phase("j", "Running")
    for name in names:
        await world.server.install(definitions[name])
    flows = Flows(world)
    await flows.template()
    await flows.submit(step("a"))

    async def made():
        return "f-a" in await flows.jobs()

    await world.until(made, "the flow to begin", patience_s=90.0)
