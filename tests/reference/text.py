"""Facts as the lines of a text cluster (`tests.textcluster`), as far as its language goes: for reports of failures."""

from collections.abc import Iterable

from flowbatch.engine.events import Event, GangSeen, NodeSeen, PodSeen, QueueSeen, ShapeSpec
from tests.reference.cluster import Amounts


def amounts(units: Amounts) -> str:
    """ "cpu=2 gpu=1"."""
    return " ".join(
        f"{name}={number / 1000:g}" if name == "cpu" else f"{name}={number}" for name, number in units.items()
    )


def shape(spec: ShapeSpec) -> str:
    """Amounts, selectors, tolerations, ports."""
    parts = [
        amounts(dict(spec.requests)),
        *(f"@{key}:{value}" for key, value in spec.selector),
        *(f"+{each.key}" for each in spec.tolerations),
        *(f"%{port}" for _, _, port in spec.ports),
    ]
    return " ".join(filter(None, parts)) or "nothing"


def lines(facts: Iterable[Event]) -> list[str]:
    """One line for each object; pods are told with their gang."""
    facts = list(facts)
    pods = [fact for fact in facts if isinstance(fact, PodSeen)]
    result = []
    for fact in facts:
        match fact:
            case NodeSeen():
                marks = [f"{key}:{value}" for key, value in fact.labels] + [f"!{taint.key}" for taint in fact.taints]
                marks += ["cordoned"] * fact.unschedulable + ["notready"] * (not fact.ready)
                result.append(f"node {fact.name}: {amounts(dict(fact.allocatable))} {' '.join(marks)}")
            case QueueSeen():
                result.append(_queue(fact))
            case GangSeen():
                result.append(_gang(fact, [pod for pod in pods if pod.gang == fact.id]))
            case PodSeen() if fact.gang is None:
                result.append(f"pod {fact.name}: {shape(fact.shape)} on {fact.node}")
    return result


def _queue(fact: QueueSeen) -> str:
    parts = [f"weight={fact.weight}", f"priority={fact.priority}"]
    parts += [f"capability({amounts(dict(fact.capability))})"] if fact.capability else []
    parts += [f"guarantee({amounts(dict(fact.guarantee))})"] if fact.guarantee else []
    parts += [f"parent={fact.parent}"] if fact.parent else []
    return f"queue {fact.name}: {' '.join(parts)}{'' if fact.state == 'Open' else ' closed'}"


def _gang(fact: GangSeen, pods: list[PodSeen]) -> str:
    parts = []
    for pod in pods:
        marks = [f"priority {pod.priority}"] * bool(pod.priority) + ["gated"] * pod.gated
        marks += [f"on {pod.node}"] if pod.node else []
        marks += [pod.phase] if pod.phase != "Pending" else []
        parts.append(f"1x {pod.task} {' '.join([shape(pod.shape), *marks])}")
    for task in fact.declared:
        waits = "".join(f" ~{name}" for name in task.waits_for)
        parts.append(f"?{task.count}x {task.name} {shape(task.shape)} least {task.minimum}{waits}")
    parts += [f"min {fact.min_members}", *(f"min-{task} {count}" for task, count in fact.min_by_task)]
    parts += [f"queue {fact.queue}", f"priority {fact.priority}", f"created {fact.created}", f"phase {fact.phase}"]
    parts += [f"needs({amounts(dict(fact.min_resources))})"] if fact.min_resources is not None else []
    return f"gang {fact.id}: {', '.join(parts)}"
