"""For any stream of gangs: does one that was promised a window start by then, if nobody outstays his estimate?"""

import random
from dataclasses import replace
from heapq import heappop, heappush

import msgspec
import pytest

from flowbatch.engine.events import GangGone, PodGone
from flowbatch.model.ids import GangId, PodUid
from flowbatch.policy.presets import BACKFILL
from flowbatch.policy.sla import WaitingTime
from tests.textcluster import binds, cycle, engine_with, gang

POLICY = replace(
    BACKFILL, permits=(WaitingTime(5_000),), reserving=(WaitingTime(5_000),), limits=(), shares=None, waivable=()
)
START, END = 100_000, 180_000


class Walk:
    """Gangs come at random; each says how long its pods run, some say nothing, nobody runs longer than he says."""

    def __init__(self, seed, silent, near=False):
        self.luck = random.Random(seed)
        self.silent = silent
        self.near = near
        nodes = self.luck.randint(4, 6) if near else self.luck.randint(2, 5)
        lines = [f"node n{i}: cpu={self.luck.randint(2, 6)}" for i in range(nodes)]
        if near:
            lines += [f"hypernode r{i}: tier 1, n{i} n{i + 1}" for i in range(0, nodes - 1, 2)]
        self.lines, self.texts = lines, {}
        self.engine = engine_with(*lines, policy=POLICY)
        self.lasts = {}
        self.moments = []
        self.promised = {}
        self.started = {}

    def arrive(self, now, number):
        cpu, pods = self.luck.randint(1, 3), self.luck.choice((1, 1, 1, 2, 4, 6))
        lasts = self.luck.randint(1, 30)
        said = "" if self.luck.random() < self.silent else f", runs {lasts + self.luck.randint(0, 10)}"
        if self.near:
            said += self.luck.choice(["", ", hard 1", ", hard 1", ", split task 2 hard 1" if pods % 2 == 0 else ""])
            said += self.luck.choice(["", "", ", soft"]) if "hard" not in said else ""
        self.lasts[f"ns/g{number}"] = lasts * 1_000
        self.texts[f"ns/g{number}"] = f"{pods}x cpu={cpu}{said}"
        self.engine.observe(gang(f"g{number}", f"{pods}x cpu={cpu}{said}", now))

    def could_run(self, gang_id):
        """Whether it starts where it is alone."""
        engine = engine_with(*self.lines, policy=POLICY)
        engine.observe(gang("alone", self.texts[gang_id], START))
        return bool(binds(cycle(engine, START)))

    def end(self, gang_id):
        pods = [PodGone(uid) for uid in self.engine.state.gangs[gang_id].tasks]
        self.engine.observe([*pods, GangGone(GangId(gang_id))])

    def step(self, now):
        plan = cycle(self.engine, now)
        for bind in binds(plan):
            fact = self.engine.state.tasks[PodUid(bind.uid)].fact
            self.engine.observe([msgspec.structs.replace(fact, node=bind.node, phase="Running", started=now)])
            if bind.gang not in self.started:
                self.started[bind.gang] = now
                heappush(self.moments, (now + self.lasts[bind.gang], bind.gang))
        for gang_id, window in self.engine.state.windows.by_gang.items():
            self.promised.setdefault(gang_id, window.until)
        return plan.wake_at

    def run(self):
        """Until all that came has ended."""
        number, arrival, wake = 0, START, None
        while arrival < END or self.moments:
            due = [arrival] if arrival < END else []
            due += [self.moments[0][0]] if self.moments else []
            due += [wake] if wake is not None else []
            now = min(due)
            while self.moments and self.moments[0][0] <= now:
                self.end(heappop(self.moments)[1])
            if arrival <= now and arrival < END:
                self.arrive(now, number)
                number, arrival = number + 1, now + self.luck.randint(100, 4_000)
            wake = self.step(now)


@pytest.mark.parametrize(
    ("seed", "near"), [*[(seed, False) for seed in range(8)], *[(seed, True) for seed in range(8)]]
)
def test_a_promise_is_kept_when_everybody_says_how_long_he_runs(seed, near):
    walk = Walk(seed, silent=0.0, near=near)
    walk.run()
    late = {
        gang_id: (until, walk.started.get(gang_id))
        for gang_id, until in walk.promised.items()
        if until is not None and walk.started.get(gang_id, END * 9) > until
    }
    assert late == {}
    assert walk.promised, "nobody had to wait: this seed shows nothing"
    assert not walk.engine.state.windows


@pytest.mark.parametrize("seed", range(100, 106))
@pytest.mark.parametrize("near", [False, True])
def test_with_silent_ones_among_them_nobody_waits_for_ever_who_could_ever_run(seed, near):
    walk = Walk(seed, silent=0.5, near=near)
    walk.run()
    cycle(walk.engine, END * 3)
    waiting = [gang_id for gang_id in walk.lasts if gang_id not in walk.started]
    assert [gang_id for gang_id in waiting if walk.could_run(gang_id)] == []
