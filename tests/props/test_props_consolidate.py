"""Whoever moves: has he another place, does a gang start for it, and does it ever go round in circles?

The moves are compared with an exhaustive search on small clusters: where it knows no way nobody moves, and where it
knows one the engine nearly always finds one, with nearly as few moves.
"""

import itertools
import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from flowbatch.engine.decisions import Evict
from flowbatch.engine.events import GangGone, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec
from flowbatch.policy.presets import CONSOLIDATING, DEFAULT, PREEMPTING, SPREAD
from tests.props.test_props_evictions import (
    QUEUES,
    SHAPES,
    EvictingWorld,
    EvictionMachine,
    make_gang,
    rest,
    started,
)
from tests.textcluster import cycle, engine_with, evicted, gang

#: Pods go where there is most room, so that room is soon in pieces.
MOVES = replace(CONSOLIDATING, scores=SPREAD.scores)
EVERYTHING = replace(
    PREEMPTING, actions=(*DEFAULT.actions, "consolidate", *PREEMPTING.actions[3:]), scores=SPREAD.scores
)
POLICIES = {"moves": MOVES, "everything": EVERYTHING}


class MovingWorld(EvictingWorld):
    """Pods that are moved are judged by what a move must be; all others as ever."""

    def __init__(self, policy=MOVES):
        super().__init__(policy)

    def judge_eviction(self, order: Evict, spent: dict[str, int]) -> None:
        if order.reason != "consolidate":
            super().judge_eviction(order, spent)
            return
        pod, victim = self.pods[order.uid], self.gangs[self.pods[order.uid].gang]
        assert pod.node is not None, "it runs nowhere"
        assert order.uid not in self.going, "told twice"
        assert pod.preemptable, "it said that it stays"
        assert victim.preemptable is not False
        assert victim.id != order.beneficiary
        assert self.gangs[order.beneficiary].preempts
        mine = [each for each in self.pods.values() if each.gang == victim.id]
        there = [each for each in mine if self.place_of(each) and each.uid not in self.going and not each.deleting]
        assert len(there) > max(1, victim.min_members), "its gang cannot do without it"
        self.going[order.uid] = order.beneficiary

    def judge(self, plan, before) -> None:
        """One order after the other, so that no gang is below its minimum after any of them."""
        super().judge(plan, before)
        for order in plan.decisions:
            if isinstance(order, Evict):
                self.going.pop(order.uid, None)


class MovingMachine(EvictionMachine):
    """The same life, with moves besides everything else."""

    policy = EVERYTHING

    def __init__(self):
        super().__init__()
        self.world = MovingWorld(self.policy)

    @initialize(sizes=st.tuples(*[st.tuples(st.sampled_from(SHAPES[:2]), st.integers(2, 3), st.integers(0, 2))] * 2))
    def begin(self, sizes):
        """Three nodes with a little of each gang on each of them."""
        self.world.tell(QueueSeen("root"))
        for name in QUEUES:
            self.world.tell(QueueSeen(name))
        for name in ("a", "b", "c"):
            self.world.tell(NodeSeen(name, (("cpu", 4000), ("memory", 6), ("pods", 10))))
        for name, (shape, size, least) in zip("xy", sizes, strict=True):
            make_gang(self.world, name, shape, size, queue=QUEUES[0], min_members=least)
        rest(self.world)

    @rule(
        cpu=st.sampled_from([1000, 1000, 2000, 4000]),
        size=st.integers(2, 3),
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([0, 5]),
    )
    def gang_comes(self, cpu, size, queue, priority):
        """Small ones that can do without a member, and large ones that need a node."""
        self.gang_comes_in(ShapeSpec((("cpu", cpu),)), size if cpu < 3000 else 1, queue, priority)

    def gang_comes_in(self, shape, size, queue, priority):
        if len(self.world.gangs) < 8:
            self.count += 1
            facts = {"queue": queue, "priority": priority, "min_members": 1}
            make_gang(self.world, f"g{self.count}", shape, size, **facts)

    @rule(cpu=st.sampled_from([2000, 3000, 4000, 4000]), queue=st.sampled_from(QUEUES))
    def movers_leave_at_once(self, cpu, queue):
        """A large pod comes; then it starts if anybody has moved for it, and everybody who moved has a place."""
        self.gang_comes_in(ShapeSpec((("cpu", cpu),)), 1, queue, 0)
        self.answer()
        self.world.leave(list(self.world.going))
        self.world.take_in(self.world.cycle())
        self.answer()
        orders = self.world.take_in(self.world.cycle())
        self.world.leave(list(self.world.going))
        self.world.take_in(self.world.cycle())
        for order in orders:
            assert started(self.world, order.beneficiary), f"{order.beneficiary} did not start"
            again = self.world.pods.get(f"{order.uid}'")
            if order.reason == "consolidate":
                assert again is not None
                assert self.world.place_of(again), f"{order.uid} has lost its place"


class OnlyMovingMachine(MovingMachine):
    """Nobody loses anything here."""

    policy = MOVES


SETTINGS = settings(max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
TestMoving = pytest.mark.filterwarnings("ignore")(MovingMachine.TestCase)
TestMoving.settings = SETTINGS
TestOnlyMoving = pytest.mark.filterwarnings("ignore")(OnlyMovingMachine.TestCase)
TestOnlyMoving.settings = SETTINGS


@pytest.mark.parametrize("policy", POLICIES)
def test_moves_never_go_round_in_circles(policy):
    moves = 0
    for seed in range(80):
        luck, world = random.Random(seed), MovingWorld(POLICIES[policy])
        world.tell(QueueSeen("root"))
        for name in QUEUES:
            world.tell(QueueSeen(name))
        for name in "abc":
            world.tell(NodeSeen(name, (("cpu", 4000), ("pods", 10))))
        for number in range(12):
            cpu, queue, priority = luck.choice([1, 1, 2, 3, 4, 4]), luck.choice(QUEUES), luck.choice([0, 0, 5])
            shape, size = ShapeSpec((("cpu", cpu * 1000),)), luck.randint(2, 4) if cpu < 3 else 1
            make_gang(world, f"g{number}", shape, size, queue=queue, priority=priority, min_members=1)
            before = world.evictions
            rest(world)
            if policy == "moves":
                assert world.evictions - before <= MOVES.moved_most * len(world.gangs)
            moves += world.evictions - before
            if luck.random() < 0.5:
                name = luck.choice(list(world.gangs))
                world.tell(*[PodGone(uid) for uid, pod in world.pods.items() if pod.gang == name], GangGone(name))
    assert moves > 10, "a world without moves proves nothing"


# -- against a search that looks at everything


class Small:
    """Three nodes with pods of one, two or three cpu, some of them free to move, and a gang that waits."""

    def __init__(self, seed: int) -> None:
        luck = random.Random(seed)
        self.size = luck.choice([4, 6])
        self.pods: list[tuple[int, int, bool]] = []  # node, cpu, may move
        room = [self.size] * 3
        for _ in range(luck.randint(3, 8)):
            at, cpu = luck.randrange(3), luck.choice([1, 1, 2, 2, 3])
            if room[at] >= cpu:
                room[at] -= cpu
                self.pods.append((at, cpu, luck.random() < 0.7))
        self.room = room
        self.wants = (luck.choice([1, 1, 2]), luck.choice([2, 3, 4]))
        self.surplus = luck.randint(1, 4)

    def fits(self, room) -> bool:
        count, cpu = self.wants
        return sum(max(0, free) // cpu for free in room) >= count

    def fewest(self) -> int | None:
        """How many must move at least; None where no rearrangement will do. Whoever moves goes to free room."""
        movable = [i for i, pod in enumerate(self.pods) if pod[2]]
        for count in range(min(self.surplus, len(movable)) + 1):
            for some in itertools.combinations(movable, count):
                for where in itertools.product(range(3), repeat=count):
                    if self._works(some, where):
                        return count
        return None

    def _works(self, some, where) -> bool:
        left = {self.pods[i][0] for i in some}
        if left & set(where):
            return False
        room = list(self.room)
        for i, at in zip(some, where, strict=True):
            room[self.pods[i][0]] += self.pods[i][1]
            room[at] -= self.pods[i][1]
        return min(room) >= 0 and self.fits(room)

    def moved(self) -> int:
        """How many the engine moves."""
        lines = [f"node {name}: cpu={self.size}" for name in "abc"]
        engine = engine_with(*lines, policy=CONSOLIDATING)
        tasks = ", ".join(f"1x t{i} cpu={cpu}{'' if free else ' kept'}" for i, (_, cpu, free) in enumerate(self.pods))
        minimum = max(1, len(self.pods) - self.surplus)
        seen, *pods = gang("old", f"{tasks}, min {minimum}, phase Running")
        engine.observe([seen])
        for pod, (at, _, _) in zip(pods, self.pods, strict=True):
            assert isinstance(pod, PodSeen)
            engine.observe([msgspec.structs.replace(pod, node="abc"[at], phase="Running")])
        count, cpu = self.wants
        engine.observe(gang("new", f"{count}x cpu={cpu}", 5))
        return len(evicted(cycle(engine)))


def test_moves_against_a_search_that_looks_at_everything():
    possible = found = moves = fewest = 0
    for seed in range(1_500):
        case = Small(seed)
        least = case.fewest() if len(case.pods) > 1 else None
        if least == 0:
            continue
        moved = case.moved()
        assert least is not None or not moved, f"seed {seed}: it moved where nothing helps"
        if least is not None:
            case.surplus = min(case.surplus, len(case.pods) - 1)
            least = case.fewest()
        if least is not None:
            possible += 1
            if moved:
                found, moves, fewest = found + 1, moves + moved, fewest + least
                assert moved >= least
    print(f"{found} of {possible} found, with {moves} moves where {fewest} would do")
    assert possible > 100, "a generator without such cases proves nothing"
    assert found >= 0.95 * possible
    assert moves <= 1.1 * fewest
