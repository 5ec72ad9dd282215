"""Whatever happens, in whatever order: are plans safe, are the books right, and is nobody left parked who could run?"""

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flowbatch.engine.decisions import Bind, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    DeclaredTask,
    GangGone,
    GangSeen,
    NodeGone,
    NodeSeen,
    PodGone,
    PodSeen,
    QueueGone,
    QueueSeen,
    ShapeSpec,
    Taint,
    Toleration,
)
from tests.factworld import World, digest

SHAPES = (
    ShapeSpec((("cpu", 1000),)),
    ShapeSpec((("cpu", 2000), ("memory", 1))),
    ShapeSpec((("cpu", 3000),)),
    ShapeSpec((("cpu", 1000), ("gpu", 1))),
    ShapeSpec((("cpu", 1000),), (("zone", "a"),)),
    ShapeSpec((("cpu", 1000),), tolerations=(Toleration("dedicated", "Exists"),)),
    ShapeSpec((("cpu", 1000),), ports=(("TCP", "", 80),)),
    ShapeSpec(()),
    ShapeSpec((("cpu", 9000),)),
)
shapes = st.sampled_from(SHAPES)
QUEUES = ("default", "ads", "lab")


class EngineMachine(RuleBasedStateMachine):
    """Random facts, random ends, random failures; the World judges each plan."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.count = 0

    def next(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def pick(self, data: st.DataObject, names: dict[str, object]) -> str:
        return data.draw(st.sampled_from(list(names)))

    @initialize()
    def begin(self) -> None:
        self.world.tell(QueueSeen("root"), QueueSeen("default"), QueueSeen("ads", weight=2))
        self.world.tell(node("n-a", 4, zone="a"), node("n-b", 4))

    @rule(
        cpu=st.integers(1, 6),
        gpu=st.integers(0, 2),
        zone=st.sampled_from(["a", "b"]),
        taint=st.booleans(),
        pods=st.sampled_from([2, 10]),
    )
    def node_comes(self, cpu: int, gpu: int, zone: str, taint: bool, pods: int) -> None:
        if len(self.world.nodes) < 5:
            self.world.tell(node(self.next("n"), cpu, gpu=gpu, zone=zone, taint=taint, pods=pods))

    @rule(data=st.data(), cpu=st.integers(0, 6))
    def node_changes(self, data: st.DataObject, cpu: int) -> None:
        name = self.pick(data, self.world.nodes)
        change = data.draw(
            st.sampled_from(
                [
                    {"unschedulable": True},
                    {"unschedulable": False},
                    {"ready": False},
                    {"ready": True},
                    {"taints": ()},
                    {"taints": (Taint("dedicated"),)},
                    {"labels": (("zone", "a"),)},
                    {"allocatable": (("cpu", cpu * 1000), ("pods", 10))},
                ]
            )
        )
        self.world.change_node(name, **change)

    @precondition(lambda self: len(self.world.nodes) > 1)
    @rule(data=st.data())
    def node_goes(self, data: st.DataObject) -> None:
        self.world.tell(NodeGone(self.pick(data, self.world.nodes)))

    @rule(data=st.data(), name=st.sampled_from(QUEUES))
    def queue_changes(self, data: st.DataObject, name: str) -> None:
        if data.draw(st.integers(0, 5)) == 0 and name != "default":
            self.world.tell(QueueGone(name))
            return
        limit = st.sampled_from([(), (("cpu", 2000),), (("cpu", 6000),), (("cpu", 1000), ("pods", 3))])
        self.world.tell(
            QueueSeen(
                name,
                parent=data.draw(st.sampled_from(["", "root", "lab", "ads"])),
                weight=data.draw(st.sampled_from([1, 3])),
                priority=data.draw(st.sampled_from([0, 0, 5])),
                capability=data.draw(limit),
                guarantee=data.draw(st.sampled_from([(), (), (("cpu", 2000),)])),
                state=data.draw(st.sampled_from(["Open", "Open", "Open", "Closed"])),
            )
        )

    @rule(
        data=st.data(),
        shape=shapes,
        size=st.integers(1, 4),
        queue=st.sampled_from(("default", "default", "default", *QUEUES)),
    )
    def gang_comes(self, data: st.DataObject, shape: ShapeSpec, size: int, queue: str) -> None:
        if len(self.world.gangs) >= 6:
            return
        name = self.next("g")
        other = data.draw(st.one_of(st.none(), shapes))
        least = data.draw(st.integers(0, size + 1))
        heritage = data.draw(st.sampled_from([(), (("task", 1),), (("task", 2),)]))
        declared = (
            (DeclaredTask("late", data.draw(st.integers(1, 2)), 1, data.draw(shapes), ("task",), (), heritage),)
            if data.draw(st.integers(0, 3)) == 0
            else ()
        )
        needs = data.draw(st.sampled_from([None, None, (("cpu", 2000),), (("cpu", 30000),)]))
        gang = GangSeen(
            name,
            f"u-{name}",
            queue,
            self.count,
            data.draw(st.sampled_from([0, 0, 7])),
            least,
            data.draw(st.sampled_from([(), (("task", 1),), (("other", 1),)])) if other else (),
            needs,
            declared,
            phase="Pending",
        )
        pods = [pod(f"{name}-{i}", shape, name, "task", i) for i in range(size)]
        if other:
            pods.append(pod(f"{name}-o", other, name, "other", 0, gated=data.draw(st.booleans())))
        events = [gang, *pods]
        if data.draw(st.booleans()):
            events.reverse()
        self.world.tell(*events)

    @rule(data=st.data(), cpu=st.integers(1, 4))
    def stranger_comes(self, data: st.DataObject, cpu: int) -> None:
        where = data.draw(st.sampled_from([*self.world.nodes, "unheard-of"]))
        name = self.next("s")
        self.world.tell(PodSeen(name, "other", name, ShapeSpec((("cpu", cpu * 1000),)), node=where, phase="Running"))

    @precondition(lambda self: self.world.pods)
    @rule(data=st.data())
    def pod_changes(self, data: st.DataObject) -> None:
        name = self.pick(data, self.world.pods)
        level = self.world.pods[name]
        if name in self.world.in_flight:
            return
        match data.draw(st.sampled_from(["end", "fail", "delete", "gone", "gate", "shape"])):
            case "end" if level.node and level.phase == "Running":
                self.world.change_pod(name, phase="Succeeded")
            case "fail" if level.node and level.phase == "Running":
                self.world.change_pod(name, phase="Failed")
            case "delete":
                self.world.change_pod(name, deleting=True)
            case "gone":
                self.world.tell(PodGone(name))
            case "gate" if not level.node and level.phase == "Pending":
                self.world.change_pod(name, gated=not level.gated)
            case "shape" if level.phase == "Pending":
                self.world.change_pod(name, shape=data.draw(shapes))

    @precondition(lambda self: self.world.gangs)
    @rule(data=st.data())
    def gang_changes(self, data: st.DataObject) -> None:
        name = self.pick(data, self.world.gangs)
        change = data.draw(
            st.sampled_from(
                ["gone", {"min_members": 1}, {"min_members": 3}, {"queue": "ads"}, {"declared": ()}, "late"]
            )
        )
        gang = self.world.gangs[name]
        if change == "gone":
            self.world.tell(GangGone(name))
            for uid, level in list(self.world.pods.items()):
                if level.gang == name and data.draw(st.booleans()):
                    self.world.tell(PodGone(uid))
        elif change == "late":
            for task in gang.declared:
                for i in range(task.count):
                    if f"{name}-late-{i}" not in self.world.pods:
                        self.world.tell(pod(f"{name}-late-{i}", task.shape, name, task.name, i))
        else:
            self.world.tell(msgspec.structs.replace(gang, **change))

    @rule(budget=st.sampled_from([1, 2, 1000]))
    def cycle(self, budget: int) -> None:
        self.world.cycle(budget)

    @precondition(lambda self: self.world.in_flight)
    @rule(data=st.data(), fine=st.booleans())
    def binding_answers(self, data: st.DataObject, fine: bool) -> None:
        self.world.answer([self.pick(data, self.world.in_flight)], fine=fine)

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @rule()
    def everything_again(self) -> None:
        before = digest(self.world.engine)
        self.world.tell(*self.world.facts())
        assert before == digest(self.world.engine), "repeated facts changed something"

    @rule(data=st.data())
    def state_equals_a_rebuild_in_any_order(self, data: st.DataObject) -> None:
        self.world.answer(self.world.in_flight)
        if any(gang.reservations for gang in self.world.engine.state.gangs.values()):
            return  # held room is a decision, not a fact
        events = data.draw(st.permutations(self.world.facts()))
        rebuilt = Engine(validate=True)
        rebuilt.observe(events)
        assert digest(rebuilt) == digest(self.world.engine)

    @rule()
    def nobody_is_left_parked(self) -> None:
        self.world.settle()
        if any(gang.reservations for gang in self.world.engine.state.gangs.values()):
            return  # room that is held need not be held on the same nodes after a restart
        fresh = self.world.fresh()
        plan = fresh.cycle(Tick(self.world.now, 1_000))
        assert [each for each in plan.decisions if isinstance(each, Bind)] == [], "a fresh engine places more"


def node(name: str, cpu: int, gpu: int = 0, zone: str = "b", taint: bool = False, pods: int = 10) -> NodeSeen:
    return NodeSeen(
        name,
        (("cpu", cpu * 1000), ("gpu", gpu), ("memory", 4), ("pods", pods)),
        (("zone", zone),),
        (Taint("dedicated"),) if taint else (),
    )


def pod(name: str, shape: ShapeSpec, gang: str, task: str, index: int, gated: bool = False) -> PodSeen:
    return PodSeen(name, "ns", name, shape, gang, task, index, gated=gated)


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
