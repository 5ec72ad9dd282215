"""With faults at random, by seed: is no node given away twice, no gang left in part, and all done in the end?"""

import random
from collections import Counter

import anyio
import pytest

from flowbatch.embedded.faults import Fault, Moment

GANGS, SIZE, NODES = 8, 5, 3
#: Each node takes twelve pods, so that two gangs must wait until others have ended.
CPU = "12"


class Chaos:
    """A rule that lets one write in five go wrong in some way, and makes watches late, and now and then cuts one."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        self.faults = 0
        self.on = True

    def __call__(self, moment: Moment) -> Fault | None:
        if not self.on or "(scheduler" not in moment.user_agent:
            return None
        fault = self._choose(moment)
        self.faults += fault is not None
        return fault

    def _choose(self, moment: Moment) -> Fault | None:
        luck = self._random.random()
        if moment.point == "event":
            if luck < 0.01:
                return Fault("close_watch", how="rst")
            return Fault("delay", seconds=0.3) if luck < 0.15 else None
        if moment.verb not in ("create", "patch"):
            return None
        if moment.point == "reply":
            return Fault("drop_reply") if luck < 0.08 else None
        if luck < 0.05:
            return Fault("drop_request")
        if luck < 0.10:
            return Fault("status", code=503, reason="ServiceUnavailable")
        if luck < 0.13:
            return Fault("status", code=409, reason="Conflict")
        return Fault("delay", seconds=0.02) if luck < 0.30 else None


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_gangs_bind_whole_under_faults(cluster, seed):
    for index in range(NODES):
        await cluster.node(f"n{index}", cpu=CPU)
    chaos = Chaos(seed)
    cluster.server.rule = chaos
    async with cluster.scheduler() as scheduler:
        for number in range(GANGS):
            await cluster.gang(f"g{number}", SIZE)
        whole: set[str] = set()
        with anyio.fail_after(60):
            while len(whole) < GANGS:
                pods = await cluster.pods()
                _no_node_is_given_away_twice(pods)
                whole |= await _finish_whole_gangs(cluster, pods)
                await anyio.sleep(0.05)
        chaos.on = False
        assert chaos.faults > 10
        assert scheduler.cycles.failures == 0
    assert len(await cluster.bound()) == GANGS * SIZE


def _no_node_is_given_away_twice(pods):
    running = [pod for pod in pods.values() if pod.spec.node_name and pod.status.phase != "Succeeded"]
    used = Counter(pod.spec.node_name for pod in running)
    assert all(count <= int(CPU) for count in used.values()), used


async def _finish_whole_gangs(cluster, pods) -> set[str]:
    """End every gang that is bound whole, so that the next may start; gives their names."""
    bound = Counter(name.partition("-")[0] for name, pod in pods.items() if pod.spec.node_name)
    whole = {name for name, count in bound.items() if count == SIZE}
    for name, pod in pods.items():
        if name.partition("-")[0] in whole and pod.status.phase == "Pending":
            await cluster.finish(name)
    return whole
