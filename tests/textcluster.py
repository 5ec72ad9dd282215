"""Clusters as text, for pure tests: a few lines in, an engine and its decisions out.

    engine = engine_with("2 nodes: cpu=4", "gang mpi: 3x cpu=4, min 3")

Lines (amounts are `name=value`; cpu counts cores, memory may end in Gi or Mi, anything else is whole):

    node n1: cpu=4 memory=8Gi zone:a !dedicated=ml:NoSchedule cordoned notready
    3 nodes: cpu=4                          (n1, n2, n3; numbers go on where the last line ended)
    queue ads: weight=2 capability(cpu=4) guarantee(cpu=2) deserved(cpu=3) parent=root closed fifo
    queue old: suspended
    queue lab: borrow(cpu=2) lend(cpu=0) user-ann(cpu=2) jobs-of-user-ann=1 namespace-*(cpu=4) hierarchy root/a:1/2
    gang mpi: 2x ps cpu=1, 8x worker cpu=2 @zone:a, min 5, queue ads, priority 10, phase Inqueue, needs(cpu=4), user ann
    pod other: cpu=2 on n1                  (nobody's pod)
    quota q: hard(cpu=4 count/pods=3) used(cpu=1)
    hypernode rack: tier 1 "rack", n1 n2    (members by name; `~text` is a pattern, `@key:value` a label of nodes)
    hypernode spine: tier 2, hypernodes rack rack2

A gang may say `waits 30` and `runs 60` (seconds).

Brackets are shared devices: a node has `[2 gpu]` or `[2 gpu 16384]` (MiB each), a pod asks for `[0.5 gpu]` of one,
`[4096Mi gpu]` of one's memory, `[2 gpu]` whole ones, or `[2x 0.5 gpu]`, half of each of two. A pod that is bound says
which it has: `on n1 has 0:500` (device 0, 500 thousandths of it).

`numa n1: single-numa-node 2x 4, reserved 1, taken 4-5, pod a-0 0-1` is a node's Numatopology: two NUMA nodes, each a
socket of 4 cpus, two to a core (`2x 4/1`: one to a core); `shared` where the kubelet gives nobody cpus of his own. A
pod's `own 2` are cpus for itself (`own 2+1` for two containers), `like restricted` the policy that it names, and `has
cpus 0-1` what it was given.

What pods are to each other (`tests.peertext`): `#app=web` is a label of the pod, `near[zone app=web]`,
`apart[host app=web]`, `likes[50 zone app=web]` and `spread[zone app=web skew=1 min=2 soft]` are its terms.

In a gang, `2x ps cpu=1` makes two pods of task "ps" ("task" where no name is given); `?` before it only declares them,
`~ps` after it says that they wait for task "ps", `heir ps 2` that two of them get the room of "ps" once it succeeds.
`hard 1`, `hard rack` or `soft` say how close its members must be,
`home rack` where it was before. `split worker 2 min 1 hard 1` cuts task "worker" into sub-groups of 2.
A gang "team/mpi" is in namespace "team", others are in "ns". Further words after the amounts: `gated`; `kept` (not
preemptable), `meek` (preemptionPolicy Never), `rank 5` (pod priority), `cooldown 60` (seconds). Of the gang:
`preemptable no`, `preempts no` (its priority class).
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from itertools import count

from flowbatch.engine.decisions import Bind, Evict, Nominate, Plan, Report, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import (
    DeclaredTask,
    Event,
    GangSeen,
    HyperNodeSeen,
    LabelTest,
    Members,
    NodeSeen,
    NumaSeen,
    OwnerLimit,
    PodGone,
    PodSeen,
    QueueSeen,
    QuotaSeen,
    Reach,
    ShapeSpec,
    SubGroups,
    Synced,
    Taint,
    Toleration,
)
from flowbatch.model.asks import Device, DeviceAsk, DeviceShare, NumaAsk
from flowbatch.model.cpusets import parsed, written
from flowbatch.model.ids import Amounts, GangId, HyperNodeName, Instant, NodeName, PodUid, QueueName
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT
from tests import peertext

TICK = Tick(Instant(1_000))
UNITS = {"Gi": 1 << 30, "Mi": 1 << 20, "Ki": 1 << 10}


def amounts(text: str) -> Amounts:
    """ "cpu=2 memory=1Gi" as Amounts."""
    found = {}
    for name, number, unit in re.findall(r"([\w./-]+)=([\d.]+)(Gi|Mi|Ki)?", text):
        found[name] = int(float(number) * 1000) if name.endswith("cpu") else int(number) * UNITS.get(unit, 1)
    return tuple(sorted(found.items()))


def node(name: str, text: str = "cpu=4") -> NodeSeen:
    """One node from the part after its name."""
    taints = tuple(
        Taint(key, value, effect or "NoSchedule")
        for key, value, effect in re.findall(r"!([\w./-]+)(?:=([\w-]*))?(?::(\w+))?", text)
    )
    plain = re.sub(r"!\S+|\[[^]]*\]", "", text)
    capacity = dict(amounts(plain))
    capacity.setdefault("pods", 110)
    return NodeSeen(
        NodeName(name),
        tuple(sorted(capacity.items())),
        tuple(sorted({"kubernetes.io/hostname": name, **dict(re.findall(r"([\w./-]+):([\w.-]+)", plain))}.items())),
        taints,
        unschedulable="cordoned" in plain,
        ready="notready" not in plain,
        devices=devices(text),
    )


def shape(text: str) -> ShapeSpec:
    """A pod's demand: amounts, `@key:value` selectors, `+key` tolerations, `%port` host ports."""
    terms = peertext.terms(text)
    text, numa = numa_ask(text)
    text = peertext.without(text)
    return ShapeSpec(
        amounts(re.sub(r"[@+%]\S+|\[[^]]*\]", "", text)),
        tuple(sorted(re.findall(r"@([\w./-]+):([\w.-]+)", text))),
        tolerations=tuple(Toleration(key, "Exists") for key in re.findall(r"\+([\w./-]+)", text)),
        ports=tuple(("TCP", "", int(port)) for port in re.findall(r"%(\d+)", text)),
        devices=tuple(device_ask(each) for each in re.findall(r"\[([^]]*)\]", text)),
        numa=numa,
        **terms,
    )


def devices(text: str) -> tuple[Device, ...]:
    """A node's "[2 gpu 16384]"."""
    found: list[Device] = []
    for number, kind, memory in re.findall(r"\[(\d+) (\w+) ?(\d*)\]", text):
        found.extend(
            Device(str(index), kind, int(memory or 0)) for index in range(len(found), len(found) + int(number))
        )
    return tuple(found)


def device_ask(text: str) -> DeviceAsk:
    """A pod's "0.5 gpu", "4096Mi gpu", "2 gpu" or "2x 0.5 gpu"."""
    match = re.fullmatch(r"(?:(\d+)x )?([\d.]+)(Mi)? (\w+)", text)
    assert match is not None, text
    count, number, memory, kind = int(match[1] or 1), float(match[2]), match[3], match[4]
    if memory:
        return DeviceAsk(kind, count, memory=int(number))
    if number < 1:
        return DeviceAsk(kind, count, milli=round(number * 1000))
    return DeviceAsk(kind, count * int(number), whole=True)


OWN = re.compile(r"\bown ([\d+]+)|\blike ([\w-]+)")


def numa_ask(text: str) -> tuple[str, NumaAsk | None]:
    """`own 2+1 like restricted` of a pod, and the text without it."""
    own = re.search(r"\bown ([\d+]+)", text)
    like = re.search(r"\blike ([\w-]+)", text)
    if own is None and like is None:
        return text, None
    counts = tuple(int(count) for count in own[1].split("+")) if own else ()
    return OWN.sub("", text), NumaAsk(like[1] if like else "", counts)


def numa(name: str, text: str) -> NumaSeen:
    """One Numatopology from the part after its name."""
    shape = re.search(r"(\d+)x (\d+)(?:/(\d+))?", text)
    assert shape is not None, text
    nodes, size, threads = int(shape[1]), int(shape[2]), int(shape[3] or 2)
    groups = tuple(written(((1 << size) - 1) << size * at) for at in range(nodes))
    cores = tuple(written(((1 << threads) - 1) << at) for at in range(0, nodes * size, threads))
    told = tuple(re.findall(r"pod ([\w/-]+) ([\d,-]*\d)", text))
    taken = re.search(r"taken ([\d,-]*\d)", text)
    busy = parsed(taken[1]) if taken else 0
    for _, cpus in told:
        busy |= parsed(cpus)
    policy, reserved = re.search(r"best-effort|restricted|single-numa-node", text), re.search(r"reserved (\d+)", text)
    return NumaSeen(
        NodeName(name),
        static="shared" not in text,
        policy=policy[0] if policy else "none",
        numa=tuple(enumerate(groups)),
        sockets=groups,
        cores=cores,
        reserved=int(reserved[1]) if reserved else 0,
        free=written(((1 << nodes * size) - 1) & ~busy),
        told=told,
    )


def queue(name: str, text: str = "") -> QueueSeen:
    """One queue from the part after its name."""

    def bracket(word: str) -> Amounts:
        found = re.search(word + r"\(([^)]*)\)", text)
        return amounts(found[1]) if found else ()

    def number(word: str, default: int) -> int:
        found = re.search(word + r"=(\d+)", text)
        return int(found[1]) if found else default

    def optional(word: str) -> Amounts | None:
        return bracket(word) if f"{word}(" in text else None

    parent = re.search(r"parent=(\S+)", text)
    path = re.search(r"hierarchy (\S+):(\S+)", text)
    return QueueSeen(
        QueueName(name),
        parent=QueueName(parent[1] if parent else ""),
        weight=number("weight", 1),
        priority=number("priority", 0),
        capability=bracket("capability"),
        deserved=bracket("deserved"),
        guarantee=bracket("guarantee"),
        reclaimable="kept" not in text,
        state="Closed" if "closed" in text else "Suspended" if "suspended" in text else "Open",
        dequeue="fifo" if "fifo" in text else "traverse",
        hierarchy=tuple(zip(path[1].split("/"), map(float, path[2].split("/")), strict=True)) if path else (),
        borrowing=optional("borrow"),
        lending=optional("lend"),
        limits=owner_limits(text),
    )


def quota(name: str, text: str = "") -> QuotaSeen:
    """A ResourceQuota of the namespace that all text clusters live in."""
    hard, used = (re.search(word + r"\(([^)]*)\)", text) for word in ("hard", "used"))
    return QuotaSeen("ns", name, amounts(hard[1]) if hard else (), amounts(used[1]) if used else ())


def hypernode(name: str, text: str) -> HyperNodeSeen:
    """One HyperNode from the part after its name."""
    head, _, rest = text.partition(",")
    tier = re.search(r"tier (-?\d+)", head)
    named = re.search(r'"([^"]*)"', head)
    words = rest.split()
    kind = "HyperNode" if words[:1] == ["hypernodes"] else "Node"
    members = tuple(_members(kind, word) for word in words if word != "hypernodes")
    return HyperNodeSeen(HyperNodeName(name), int(tier[1]) if tier else 1, named[1] if named else "", members)


def _members(kind: str, word: str) -> Members:
    if word.startswith("~"):
        return Members(kind, pattern=word[1:])  # type: ignore[arg-type]  # Node or HyperNode
    if word.startswith("@"):
        key, _, value = word[1:].partition(":")
        return Members(kind, labels=(LabelTest(key, "In", (value,)),))  # type: ignore[arg-type]
    return Members(kind, word)  # type: ignore[arg-type]


def reach(text: str) -> Reach | None:
    """ "hard 2", "hard rack", "soft" or nothing."""
    found = re.search(r"\b(?:hard (\S+?)(?:,|$| )|(soft))", text)
    if not found:
        return None
    if found[2]:
        return Reach(soft=True)
    return Reach(highest=int(found[1])) if found[1].isdigit() else Reach(name=found[1])


PARTITION = "volcano.sh/partition-id"
TASK = "volcano.sh/task-spec"


def sub_groups(text: str) -> tuple[SubGroups, ...]:
    """All `split TASK SIZE [min N] [hard 1]` parts."""
    return tuple(
        SubGroups(task, int(size), int(least or 0), (LabelTest(TASK, "In", (task,)),), (PARTITION,), reach(rest))
        for task, size, least, rest in re.findall(r"split ([\w-]+) (\d+)(?: min (\d+))?([^,]*)", text)
    )


def owner_limits(text: str) -> tuple[OwnerLimit, ...]:
    """`user-ann(cpu=2)`, `namespace-*(cpu=4)`, `jobs-of-user-ann=1`: limits of who may hold how much."""
    found: dict[tuple[str, str], list[object]] = {}
    for kind, name, most in re.findall(r"(?<![\w-])(user|namespace)-([\w*]+)\(([^)]*)\)", text):
        found.setdefault((kind, name), [(), None])[0] = amounts(most)
    for kind, name, jobs in re.findall(r"jobs-of-(user|namespace)-([\w*]+)=(\d+)", text):
        found.setdefault((kind, name), [(), None])[1] = int(jobs)
    return tuple(
        OwnerLimit(**{f"{kind}s": (name,)}, most=most, jobs=jobs)  # type: ignore[arg-type]  # as found above
        for (kind, name), (most, jobs) in found.items()
    )


def named(name: str) -> str:
    """The id of a gang: in namespace "ns" where it names none."""
    return name if "/" in name else f"ns/{name}"


def pod(name: str, spec: ShapeSpec, gang: str | None = None, **facts: object) -> PodSeen:
    """One pod; its uid is its name."""
    gang_id = GangId(named(gang)) if gang else None
    return PodSeen(PodUid(name), gang_id.partition("/")[0] if gang_id else "ns", name, spec, gang_id, **facts)  # type: ignore[arg-type]  # facts are PodSeen's


def gang(name: str, text: str, created: int = 0) -> list[Event]:
    """A PodGroup and its pods from the part after its name."""
    events: list[Event] = []
    declared: list[DeclaredTask] = []
    groups = sub_groups(text)
    sizes = {each.name: each.size for each in groups}
    text = re.sub(r", split [^,]*", "", text)
    base = name.replace("/", "-")
    found = re.findall(r"(\??)(\d+)x ((?:[a-z][\w-]*(?= |,|$)(?!=))?)([^,]*)", text)
    for only_declared, number, task, rest in found:
        waits = tuple(re.findall(r"~(\w+)", rest))
        minimum = re.search(r"least (\d+)", rest)
        heritage = tuple((source, int(many)) for source, many in re.findall(r"heir (\w+) (\d+)", rest))
        spec = shape(re.sub(r"~\w+|heir \w+ \d+|least \d+|gated|kept|meek|rank \d+|cooldown \d+", "", rest))
        task_name = task or "task"
        if only_declared or waits:
            least = int(minimum[1]) if minimum else int(number)
            labels = peertext.labels(rest)
            declared.append(DeclaredTask(task_name, int(number), least, spec, waits, labels, heritage))
        if not only_declared:
            events.extend(
                pod(
                    f"{base}-{task_name}-{index}" if task else f"{base}-{index}",
                    spec,
                    name,
                    task=task_name,
                    index=index,
                    created=Instant(created),
                    gated="gated" in rest,
                    preemptable="kept" not in rest,
                    preempts="meek" not in rest,
                    priority=int(rank[1]) if (rank := re.search(r"rank (\d+)", rest)) else 0,
                    cooldown_ms=int(cool[1]) * 1000 if (cool := re.search(r"cooldown (\d+)", rest)) else 0,
                    labels=tuple(sorted(labels_of(task_name, index, sizes) + peertext.labels(rest))),
                )
                for index in range(int(number))
            )

    def word(pattern: str, default: str) -> str:
        match = re.search(r"(?:^|, )" + pattern, text)
        return match[1] if match else default

    needs = re.search(r"needs\(([^)]*)\)", text)
    by_task = tuple((task, int(least)) for task, least in re.findall(r"min-(\w+) (\d+)", text))
    seen = GangSeen(
        GangId(named(name)),
        f"uid-{name}",
        QueueName(word(r"queue (\S+?)(?:,|$)", "default")),
        Instant(created),
        int(word(r"priority (-?\d+)", "0")),
        int(word(r"min (\d+)", str(sum(int(number) for _, number, _, _ in found)))),
        by_task,
        amounts(needs[1]) if needs else None,
        tuple(declared),
        word(r"phase (\w+)", "Pending"),  # type: ignore[arg-type]  # a GangPhase
        wait_ms=int(word(r"waits (\d+)", "0")) * 1000 or None,
        estimate_ms=int(word(r"runs (\d+)", "0")) * 1000 or None,
        reach=reach(text),
        sub_groups=groups,
        home=HyperNodeName(word(r"home (\S+?)(?:,|$)", "")),
        preemptable={"": None, "yes": True, "no": False}[word(r"preemptable (\w+)", "")],
        preempts=word(r"preempts (\w+)", "") != "no",
        user=word(r"user (\S+?)(?:,|$)", ""),
    )
    return [seen, *events]


def labels_of(task: str, index: int, sizes: dict[str, int]) -> tuple[tuple[str, str], ...]:
    """Labels by which sub-groups are cut, as the job controller sets them."""
    return ((PARTITION, str(index // sizes[task])), (TASK, task)) if task in sizes else ()


def facts(*lines: str) -> list[Event]:
    """All events of a text cluster, with the queues "root" and "default"."""
    events: list[Event] = [queue("root"), queue("default")]
    numbers, age = count(1), count(1)
    for line in lines:
        head, _, rest = line.partition(":")
        kind, _, name = head.partition(" ")
        if name in ("nodes", "node") and kind.isdigit():
            events.extend(node(f"n{next(numbers)}", rest) for _ in range(int(kind)))
        elif kind == "node":
            events.append(node(name, rest))
        elif kind == "queue":
            events.append(queue(name, rest))
        elif kind == "numa":
            events.append(numa(name, rest))
        elif kind == "quota":
            events.append(quota(name, rest))
        elif kind == "gang":
            events.extend(gang(name, rest.strip(), next(age)))
        elif kind == "hypernode":
            events.append(hypernode(name, rest.strip()))
        elif kind == "pod":
            where = re.search(r" on (\S+)", rest)
            cpus = re.search(r" has cpus (\S+)", rest)
            spec = shape(re.sub(r" on \S+| has cpus \S+| has \S+", "", rest))
            held = tuple(DeviceShare(each, int(milli)) for each, milli in re.findall(r"\b(\d+):(\d+)", rest))
            events.append(
                pod(
                    name,
                    spec,
                    node=NodeName(where[1]) if where else None,
                    phase="Running",
                    labels=peertext.labels(rest),
                    devices=held,
                    cpus=cpus[1] if cpus else "",
                )
            )
        else:
            raise ValueError(line)
    return events


def engine_with(*lines: str, policy: Policy = DEFAULT) -> Engine:
    """A validating engine that knows these facts and has not decided anything."""
    engine = Engine(policy, validate=True)
    engine.observe([*facts(*lines), Synced()])
    return engine


def cycle(engine: Engine, now: int = 1_000, budget: int = 100_000) -> Plan:
    """One cycle with room enough."""
    return engine.cycle(Tick(Instant(now), budget))


def binds(plan: Plan) -> list[Bind]:
    """Its bindings, in order."""
    return [each for each in plan.decisions if isinstance(each, Bind)]


def bound(plan: Plan) -> dict[str, str]:
    """Pod -> node."""
    return {bind.name: bind.node for bind in binds(plan)}


def nodes_used(plan: Plan) -> list[str]:
    """Nodes that got something, sorted, with repeats."""
    return sorted(bind.node for bind in binds(plan))


def gangs_bound(plan: Plan) -> dict[str, int]:
    """Gang -> members bound."""
    result: dict[str, int] = {}
    for bind in binds(plan):
        name = str(bind.gang).partition("/")[2]
        result[name] = result.get(name, 0) + 1
    return result


def reports(plan: Plan) -> dict[str, Report]:
    """Gang -> what it should say."""
    return {each.gang.partition("/")[2]: each for each in plan.decisions if isinstance(each, Report)}


def evicted(plan: Plan) -> list[str]:
    """Pods told to go, sorted."""
    return sorted(each.name for each in plan.decisions if isinstance(each, Evict))


def nominated(plan: Plan) -> dict[str, str | None]:
    """Pod -> the node it is nominated for."""
    return {each.name: each.node for each in plan.decisions if isinstance(each, Nominate)}


def running(*lines: str, policy: Policy = DEFAULT, now: int = 1_000) -> Engine:
    """An engine that has placed all it could of these facts, and has seen it run."""
    engine = engine_with(*lines, policy=policy)
    confirm(engine, cycle(engine, now))
    return engine


def more(engine: Engine, *lines: str, now: int = 2_000) -> Plan:
    """These facts come too; what is decided then."""
    known = ("root", "default")
    ages = itertools.count(len(engine.state.gangs) + 1)
    for line in lines:
        head, _, rest = line.partition(":")
        name = head.partition(" ")[2]
        found = gang(name, rest.strip(), next(ages)) if head.startswith("gang ") else facts(line)
        engine.observe([each for each in found if not (isinstance(each, QueueSeen) and each.name in known)])
    return cycle(engine, now)


def leave(engine: Engine, names: Iterable[str]) -> None:
    """These pods are gone."""
    engine.observe([PodGone(PodUid(name)) for name in names])


def confirm(engine: Engine, plans: Iterable[Plan] | Plan, phase: str = "Running") -> list[PodSeen]:
    """Tell the engine that everything in the plans was bound and now runs."""
    seen = [
        seen_again(engine, bind.name, node=bind.node, phase=phase)
        for plan in ([plans] if isinstance(plans, Plan) else plans)
        for bind in binds(plan)
    ]
    engine.observe(seen)
    return seen


def seen_again(engine: Engine, name: str, **changes: object) -> PodSeen:
    """The pod's last fact with changes."""
    import msgspec

    return msgspec.structs.replace(engine.state.tasks[PodUid(name)].fact, **changes)


def finish(engine: Engine, names: Sequence[str], phase: str = "Succeeded") -> None:
    """These pods ended."""
    engine.observe([seen_again(engine, name, phase=phase) for name in names])


def blocker(engine: Engine, name: str) -> str:
    """Name of what a gang waits for; empty for none."""
    found = engine.blocker_of(GangId(named(name)))
    return found.name if found else ""


def why(engine: Engine, name: str) -> str:
    """What people read."""
    explanation = engine.explain(GangId(named(name)))
    return explanation.message if explanation else ""


def phase(engine: Engine, name: str) -> str:
    """The gang's phase as decided."""
    return engine.state.gangs[GangId(named(name))].phase


def label_test(key: str, operator: str, *values: str) -> LabelTest:
    """One test of a node affinity term."""
    return LabelTest(key, operator, values)
