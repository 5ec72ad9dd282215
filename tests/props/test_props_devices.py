"""Shared devices, whatever happens in whatever order: none is given twice, and the books are what the pods say."""

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flowbatch.engine.decisions import Bind, Evict, Plan
from flowbatch.engine.events import DeclaredTask, GangSeen, NodeGone, NodeSeen, PodGone, PodSeen, QueueSeen, ShapeSpec
from flowbatch.model.asks import Device, DeviceAsk, DeviceShare
from flowbatch.model.state import ClusterState
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, GPU, PREEMPTING
from tests.factworld import DONE, World, digest

CPU = (("cpu", 1000),)
ASKS = (
    (DeviceAsk(milli=500),),
    (DeviceAsk(milli=600),),
    (DeviceAsk(milli=300, memory=4),),
    (DeviceAsk(memory=6),),
    (DeviceAsk(percent=50),),
    (DeviceAsk(count=2, whole=True),),
    (DeviceAsk(whole=True),),
    (DeviceAsk(count=2, milli=400),),
    (DeviceAsk(milli=500), DeviceAsk(milli=700)),
    (),
)
SHAPES = tuple(ShapeSpec(CPU, devices=asks) for asks in ASKS)


class DeviceWorld(World):
    """Bound pods carry what their Bind's patch said; every new place is judged against what others hold."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        super().__init__(policy)
        self.shares: dict[str, tuple[DeviceShare, ...]] = {}

    def judge(self, plan: Plan, before: dict[str, dict[str, int]]) -> None:
        super().judge(plan, before)
        for bind in plan.decisions:
            if isinstance(bind, Bind) and self.pods[bind.uid].shape.devices:
                self.shares[bind.uid] = self.judge_devices(bind)

    def judge_devices(self, bind: Bind) -> tuple[DeviceShare, ...]:
        patch = json.loads(bind.before[0].value)["metadata"]
        assert patch["uid"] == bind.uid
        ids = patch["annotations"]["volcano.sh/gpu-index"].split(",")
        asks = [ask for ask in self.pods[bind.uid].shape.devices for _ in range(ask.count)]
        devices = {device.id: device for device in self.nodes[bind.node].devices}
        mine: list[DeviceShare] = []
        for each, ask in zip(ids, asks, strict=True):
            memory = devices[each].memory * ask.percent // 100 if ask.percent else ask.memory
            others = [*self.on(bind.node, each), *(share for share in mine if share.id == each)]
            assert not (ask.whole and others), f"{each} of {bind.node} is not nobody's"
            mine.append(DeviceShare(each, 1000 if ask.whole else ask.milli, memory))
            assert sum(share.milli for share in others) + mine[-1].milli <= 1000, f"{each} of {bind.node} is full"
            assert sum(share.memory for share in others) + memory <= devices[each].memory, f"{each}: memory is full"
        for ask in self.pods[bind.uid].shape.devices:
            part, ids = ids[: ask.count], ids[ask.count :]
            assert len(dict.fromkeys(part)) == ask.count, "the same device twice"
        return tuple(mine)

    def on(self, node: str, device: str) -> list[DeviceShare]:
        uids = [uid for uid in self.shares if uid in self.pods and self.place_of(self.pods[uid]) == node]
        return [share for uid in uids for share in self.shares[uid] if share.id == device]

    def answer(self, uids, *, fine: bool = True) -> None:
        for uid in list(uids):
            if fine:
                node = self.in_flight.pop(uid)
                self.change_pod(uid, node=node, phase="Running", devices=self.shares.get(uid, ()))
            else:
                super().answer([uid], fine=False)
                self.shares.pop(uid, None)


class DeviceMachine(RuleBasedStateMachine):
    """Nodes, gangs and ends at random."""

    policy = DEFAULT

    def __init__(self) -> None:
        super().__init__()
        self.world = DeviceWorld(self.policy)
        self.count = 0

    @initialize()
    def begin(self) -> None:
        self.world.tell(QueueSeen("root"), QueueSeen("default"), node("n-a", 2))

    @rule(gpus=st.integers(0, 3))
    def node_comes_or_changes(self, gpus: int) -> None:
        self.count += 1
        name = f"n-{self.count % 3}"
        busy = any(self.world.place_of(pod) == name for pod in self.world.pods.values())
        if not busy or gpus >= len(self.world.nodes[name].devices):
            self.world.tell(node(name, gpus))

    @rule(data=st.data())
    def node_goes(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(self.world.nodes)))
        if not any(self.world.place_of(pod) == name for pod in self.world.pods.values()):
            self.world.tell(NodeGone(name))
            if not self.world.nodes:
                self.begin()

    @rule(shape=st.sampled_from(SHAPES), size=st.integers(1, 3), later=st.integers(0, 1))
    def gang_comes(self, shape: ShapeSpec, size: int, later: int) -> None:
        self.count += 1
        gang = f"ns/g{self.count}"
        declared = (DeclaredTask("late", later, later, shape, ("now",)),) if later else ()
        self.world.tell(GangSeen(gang, gang, "default", self.count, 0, size + later, declared=declared))
        self.world.tell(*(PodSeen(f"{gang}-{i}", "ns", f"p{i}", shape, gang, "now", i) for i in range(size)))
        if later and self.count % 2:
            self.world.tell(PodSeen(f"{gang}-late", "ns", "late", shape, gang, "late"))

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
            assert devices_of(here) == devices_of(fresh)


def devices_of(state: ClusterState) -> dict[str, object]:
    content = state.devices.content()
    return {name: content.get(node.row) for name, node in sorted(state.nodes.items())}


def node(name: str, gpus: int) -> NodeSeen:
    devices = tuple(Device(str(index), memory=10, slots=4) for index in range(gpus))
    return NodeSeen(name, (("cpu", 9000), ("pods", 20)), devices=devices)


class CarefulMachine(DeviceMachine):
    """The same under a policy that looks at devices, place by place."""

    policy = GPU


class PreemptingMachine(DeviceMachine):
    """The same where some gangs send others away: room is made for devices, and books and plans stay right."""

    policy = PREEMPTING

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


TestDevices = DeviceMachine.TestCase
TestPreempting = PreemptingMachine.TestCase
TestCareful = CarefulMachine.TestCase
TestDevices.settings = TestCareful.settings = TestPreempting.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
