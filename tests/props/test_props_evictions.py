"""Whatever is evicted: is it allowed, is it for a gang that then starts, and does it ever go round in circles?"""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flowbatch.engine.decisions import Bind, Evict, Plan, Report, Tick
from flowbatch.engine.events import (
    BudgetSeen,
    EvictFailed,
    GangGone,
    GangSeen,
    NodeSeen,
    PodGone,
    PodSeen,
    QueueSeen,
    ShapeSpec,
)
from flowbatch.policy.presets import DEFAULT, PREEMPTING
from tests.factworld import World

POLICIES = {
    "all": PREEMPTING,
    "plain": replace(PREEMPTING, actions=(*DEFAULT.actions, "preempt", "reclaim")),
    "loose": replace(
        PREEMPTING,
        actions=(*DEFAULT.actions, "preempt", "reclaim"),
        preemptable=PREEMPTING.preemptable[1:],
        reclaimable=PREEMPTING.reclaimable[1:],
    ),
}
SHAPES = (
    ShapeSpec((("cpu", 1000),)),
    ShapeSpec((("cpu", 2000), ("memory", 1))),
    ShapeSpec((("cpu", 1000), ("memory", 2))),
    ShapeSpec((("cpu", 3000),)),
    ShapeSpec((("cpu", 1000),), ports=(("TCP", "", 80),)),
)
QUEUES = ("default", "ads")


class EvictingWorld(World):
    """Pods told to go leave, or stay; what they were is made anew, as a controller would."""

    def __init__(self, policy=PREEMPTING):
        #: Told to go: pod -> for whom.
        self.going: dict[str, str | None] = {}
        self.evictions = 0
        self.budgets: dict[str, BudgetSeen] = {}
        super().__init__(policy)

    def judge(self, plan: Plan, before) -> None:
        """Besides what every plan must be: whom it evicts may be evicted."""
        super().judge(plan, before)
        spent: dict[str, int] = {}
        for order in plan.decisions:
            if isinstance(order, Evict):
                self.judge_eviction(order, spent)

    def judge_eviction(self, order: Evict, spent: dict[str, int]) -> None:
        pod, gang = self.pods[order.uid], self.gangs[order.beneficiary]
        assert pod.node is not None, "it runs nowhere"
        assert not pod.deleting
        assert order.uid not in self.going, "told twice"
        assert pod.preemptable, "it said that it stays"
        assert pod.gang is not None
        victim = self.gangs[pod.gang]
        assert victim.preemptable is not False
        assert victim.id != gang.id
        assert gang.preempts
        if order.reason.endswith("preempt"):
            assert victim.queue == gang.queue, "preempt stays in its queue"
            assert victim.priority < gang.priority, "and takes from lower priority only"
        else:
            assert victim.queue != gang.queue, "reclaim is between queues"
            assert self.queues[victim.queue].reclaimable
        for budget in self.budgets.values():
            if budget.selector is not None and budget.namespace == pod.namespace:
                # Whoever was told before has not left yet, so that its status does not count him either.
                spent[budget.id] = spent.get(budget.id, len(self.going)) + 1
                assert spent[budget.id] <= budget.allowed, "more than a budget allows"

    def facts(self):
        """Budgets too."""
        return [*super().facts(), *self.budgets.values()]

    def take_in(self, plan: Plan) -> list[Evict]:
        """Remember who was told to go."""
        orders = [each for each in plan.decisions if isinstance(each, Evict)]
        for order in orders:
            self.going[order.uid] = order.beneficiary
        self.evictions += len(orders)
        return orders

    def leave(self, uids) -> None:
        """These pods are gone; others are made for them."""
        for uid in list(uids):
            self.going.pop(uid, None)
            pod = self.pods[uid]
            again = msgspec.structs.replace(
                pod, uid=f"{uid}'", name=f"{pod.name}'", node=None, phase="Pending", deleting=False, nominated=None
            )
            self.tell(PodGone(uid), again)

    def stay(self, uid: str) -> None:
        """Its eviction was refused."""
        self.going.pop(uid)
        self.tell(EvictFailed(uid, "budget"))


def started(world: World, gang_id: str) -> bool:
    """As many members as its minimum have their place."""
    mine = [pod for pod in world.pods.values() if pod.gang == gang_id]
    return sum(world.place_of(pod) is not None for pod in mine) >= world.gangs[gang_id].min_members


def make_gang(world, name, shape, size, **facts) -> None:
    queue = facts.pop("queue")
    pods = [PodSeen(f"{name}-{i}", "ns", f"{name}-{i}", shape, name, "task", i, created=world.now) for i in range(size)]
    world.tell(GangSeen(name, f"u-{name}", queue, world.now, phase="Pending", **facts), *pods)


class EvictionMachine(RuleBasedStateMachine):
    """Gangs of several queues and priorities, and pods that leave at once, later or not at all."""

    policy = PREEMPTING

    def __init__(self):
        super().__init__()
        self.world = EvictingWorld(self.policy)
        self.count = 0

    @initialize(
        weights=st.tuples(*[st.sampled_from([1, 2, 5])] * 2),
        old=st.tuples(
            *[st.tuples(st.sampled_from(SHAPES[:3]), st.sampled_from([0, 2, 4]), st.sampled_from(QUEUES))] * 3
        ),
    )
    def begin(self, weights, old):
        self.world.tell(QueueSeen("root"))
        for name, weight in zip(QUEUES, weights, strict=True):
            self.world.tell(QueueSeen(name, weight=weight))
        for name in ("a", "b"):
            self.world.tell(NodeSeen(name, (("cpu", 4000), ("memory", 4), ("pods", 10))))
        for name, (shape, least, queue) in zip("xyz", old, strict=True):
            make_gang(self.world, name, shape, 4, queue=queue, min_members=least)
        rest(self.world)

    @rule(
        shape=st.sampled_from(SHAPES),
        size=st.integers(1, 4),
        least=st.integers(0, 4),
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([0, 5, 10]),
        says=st.sampled_from([None, None, None, False]),
        preempts=st.sampled_from([True, True, True, False]),
    )
    def gang_comes(self, shape, size, least, queue, priority, says, preempts):
        if len(self.world.gangs) < 8:
            self.count += 1
            make_gang(
                self.world,
                f"g{self.count}",
                shape,
                size,
                queue=queue,
                priority=priority,
                min_members=min(size, least),
                preemptable=says,
                preempts=preempts,
            )

    @rule(data=st.data(), change=st.sampled_from([{"reclaimable": False}, {"guarantee": (("cpu", 2000),)}, {}]))
    def queue_changes(self, data, change):
        name = data.draw(st.sampled_from(QUEUES))
        plain = {"reclaimable": True, "guarantee": ()}
        self.world.tell(msgspec.structs.replace(self.world.queues[name], **{**plain, **change}))

    @rule(allowed=st.integers(0, 2), every=st.booleans())
    def budget_comes(self, allowed, every):
        budget = BudgetSeen("ns/b", "ns", () if every else None, allowed)
        self.world.budgets = {budget.id: budget}
        self.world.tell(budget)

    @precondition(lambda self: any(pod.node for pod in self.world.pods.values()))
    @rule(data=st.data())
    def pod_ends(self, data):
        uids = [uid for uid, pod in self.world.pods.items() if pod.node and uid not in self.world.going]
        if uids:
            uid = data.draw(st.sampled_from(uids))
            self.world.change_pod(uid, phase="Succeeded")
            self.world.tell(PodGone(uid))

    @precondition(lambda self: self.world.gangs)
    @rule(data=st.data())
    def gang_goes(self, data):
        name = data.draw(st.sampled_from(list(self.world.gangs)))
        for uid in [uid for uid, pod in self.world.pods.items() if pod.gang == name]:
            self.world.going.pop(uid, None)
            self.world.tell(PodGone(uid))
        self.world.tell(GangGone(name))

    @precondition(lambda self: len(self.world.nodes) > 1)
    @rule(data=st.data(), change=st.sampled_from([{"unschedulable": True}, {"unschedulable": False}, {"ready": True}]))
    def node_changes(self, data, change):
        self.world.change_node(data.draw(st.sampled_from(list(self.world.nodes))), **change)

    @rule(seconds=st.sampled_from([0, 1, 70]))
    def time_passes(self, seconds):
        self.world.now += seconds * 1000

    @rule()
    def victims_leave_at_once(self):
        """Then whom they left for must have all of its minimum in the next cycle, whoever else waits."""
        self.answer()
        orders = self.world.take_in(self.world.cycle())
        self.answer()
        # Whoever was on his way out for them before must leave too.
        gangs = dict.fromkeys(order.beneficiary for order in orders)
        self.world.leave([uid for uid, gang in self.world.going.items() if gang in gangs])
        self.world.take_in(self.world.cycle())
        for gang in gangs:
            assert started(self.world, gang), f"{gang} had others evicted and did not start"

    @rule()
    def victims_are_told(self):
        self.answer()
        self.world.take_in(self.world.cycle())

    @precondition(lambda self: self.world.going)
    @rule(data=st.data(), fine=st.sampled_from([True, True, False]))
    def one_victim_leaves_or_stays(self, data, fine):
        uid = data.draw(st.sampled_from(list(self.world.going)))
        if fine:
            self.world.leave([uid])
        else:
            self.world.stay(uid)

    @rule()
    def restart(self):
        self.world.restart()
        # What was told to go, and had not left, was forgotten with the engine that said so.
        self.world.going.clear()

    def answer(self):
        self.world.answer(list(self.world.in_flight))

    def teardown(self):
        self.answer()
        self.world.leave(list(self.world.going))
        rest(self.world)


def rest(world: EvictingWorld, rounds: int = 120) -> None:
    """Everybody who is told to go leaves and comes back; nothing else happens. It must come to an end."""
    quiet = 0
    for _ in range(rounds):
        world.now += 70_000
        plan = world.engine.cycle(Tick(world.now, 1_000))
        binds = [each for each in plan.decisions if isinstance(each, Bind)]
        for bind in binds:
            world.in_flight[bind.uid] = bind.node
        for report in plan.decisions:
            if isinstance(report, Report) and report.gang in world.gangs:
                world.tell(msgspec.structs.replace(world.gangs[report.gang], phase=report.phase))
        orders = world.take_in(plan)
        world.answer(list(world.in_flight))
        world.leave([order.uid for order in orders])
        quiet = 0 if binds or orders else quiet + 1
        if quiet == 3:
            return
    raise AssertionError(f"{world.evictions} evictions and no end")


TestEvictions = pytest.mark.filterwarnings("ignore")(EvictionMachine.TestCase)
TestEvictions.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


GANGS = st.lists(
    st.tuples(
        st.sampled_from(SHAPES[:4]),
        st.integers(1, 4),
        st.integers(0, 4),
        st.sampled_from(QUEUES),
        st.sampled_from([0, 5, 10]),
    ),
    min_size=4,
    max_size=9,
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    policy=st.sampled_from(list(POLICIES)),
    weights=st.tuples(*[st.sampled_from([1, 2, 5])] * 2),
    guarantee=st.sampled_from([(), (("cpu", 2000),)]),
    gangs=GANGS,
    waves=st.integers(1, 3),
)
def test_evictions_never_go_round_in_circles(policy, weights, guarantee, gangs, waves):
    world = EvictingWorld(POLICIES[policy])
    world.tell(QueueSeen("root"))
    for name, weight in zip(QUEUES, weights, strict=True):
        world.tell(QueueSeen(name, weight=weight, guarantee=guarantee if name == "ads" else ()))
    for name in ("a", "b"):
        world.tell(NodeSeen(name, (("cpu", 4000), ("memory", 4), ("pods", 10))))
    for wave in range(waves):
        for i, (shape, size, least, queue, priority) in enumerate(gangs[wave::waves]):
            make_gang(world, f"w{wave}g{i}", shape, size, queue=queue, priority=priority, min_members=min(size, least))
        rest(world)
