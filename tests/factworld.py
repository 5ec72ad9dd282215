"""A tiny cluster of facts that answers an engine's plans, for property tests.

It keeps the last level of every object, plays the API server (a binding succeeds, fails, or is answered later) and
judges each plan from those levels alone, with arithmetic of its own.
"""

from collections.abc import Iterable

import msgspec

from flowbatch.engine.decisions import Bind, Plan, Report, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    BindFailed,
    Event,
    GangGone,
    GangSeen,
    HyperNodeGone,
    HyperNodeSeen,
    NodeGone,
    NodeSeen,
    NumaGone,
    NumaSeen,
    PodGone,
    PodSeen,
    QueueGone,
    QueueSeen,
    Synced,
)
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT

DONE = ("Succeeded", "Failed")


class World:
    """Levels of all objects, and an engine that has been told all of them."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self.policy = policy
        self.now = 0
        self.nodes: dict[str, NodeSeen] = {}
        self.queues: dict[str, QueueSeen] = {}
        self.hyper_nodes: dict[str, HyperNodeSeen] = {}
        self.cpus: dict[str, NumaSeen] = {}
        self.gangs: dict[str, GangSeen] = {}
        self.pods: dict[str, PodSeen] = {}
        #: Bindings on their way: pod -> node.
        self.in_flight: dict[str, str] = {}
        self.engine = Engine(policy, validate=True)
        self.engine.observe([Synced()])

    def tell(self, *events: Event) -> None:
        """Something happened: it is true from now on, and the engine hears of it."""
        for event in events:
            self._note(event)
        self.engine.observe(events)

    def _note(self, event: Event) -> None:
        match event:
            case NodeSeen():
                self.nodes[event.name] = event
            case NodeGone():
                self.nodes.pop(event.name, None)
            case QueueSeen():
                self.queues[event.name] = event
            case QueueGone():
                self.queues.pop(event.name, None)
            case GangSeen():
                self.gangs[event.id] = event
            case GangGone():
                self.gangs.pop(event.id, None)
            case PodSeen():
                self.pods[event.uid] = event
            case PodGone():
                self.pods.pop(event.uid, None)
                self.in_flight.pop(event.uid, None)
            case _:
                self._note_rare(event)

    def _note_rare(self, event: Event) -> None:
        match event:
            case HyperNodeSeen():
                self.hyper_nodes[event.name] = event
            case HyperNodeGone():
                self.hyper_nodes.pop(event.name, None)
            case NumaSeen():
                self.cpus[event.node] = event
            case NumaGone():
                self.cpus.pop(event.node, None)

    def change_pod(self, uid: str, **changes: object) -> None:
        """A pod has a new level."""
        self.tell(msgspec.structs.replace(self.pods[uid], **changes))

    def change_node(self, name: str, **changes: object) -> None:
        """A node has a new level."""
        self.tell(msgspec.structs.replace(self.nodes[name], **changes))

    def facts(self) -> list[Event]:
        """Everything that is true now, kind by kind."""
        return [
            *self.queues.values(),
            *self.nodes.values(),
            *self.hyper_nodes.values(),
            *self.cpus.values(),
            *self.gangs.values(),
            *self.pods.values(),
        ]

    def cycle(self, budget: int = 1_000) -> Plan:
        """One cycle, judged; reports are written to the wire at once, bindings are on their way."""
        self.now += 1_000
        before = self.usage()
        plan = self.engine.cycle(Tick(self.now, budget))
        self.judge(plan, before)
        for decision in plan.decisions:
            if isinstance(decision, Bind):
                assert decision.uid not in self.in_flight, "bound twice"
                self.in_flight[decision.uid] = decision.node
            elif isinstance(decision, Report) and decision.gang in self.gangs:
                gang = msgspec.structs.replace(
                    self.gangs[decision.gang],
                    phase=decision.phase,
                    home=decision.home or self.gangs[decision.gang].home,
                )
                self.tell(gang)
        return plan

    def settle(self) -> Plan:
        """Cycles until nothing is left to do; every binding succeeds."""
        for _ in range(200):
            plan = self.cycle()
            self.answer(self.in_flight)
            if not self.in_flight and not plan.more and not any(isinstance(each, Bind) for each in plan.decisions):
                return plan
        raise AssertionError("the engine never comes to rest")

    def answer(self, uids: Iterable[str], *, fine: bool = True) -> None:
        """Bindings on their way arrive, or fail."""
        for uid in list(uids):
            node = self.in_flight.pop(uid)
            if fine:
                self.change_pod(uid, node=node, phase="Running")
            else:
                self.tell(BindFailed(uid, node, "conflict"))

    def restart(self) -> None:
        """A new engine is told what is true; what was on its way has arrived."""
        self.answer(self.in_flight)
        self.engine = self.fresh()

    def fresh(self) -> Engine:
        """An engine that knows nothing but what is true now; nodes in the order of rows, so that ties fall alike."""
        rows = {name: node.row for name, node in self.engine.state.nodes.items()}
        self.nodes = dict(sorted(self.nodes.items(), key=lambda item: rows[item[0]]))
        engine = Engine(self.policy, validate=True)
        engine.observe([*self.facts(), Synced()])
        return engine

    # -- judging

    def place_of(self, pod: PodSeen) -> str | None:
        """Where it uses capacity."""
        return None if pod.phase in DONE else pod.node or self.in_flight.get(pod.uid)

    def usage(self) -> dict[str, dict[str, int]]:
        """Node -> resource -> use, from levels and bindings on their way."""
        use: dict[str, dict[str, int]] = {}
        for pod in self.pods.values():
            node = self.place_of(pod)
            if node is not None:
                _count(use.setdefault(node, {}), pod)
        return use

    def judge(self, plan: Plan, before: dict[str, dict[str, int]]) -> None:
        """No overcommit, no bad node, no broken gang, no queue above its capability."""
        binds = [each for each in plan.decisions if isinstance(each, Bind)]
        use = {node: dict(amounts) for node, amounts in before.items()}
        for bind in binds:
            pod, node = self.pods[bind.uid], self.nodes[bind.node]
            assert pod.node is None, "it has a node already"
            assert not pod.deleting, "it is being deleted"
            assert not pod.gated, "it is gated"
            assert node.ready, "the node is not ready"
            assert not node.unschedulable, "the node is cordoned"
            labels = dict(node.labels)
            assert all(labels.get(key) == value for key, value in pod.shape.selector), "the selector does not match"
            tolerated = [each.key for each in pod.shape.tolerations]
            assert all(taint.key in tolerated or taint.effect == "PreferNoSchedule" for taint in node.taints)
            _count(use.setdefault(bind.node, {}), pod)
        for name in dict.fromkeys(bind.node for bind in binds):
            have = dict(self.nodes[name].allocatable)
            assert all(units <= have.get(key, 0) for key, units in use[name].items()), f"overcommit on {name}"
        self.judge_gangs(binds)
        self.judge_queues(binds)

    def judge_gangs(self, binds: list[Bind]) -> None:
        """A gang that had nobody in place gets its minimum at once; members without pods count if declared so."""
        for gang_id in dict.fromkeys(bind.gang for bind in binds):
            gang = self.gangs[gang_id]
            mine = [pod for pod in self.pods.values() if pod.gang == gang_id]
            there = [pod for pod in mine if pod.phase == "Succeeded" or (self.place_of(pod) and not pod.deleting)]
            if there:
                continue
            new = [bind for bind in binds if bind.gang == gang_id]
            free_riders = [pod for pod in mine if not pod.shape.requests and not pod.gated and not pod.deleting]
            if all(not self.pods[bind.uid].shape.requests for bind in new):
                continue
            later = sum(
                max(0, task.count - sum(pod.task == task.name for pod in mine))
                for task in gang.declared
                if task.waits_for
            )
            placed = [bind for bind in new if self.pods[bind.uid].shape.requests]
            assert len(placed) + len(free_riders) + later >= gang.min_members, f"{gang_id} is broken"

    def judge_queues(self, binds: list[Bind]) -> None:
        """No queue above its own capability after it got something."""
        queue_of = {gang.id: gang.queue for gang in self.gangs.values()}
        new = {bind.uid: bind.gang for bind in binds}
        for name in dict.fromkeys(queue_of[gang] for gang in new.values()):
            queue, use = self.queues[name], {}
            for pod in self.pods.values():
                if queue_of.get(pod.gang) == name and (self.place_of(pod) or pod.uid in new):
                    _count(use, pod)
            asked = {key for uid in new if queue_of[new[uid]] == name for key, _ in self.pods[uid].shape.requests}
            for key, most in queue.capability:
                assert key not in asked or use.get(key, 0) <= most, f"queue {name} holds too much {key}"


def _count(use: dict[str, int], pod: PodSeen) -> None:
    use["pods"] = use.get("pods", 0) + 1
    for key, units in pod.shape.requests:
        use[key] = use.get(key, 0) + units


def digest(engine: Engine) -> object:
    """All numbers and identities of an engine's state, by names only."""
    state = engine.state
    state.table.fit_axes()
    names = state.axes.names

    def by_name(values: tuple[int, ...]) -> dict[str, int]:
        return {name: value for name, value in sorted(zip(names, values, strict=False)) if value}

    return {
        "nodes": {
            name: [by_name(column) for column in state.table.columns_of(node.row)]
            for name, node in sorted(state.nodes.items())
        },
        "tasks": {
            uid: (task.state.name, task.node.name if task.node else None) for uid, task in sorted(state.tasks.items())
        },
        "gangs": {
            gang.id: (
                gang.queue.name if gang.queue else None,
                sorted(gang.pending),
                state.axes.amounts(gang.allocated),
                {name: (role.counts, role.gated) for name, role in sorted(gang.roles.items())},
            )
            for gang in sorted(state.gangs.values(), key=lambda gang: gang.id)
        },
        "queues": {
            name: (
                [each.name for each in queue.path],
                state.axes.amounts(queue.allocated),
            )
            for name, queue in sorted(state.queues.by_name.items())
        },
        "used": state.axes.amounts(state.used),
    }
