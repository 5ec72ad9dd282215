"""Wire objects in, engine facts out: one of the two small files where the columns meet (queues: `queue_facts`).

Pure: no clock, no I/O, and no memory but the interned shapes that are handed in. An object that cannot be read
raises `UnreadableError`, naming it; whoever feeds the engine isolates it, so that one bad object never stops the rest.
"""

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, get_args

import msgspec

from flowbatch.api import names
from flowbatch.api.core import ContainerImage, Namespace, Node, Pod, PodSpec, PriorityClass
from flowbatch.api.meta import ObjectMeta
from flowbatch.api.quantity import QuantityError, amount, scale_of
from flowbatch.api.scheduling import DeclaredTask, PodGroup
from flowbatch.api.timestamps import parse_duration
from flowbatch.engine import events
from flowbatch.errors import FlowbatchError
from flowbatch.model.ids import Amounts, GangId, Instant, NodeName, PodUid, QueueName
from flowbatch.scheduler import devices, numa
from flowbatch.scheduler.images import Images
from flowbatch.scheduler.shapes import MAX_UNITS, Shapes, queue_amounts, quota_only

#: Values of the classes that every cluster has, even where nobody lists them.
SYSTEM_PRIORITIES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
#: What Go's strconv.ParseBool takes for true.
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_INDEX: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_FINISHED: Final = frozenset({"Succeeded", "Failed"})
_POD_PHASES: Final = frozenset(get_args(events.PodPhase))
_GANG_PHASES: Final = frozenset(get_args(events.GangPhase))
_EFFECTS: Final = frozenset(get_args(events.TaintEffect))
#: `Shapes.of_pod`, or `lone_pod` for a pod whose amounts cannot be read.
ShapeOf = Callable[[PodSpec, ObjectMeta], events.ShapeSpec]
#: `MentionedLabels.of`: what of a pod's labels the engine is told.
LabelsOf = Callable[[Mapping[str, str]], tuple[tuple[str, str], ...]]
_TASK_MARKS: Final = (names.TASK_TOGETHER, names.TASK_APART, names.TASK_ORDER)
_declared_tasks = msgspec.json.Decoder(tuple[DeclaredTask, ...])


class UnreadableError(FlowbatchError):
    """An object whose content cannot be understood; the message says which part."""


class Priorities:
    """PriorityClass names to values, with the cluster's default and the two system classes."""

    def __init__(self, classes: Iterable[PriorityClass] = ()) -> None:
        self._values: dict[str, int] = dict(SYSTEM_PRIORITIES)
        self.default = 0
        #: Classes whose pods others are not evicted for.
        self._meek: dict[str, None] = {}
        for each in sorted(classes, key=lambda each: (each.value, each.metadata.name)):
            if each.preemption_policy == "Never":
                self._meek[each.metadata.name] = None
            self._values[each.metadata.name] = each.value
            if each.global_default:
                # Several global defaults are legal; Kubernetes takes the smallest.
                self.default = min(self.default, each.value) if self.default else each.value

    def of(self, name: str) -> int:
        """The value of the class `name`; the default for an empty or unknown one, as Volcano does."""
        return self._values.get(name, self.default) if name else self.default

    def preempts(self, name: str) -> bool:
        """Whether others may be evicted for what is of the class `name`."""
        return name not in self._meek


def no_labels(_labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Nobody asks for any."""
    return ()


def pod_fact(
    pod: Pod, ours: Collection[str], shape_of: ShapeOf, labels_of: LabelsOf = no_labels
) -> events.PodSeen | None:
    """What the engine must know of `pod`, or None where it concerns nobody.

    Pods of other schedulers concern us from their binding to their end; ours as soon as they name their gang.
    Raises UnreadableError.
    """
    meta, spec, status = pod.metadata, pod.spec, pod.status
    node = NodeName(spec.node_name) if spec.node_name else None
    gang = gang_of(meta) if spec.scheduler_name in ours else None
    if gang is None and (node is None or status.phase in _FINISHED):
        return None
    try:
        shape = shape_of(spec, meta)
        if meta.annotations:
            shape = marked_shape(shape, shape_marks(meta))
            if shape.devices:
                shape = devices.suited(shape, devices.marks(meta.annotations))
            if shape.numa is not None:
                shape = numa.with_policy(shape, numa.policy_of(meta.annotations))
    except QuantityError as error:
        raise UnreadableError(f"a resource amount {error}") from error
    return events.PodSeen(
        uid=PodUid(meta.uid),
        namespace=meta.namespace,
        name=meta.name,
        shape=shape,
        gang=gang,
        task=marked(meta, names.TASK_SPEC) if gang is not None else "",
        index=_index(marked(meta, names.TASK_INDEX)) if gang is not None else 0,
        priority=spec.priority,
        created=instant(meta.creation_timestamp),
        phase=status.phase if status.phase in _POD_PHASES else "Unknown",  # type: ignore[arg-type]  # narrowed by the set
        node=node,
        nominated=NodeName(status.nominated_node_name) if status.nominated_node_name else None,
        deleting=meta.deletion_timestamp is not None,
        gated=any(each.name != names.QUEUE_ALLOCATION_GATE for each in spec.scheduling_gates),
        queue_gate=bool(spec.scheduling_gates),
        ready=any(each.type == "Ready" and each.status == "True" for each in status.conditions),
        preemptable=is_preemptable(meta),
        labels=labels_of(meta.labels),
        started=instant(status.start_time),
        preempts=spec.preemption_policy != "Never",
        cooldown_ms=_cooldown_ms(meta) if gang is not None else 0,
        priority_class=spec.priority_class_name,
        deadline_ms=max(0, spec.active_deadline_seconds or 0) * 1000,
        devices=devices.held(shape, meta.annotations) if node is not None and shape.devices else (),
        cpus=numa.held(meta.annotations) if node is not None and shape.numa is not None else "",
    )


def shape_marks(meta: ObjectMeta) -> tuple[tuple[str, str], ...]:
    """Those of a pod's annotations that decide where it may be: usually none.

    As in Volcano, only a revocable zone of "*" counts, and a pod that says it may be preempted is as good as marked so.
    """
    notes = meta.annotations
    marks = [(key, notes[key]) for key in names.SCORING_MARKS if key in notes]
    zone = notes.get(names.REVOCABLE_ZONE, "*" if notes.get(names.PREEMPTABLE) in _TRUE else "")
    return (*marks, (names.REVOCABLE_ZONE, zone)) if zone == "*" else tuple(marks)


@lru_cache(maxsize=4096)
def marked_shape(shape: events.ShapeSpec, marks: tuple[tuple[str, str], ...]) -> events.ShapeSpec:
    """`shape` with `marks`; equal ones are one object."""
    return msgspec.structs.replace(shape, marks=marks) if marks else shape


def lone_pod(_spec: PodSpec, _meta: ObjectMeta) -> events.ShapeSpec:
    """What an unreadable pod is known to take of its node: one of its pods."""
    return events.ShapeSpec(requests=(("pods", 1),))


def gang_of(meta: ObjectMeta) -> GangId | None:
    """The PodGroup that a pod names: annotations first, then labels, Kubernetes' spelling before Volcano's."""
    for marks in (meta.annotations, meta.labels):
        for key in (names.GROUP_NAME, names.VOLCANO_GROUP_NAME):
            if name := marks.get(key):
                # One text for all pods of a gang, not one for each.
                return GangId(sys.intern(f"{meta.namespace}/{name}"))
    return None


def marked(meta: ObjectMeta, key: str) -> str:
    """The annotation `key`, or the label where there is none."""
    return meta.annotations.get(key) or meta.labels.get(key) or ""


def _index(text: str) -> int:
    return int(text) if _INDEX.fullmatch(text) else 0


def is_preemptable(meta: ObjectMeta) -> bool:
    """Volcano's rule for pods: absent means yes, a value that is no boolean means no."""
    text = meta.annotations.get(names.PREEMPTABLE, meta.labels.get(names.PREEMPTABLE))
    return True if text is None else text in _TRUE


def _cooldown_ms(meta: ObjectMeta) -> int:
    """How long a pod is let work before it may be evicted; what is no time is none, as in Volcano."""
    text = marked(meta, names.COOLDOWN_TIME)
    try:
        return max(0, parse_duration(text) // timedelta(milliseconds=1)) if text else 0
    except ValueError:
        return 0


def _says_preemptable(meta: ObjectMeta) -> bool | None:
    """What a PodGroup says about its pods; None where it says nothing."""
    said = names.PREEMPTABLE in meta.annotations or names.PREEMPTABLE in meta.labels
    return is_preemptable(meta) if said else None


def no_images(_images: Iterable[ContainerImage]) -> Images:
    """Nobody asks for any."""
    return ()


def node_fact(
    node: Node,
    images_of: Callable[[Iterable[ContainerImage]], Images] = no_images,
    groups_of: devices.GroupsOf = devices.uncut,
) -> events.NodeSeen:
    """`node` as the engine sees it; capacity rounds down. Raises UnreadableError."""
    capacity = _capacity(node.status.allocatable)
    cards = devices.of_node(node, capacity, groups_of)
    return events.NodeSeen(
        name=NodeName(node.metadata.name),
        allocatable=devices.with_vgpus(capacity, cards) if cards else capacity,
        labels=tuple(sorted(node.metadata.labels.items())),
        taints=tuple(
            events.Taint(each.key, each.value, each.effect)  # type: ignore[arg-type]  # narrowed by the set
            for each in node.spec.taints
            if each.effect in _EFFECTS
        ),
        unschedulable=node.spec.unschedulable or node.metadata.deletion_timestamp is not None,
        ready=any(each.type == "Ready" and each.status == "True" for each in node.status.conditions),
        devices=cards,
        images=images_of(node.status.images),
    )


def closed_node(node: Node) -> events.NodeSeen:
    """A node that cannot be read: its pods stay accounted for, nothing new goes there."""
    return events.NodeSeen(name=NodeName(node.metadata.name), unschedulable=True, ready=False)


def _capacity(quantities: Mapping[str, str | int | float]) -> Amounts:
    try:
        read = {name: amount(value, scale_of(name), "down") for name, value in quantities.items()}
    except QuantityError as error:
        raise UnreadableError(f"status.allocatable {error}") from error
    return tuple(sorted((name, max(0, min(units, MAX_UNITS))) for name, units in read.items()))


def gang_fact(group: PodGroup, priorities: Priorities, shapes: Shapes) -> events.GangSeen | None:
    """`group` as the engine sees it; an empty queue is the default one. Raises UnreadableError.

    None for one that is being deleted: its pods go the same way, and none of them shall start before that.
    """
    meta, spec = group.metadata, group.spec
    if meta.deletion_timestamp is not None:
        return None
    try:
        least = None if spec.min_resources is None else queue_amounts(spec.min_resources)
        in_quotas = quota_only(spec.min_resources or {})
    except QuantityError as error:
        raise UnreadableError(f"spec.minResources {error}") from error
    phase = group.status.phase
    return events.GangSeen(
        id=GangId(sys.intern(meta.key)),
        uid=meta.uid,
        queue=QueueName(spec.queue or names.DEFAULT_QUEUE),
        created=instant(meta.creation_timestamp),
        priority=priorities.of(spec.priority_class_name),
        min_members=max(0, spec.min_member),
        min_by_task=tuple(sorted((name, count) for name, count in spec.min_task_member.items() if count > 0)),
        min_resources=least,
        declared=tuple(_declared(task, shapes, meta.namespace) for task in declared_tasks(group)),
        phase=phase if phase in _GANG_PHASES else "",  # type: ignore[arg-type]  # narrowed by the set
        user=meta.annotations.get(names.USER, ""),
        wait_ms=_time_of(meta, names.SLA_WAITING_TIMES),
        min_quota=in_quotas,
        must_keep=meta.annotations.get(names.JDB_MIN_AVAILABLE, ""),
        may_lack=meta.annotations.get(names.JDB_MAX_UNAVAILABLE, ""),
        preemptable=_says_preemptable(meta),
        preempts=priorities.preempts(spec.priority_class_name),
        estimate_ms=_time_of(meta, (names.RUNNING_ESTIMATE,)),
        topology=task_topology(meta),
    )


def task_topology(meta: ObjectMeta) -> events.TaskTopology | None:
    """What its annotations say about its tasks: groups with `;` between, names with `,` between."""
    together, apart, order = (meta.annotations.get(key, "") for key in _TASK_MARKS)
    if not together and not apart and not order:
        return None
    return events.TaskTopology(_groups(together), _groups(apart), next(iter(_groups(order)), ()))


def _groups(text: str) -> tuple[tuple[str, ...], ...]:
    groups = (tuple(name.strip() for name in group.split(",") if name.strip()) for group in text.split(";"))
    return tuple(group for group in groups if group)


def _time_of(meta: ObjectMeta, keys: Iterable[str]) -> int | None:
    """The first of some annotations that is a time, in milliseconds; what is not positive is none, as in Volcano."""
    for key in keys:
        if text := meta.annotations.get(key):
            try:
                time_ms = parse_duration(text) // timedelta(milliseconds=1)
            except ValueError:
                continue
            return time_ms if time_ms > 0 else None
    return None


def declared_tasks(group: PodGroup) -> tuple[DeclaredTask, ...]:
    """The members a gang will have: the field where it is served, else the annotation. Raises UnreadableError."""
    if group.spec.declared_tasks:
        return group.spec.declared_tasks
    text = group.metadata.annotations.get(names.DECLARED_TASKS)
    if not text:
        return ()
    try:
        return _declared_tasks.decode(text)
    except msgspec.MsgspecError as error:
        raise UnreadableError(f"annotation {names.DECLARED_TASKS}: {error}") from error


def _declared(task: DeclaredTask, shapes: Shapes, namespace: str) -> events.DeclaredTask:
    try:
        shape = shapes.of_declared(task, namespace)
    except QuantityError as error:
        raise UnreadableError(f"declared task {task.name}: a resource amount {error}") from error
    labels = tuple(sorted(task.labels.items())) if shape.sociable else ()
    heritage = tuple((name, count) for name, count in task.takes_over.items() if count > 0)
    count, minimum = max(0, task.count), max(0, task.minimum)
    return events.DeclaredTask(task.name, count, minimum, shape, task.waits_for, labels, heritage)


def namespace_fact(namespace: Namespace) -> events.NamespaceSeen:
    """A namespace's labels: what selectors of namespaces ask for."""
    return events.NamespaceSeen(namespace.metadata.name, tuple(sorted(namespace.metadata.labels.items())))


def instant(moment: datetime | None) -> Instant:
    """Epoch milliseconds; 0 where a time is missing."""
    return Instant(0 if moment is None else round(moment.timestamp() * 1000))
