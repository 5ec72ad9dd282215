"""Cpus of one's own, whatever happens in whatever order: none is given twice, no pod goes where it is turned away.

A kubelet of its own stands behind every node: it gives cpus as pods arrive, sometimes others than were foreseen, tells
of it late, in full or not at all, and takes them back late.
"""

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flowbatch.engine.decisions import Bind, Evict, Plan
from flowbatch.engine.events import (
    DeclaredTask,
    GangSeen,
    NodeGone,
    NodeSeen,
    NumaGone,
    NumaSeen,
    PodGone,
    PodSeen,
    QueueSeen,
    ShapeSpec,
)
from flowbatch.model.asks import NumaAsk
from flowbatch.model.state import ClusterState
from flowbatch.policy.policy import Policy
from flowbatch.policy.volcano import read_volcano
from tests.factworld import DONE, World, digest

POLICIES = ("best-effort", "restricted", "single-numa-node")
ASKS = (
    NumaAsk(cpus=(1,)),
    NumaAsk(cpus=(2,)),
    NumaAsk(cpus=(3,)),
    NumaAsk(cpus=(5,)),
    NumaAsk(cpus=(2, 1)),
    NumaAsk("restricted", (3,)),
    NumaAsk("single-numa-node", (2,)),
    NumaAsk("single-numa-node", (2, 2)),
    NumaAsk("best-effort", (3,)),
    NumaAsk("restricted"),
    None,
)
SHAPES = tuple(ShapeSpec((("cpu", 1000 * max(ask.total, 1) if ask else 1000),), numa=ask) for ask in ASKS)
SIZE = 4
CPUS = 2 * SIZE


def aware(*actions: str) -> Policy:
    plugins = [{"name": name} for name in ("priority", "gang", "conformance", "predicates", "binpack", "numa-aware")]
    names = ", ".join(("enqueue", "allocate", "backfill", *actions))
    return read_volcano({"actions": names, "tiers": [{"plugins": plugins}]})


def cpus_of(text: str) -> list[int]:
    """A set of cpus in ids, read by other means than the engine's."""
    found: list[int] = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return found


class NumaWorld(World):
    """Judges each binding by the cpus that its annotation names."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        #: What was foreseen for pods that were given a place, by uid; and what their kubelets gave them.
        self.foreseen: dict[str, list[int]] = {}
        self.actual: dict[str, list[int]] = {}

    def judge(self, plan: Plan, before: dict[str, dict[str, int]]) -> None:
        super().judge(plan, before)
        for bind in plan.decisions:
            ask = self.pods[bind.uid].shape.numa if isinstance(bind, Bind) else None
            if isinstance(bind, Bind) and ask is not None:
                self.judge_cpus(bind, ask)

    def judge_cpus(self, bind: Bind, ask: NumaAsk) -> None:
        told = self.cpus.get(bind.node)
        policy = told.policy if told is not None and told.static else "none"
        assert not ask.policy or ask.policy == policy, "another policy than the pod's own"
        if policy not in POLICIES or not ask.total:
            assert not bind.before
            return
        assert told is not None
        (step,) = bind.before
        said = json.loads(json.loads(step.value)["metadata"]["annotations"]["volcano.sh/topology-decision"])
        mine = cpus_of(said["cpus"])
        assert len(mine) == len(dict.fromkeys(mine)) == ask.total
        parts = {str(node): sum(cpu // SIZE == node for cpu in mine) for node in (0, 1)}
        assert said["numa"] == {node: {"cpu": str(count)} for node, count in parts.items() if count}
        free = cpus_of(told.free)
        for uid, others in self.foreseen.items():
            if uid in self.pods and self.place_of(self.pods[uid]) == bind.node:
                known = dict(told.told).get(uid)
                assert not any(cpu in mine for cpu in (cpus_of(known) if known else others)), f"{uid} has some of them"
        assert all(cpu in free for cpu in mine), "the kubelet does not have them"
        assert not any(cpu < told.reserved for cpu in mine), "some are reserved"
        if policy == "single-numa-node" and len(ask.cpus) == 1:
            assert len(said["numa"]) == 1, "it spans NUMA nodes"
        if policy == "restricted" and len(ask.cpus) == 1:
            assert len(said["numa"]) == (1 if ask.total <= SIZE else 2), "it spans more than it must"
        self.foreseen[bind.uid] = mine

    def answer(self, uids, *, fine: bool = True) -> None:
        for uid in list(uids):
            if fine:
                node = self.in_flight.pop(uid)
                mine = self.foreseen.get(uid, [])
                self.actual[uid] = mine
                self.change_pod(uid, node=node, phase="Running", cpus=",".join(map(str, mine)))
            else:
                super().answer([uid], fine=False)
                self.foreseen.pop(uid, None)

    def free_on(self, name: str) -> list[int]:
        """What the kubelet of a node has given to nobody who is there."""
        there = [uid for uid, pod in self.pods.items() if pod.node == name and pod.phase not in DONE]
        taken = [cpu for uid in there for cpu in self.actual.get(uid, [])]
        return [cpu for cpu in range(CPUS) if cpu not in taken]


class NumaMachine(RuleBasedStateMachine):
    """Nodes, kubelets, gangs and ends at random."""

    policy = aware()

    def __init__(self) -> None:
        super().__init__()
        self.world = NumaWorld(self.policy)
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.world.tell(QueueSeen("root"), QueueSeen("default"), node("n-0"), numa("n-0", "single-numa-node"))

    @rule(number=st.integers(0, 2))
    def node_comes(self, number: int) -> None:
        self.world.tell(node(f"n-{number}"))

    @rule(data=st.data())
    def node_goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.nodes)))
        if not any(self.world.place_of(pod) == name for pod in self.world.pods.values()):
            self.world.tell(NodeGone(name))
            if not self.world.nodes:
                self.begin()

    @rule(
        number=st.integers(0, 2),
        policy=st.sampled_from((*POLICIES, "none")),
        reserved=st.integers(0, 1),
        full=st.booleans(),
        static=st.sampled_from((True, True, True, False)),
    )
    def kubelet_tells(self, number: int, policy: str, reserved: int, full: bool, static: bool) -> None:
        """All that it gave, with whom it was for or without; the policy of a node with pods stays as it is."""
        name, world = f"n-{number}", self.world
        before = world.cpus.get(name)
        if before is not None and any(world.place_of(pod) == name for pod in world.pods.values()):
            policy, reserved, static = before.policy, before.reserved, before.static
        free = world.free_on(name)
        there = [uid for uid, pod in world.pods.items() if pod.node == name and world.actual.get(uid)]
        told = tuple((uid, ",".join(map(str, world.actual[uid]))) for uid in sorted(there)) if full else ()
        world.tell(numa(name, policy, reserved, free, told, static=static))

    @rule(number=st.integers(0, 2))
    def kubelet_is_silent(self, number: int) -> None:
        if not any(self.world.place_of(pod) == f"n-{number}" for pod in self.world.pods.values()):
            self.world.tell(NumaGone(f"n-{number}"))

    @rule(shape=st.sampled_from(SHAPES), size=st.integers(1, 3), later=st.integers(0, 1))
    def gang_comes(self, shape: ShapeSpec, size: int, later: int) -> None:
        self.count += 1
        gang = f"ns/g{self.count}"
        declared = (DeclaredTask("late", later, later, shape, ("now",)),) if later else ()
        self.world.tell(GangSeen(gang, gang, "default", self.count, 0, size + later, declared=declared))
        self.world.tell(*(PodSeen(f"{gang}-{i}", "ns", f"p{i}", shape, gang, "now", i) for i in range(size)))
        if later and self.count % 2:
            self.world.tell(PodSeen(f"{gang}-late", "ns", "late", shape, gang, "late"))

    @rule(number=st.integers(0, 2), shape=st.sampled_from(SHAPES[:5]))
    def stranger_comes(self, number: int, shape: ShapeSpec) -> None:
        """A pod that somebody else has bound: its cpus are somewhere, until its kubelet tells."""
        self.count += 1
        name, world = f"n-{number}", self.world
        need = shape.numa.total if shape.numa else 0
        free = world.free_on(name)[-need:]
        used = world.usage().get(name, {}).get("cpu", 0)
        if name in world.nodes and len(free) == need and used + need * 1000 <= 9000:
            uid = f"s{self.count}"
            # A kubelet gives what it has given to nobody; what was foreseen for pods on their way may go by that.
            promised = [cpu for each in world.in_flight for cpu in world.foreseen.get(each, [])]
            if not any(cpu in promised for cpu in free):
                world.actual[uid] = free
                world.tell(PodSeen(uid, "ns", uid, shape, node=name, phase="Running"))

    @precondition(lambda self: any(pod.node and pod.phase not in DONE for pod in self.world.pods.values()))
    @rule(data=st.data(), gone=st.booleans())
    def pod_ends(self, data: st.DataObject, gone: bool) -> None:
        running = [uid for uid, pod in self.world.pods.items() if pod.node and pod.phase not in DONE]
        uid = data.draw(st.sampled_from(running))
        if gone:
            self.world.tell(PodGone(uid))
        else:
            self.world.change_pod(uid, phase="Succeeded")

    def decide(self) -> None:
        self.world.cycle()

    @rule()
    def time_passes(self) -> None:
        self.decide()

    @precondition(lambda self: self.world.in_flight)
    @rule(data=st.data(), fine=st.booleans())
    def binding_is_answered(self, data: st.DataObject, fine: bool) -> None:
        self.world.answer([data.draw(st.sampled_from(list(self.world.in_flight)))], fine=fine)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    def teardown(self) -> None:
        world = self.world
        world.settle()
        assert not world.engine.guard.failures
        here, fresh = world.engine.state, world.fresh().state
        if not any(gang.reservations for gang in here.gangs.values()):
            assert digest(world.engine) == digest(world.fresh())
            assert cpus_in(here) == cpus_in(fresh)


def cpus_in(state: ClusterState) -> dict[str, object]:
    content = state.numa.content()
    return {name: content.get(node.row) for name, node in sorted(state.nodes.items())}


def node(name: str) -> NodeSeen:
    return NodeSeen(name, (("cpu", 9000), ("pods", 20)))


def numa(
    name: str,
    policy: str,
    reserved: int = 0,
    free: list[int] | None = None,
    told: tuple[tuple[str, str], ...] = (),
    *,
    static: bool = True,
) -> NumaSeen:
    groups = ("0-3", "4-7")
    return NumaSeen(
        name,
        static=static,
        policy=policy,
        numa=tuple(enumerate(groups)),
        sockets=groups,
        cores=tuple(f"{cpu}-{cpu + 1}" for cpu in range(0, CPUS, 2)),
        reserved=reserved,
        free=",".join(map(str, range(CPUS) if free is None else free)),
        told=told,
    )


class PreemptingMachine(NumaMachine):
    """The same where some gangs send others away."""

    policy = aware("preempt", "reclaim")

    def __init__(self) -> None:
        super().__init__()
        self.victims: list[str] = []

    def decide(self) -> None:
        plan = self.world.cycle()
        self.victims += [order.uid for order in plan.decisions if isinstance(order, Evict)]

    @rule(shape=st.sampled_from(SHAPES), size=st.integers(1, 3), priority=st.sampled_from([10, 20]))
    def important_gang_comes(self, shape: ShapeSpec, size: int, priority: int) -> None:
        self.count += 1
        gang = f"ns/i{self.count}"
        self.world.tell(GangSeen(gang, gang, "default", self.count, priority, size))
        pods = (PodSeen(f"{gang}-{i}", "ns", f"p{i}", shape, gang, "now", i, priority) for i in range(size))
        self.world.tell(*pods)

    @rule()
    def victims_leave(self) -> None:
        for uid in self.victims:
            if uid in self.world.pods and uid not in self.world.in_flight:
                self.world.tell(PodGone(uid))
        self.victims = []

    def teardown(self) -> None:
        for _ in range(3):
            self.victims_leave()
            self.decide()
            self.world.answer(self.world.in_flight)
        assert not self.world.engine.guard.failures


TestNuma = NumaMachine.TestCase
TestPreempting = PreemptingMachine.TestCase
TestNuma.settings = TestPreempting.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
