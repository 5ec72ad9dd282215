"""Do controllers that are killed after every few writes bring a flow to the end that undisturbed ones bring it to?"""

import asyncio

import pytest

from flowbatch.api.kinds import JOB, POD
from tests.embedded.controllers.flows import Flows, step

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
