"""Engine orders in, API requests out: the other small file where the columns meet.

Pure. A status request carries only what differs from the object as it was last seen, and is None where nothing
does: writes are money. Each carries the object's uid, so that a namesake made since is refused (409), not changed.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import msgspec

from flowbatch.api import names
from flowbatch.api.core import Pod
from flowbatch.api.kinds import EVENT, NODE, POD, POD_GROUP, QUEUE, Kind
from flowbatch.api.meta import Condition, JsonObject, ObjectMeta, Statement
from flowbatch.api.quantity import format_amount
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.api.timestamps import format_time
from flowbatch.engine.decisions import Bind, Evict, Nominate, QueueReport, Remember, Report, Step, Ungate
from flowbatch.engine.events import OwnerUse
from flowbatch.errors import FlowbatchError
from flowbatch.kube.request import Request, bind_pod, create_object, evict_pod, patch_object
from flowbatch.model.ids import GangId

#: What a client with Volcano's eyes looks for among a PodGroup's conditions.
UNSCHEDULABLE: Final = "Unschedulable"
SCHEDULED: Final = "Scheduled"
#: Volcano's words for a gang that runs.
SCHEDULED_REASON: Final = "tasks in gang are ready to be scheduled"
#: Where a binding says which leader sent it; the server copies it to the pod.
EPOCH_ANNOTATION: Final = "flowbatch.dev/epoch"
#: What says on a Queue that something is wrong with it.
SOUND: Final = "Sound"
COMPONENT: Final = "flowbatch-scheduler"
#: Why a pod was disrupted, as Kubernetes' own scheduler says it.
PREEMPTION: Final = "PreemptionByScheduler"
#: Longest message written to a condition.
MESSAGE_CHARS: Final = 1024


def bind_request(order: Bind, epoch: int = 0) -> Request:
    """The binding; its uid makes a pod of the same name that came since a 409. `epoch` 0: nobody is elected."""
    stamp = {EPOCH_ANNOTATION: str(epoch)} if epoch else None
    return bind_pod(order.namespace, order.name, order.uid, order.node, stamp)


class NoSuchStep(FlowbatchError):
    """A step that no request can do."""


def step_request(order: Bind, step: Step) -> Request:
    """One thing to do before the binding. Raises NoSuchStep."""
    if step.kind == "annotation":
        body: JsonObject = {"metadata": {"uid": order.uid, "annotations": {step.name: step.value}}}
        return patch_object(POD, order.name, body, order.namespace)
    if step.kind == "gate":
        return _without_gate(order, step.name)
    if step.kind == "patch":
        try:
            body = msgspec.json.decode(step.value, type=JsonObject)
        except msgspec.MsgspecError as error:
            raise NoSuchStep(f"step {step.name} is no JSON object: {error}") from error
        return patch_object(POD, order.name, body, order.namespace, content="strategic")
    raise NoSuchStep(f"this scheduler knows no {step.kind} step")


#: A lock that its owner has not taken off for so long is nobody's: Volcano's five minutes.
LOCK_LASTS: Final = timedelta(minutes=5)


def lock_request(step: Step, body: bytes, moment: datetime) -> Request | None:
    """Set the lock on the node that `body` shows, unless it changed since; None while somebody has it.

    Raises NoSuchStep for what is no node.
    """
    try:
        node = msgspec.json.decode(body, type=JsonObject)
        meta = msgspec.convert(node["metadata"], ObjectMeta)
    except (msgspec.MsgspecError, KeyError) as error:
        raise NoSuchStep(f"node {step.value} cannot be read: {error}") from error
    if _is_locked(meta.annotations.get(step.name), moment):
        return None
    patch: JsonObject = {
        "metadata": {"resourceVersion": meta.resource_version, "annotations": {step.name: format_time(moment)}}
    }
    return patch_object(NODE, step.value, patch)


def _is_locked(text: str | None, moment: datetime) -> bool:
    if not text:
        return False
    try:
        return moment - datetime.fromisoformat(text) < LOCK_LASTS
    except (ValueError, TypeError):
        # Nobody can say how old it is: its owner must take it off.
        return True


def _without_gate(order: Bind | Ungate, gate: str) -> Request:
    # So a strategic patch removes one element of a list that has a key.
    gates = [{"name": gate, "$patch": "delete"}]
    body: JsonObject = {"metadata": {"uid": order.uid}, "spec": {"schedulingGates": gates}}
    return patch_object(POD, order.name, body, order.namespace, content="strategic")


def ungate_request(order: Ungate) -> Request:
    """Nothing but the queue's gate is taken off."""
    return _without_gate(order, names.QUEUE_ALLOCATION_GATE)


def evict_request(order: Evict) -> Request:
    """An eviction rather than a delete, so that disruption budgets are asked."""
    return evict_pod(order.namespace, order.name, order.uid)


def disruption_request(order: Evict, moment: datetime, *, going: bool = True) -> Request:
    """Say on the pod that it goes for others' sake, so that nobody charges its end to it; or that it stays."""
    for_whom = f" for {order.beneficiary}" if order.beneficiary else ""
    condition = Condition(
        type="DisruptionTarget",
        status="True" if going else "False",
        reason=PREEMPTION if going else "EvictionRefused",
        message=f"{order.reason}{for_whom}" if going else "its eviction was refused",
        last_transition_time=moment,
    )
    body = {"metadata": {"uid": order.uid}, "status": {"conditions": [wire_condition(condition)]}}
    return patch_object(POD, order.name, body, order.namespace, subresource="status", content="strategic")


def nominate_request(order: Nominate) -> Request:
    """Remember on the pod which node's room is being made for it, or that none is."""
    body = {"metadata": {"uid": order.uid}, "status": {"nominatedNodeName": order.node or None}}
    return patch_object(POD, order.name, body, order.namespace, subresource="status")


def group_conditions(report: Report, group: PodGroup, moment: datetime, transition: str) -> tuple[Condition, ...]:
    """The PodGroup's conditions as they should be: ours replaced where its meaning changed, others kept.

    At most one of Unschedulable and Scheduled is there: unlike Volcano's, an old reason does not outlive its cause.
    """
    others = tuple(each for each in group.status.conditions if each.type not in (UNSCHEDULABLE, SCHEDULED))
    if report.blocker:
        message = shorten(report.message)
        ours = Condition(type=UNSCHEDULABLE, status="True", reason=reason_of(report), message=message)
    elif report.phase in ("Running", "Completed"):
        ours = Condition(type=SCHEDULED, status="True", reason=SCHEDULED_REASON)
    else:
        return others
    for present in group.status.conditions:
        if meaning(present) == meaning(ours):
            return (*others, present)
    return (*others, msgspec.structs.replace(ours, last_transition_time=moment, transition_id=transition))


def reason_of(report: Report) -> str:
    """The reason in Volcano's words, or the blocker's own name where Volcano has no word."""
    return report.reason or report.blocker


def meaning(condition: Statement) -> tuple[str, str, str, str]:
    """What a condition says, without when and by whom."""
    return condition.type, condition.status, condition.reason, condition.message


def group_request(report: Report, group: PodGroup, moment: datetime, transition: str) -> Request | None:
    """What brings the PodGroup's status to what the engine says, or None where it says so already."""
    status: JsonObject = {}
    if report.phase and report.phase != group.status.phase:
        status["phase"] = report.phase
    conditions = group_conditions(report, group, moment, transition)
    if conditions != group.status.conditions:
        status["conditions"] = [wire_condition(each) for each in conditions]
    for count in ("running", "succeeded", "failed"):
        wanted = getattr(report, count)
        if wanted != getattr(group.status, count):
            status[count] = wanted
    home = report.home if report.home != group.metadata.annotations.get(names.ALLOCATED_HYPER_NODE, "") else ""
    return _patch_group(group, status, home) if status or home else None


def phase_request(report: Report, group: PodGroup) -> Request | None:
    """Only the phase: what others wait for, sent at once while the rest may still change."""
    if not report.phase or report.phase == group.status.phase:
        return None
    return _patch_group(group, {"phase": report.phase})


def unreadable_group_request(group: PodGroup, reason: str, moment: datetime) -> Request | None:
    """Tell the owner of a PodGroup that cannot be read, in its own condition."""
    report = Report(gang=_key(group), phase="", blocker="Unreadable", reason="InvalidSpec", message=reason)
    return group_request(report, group, moment, "")


def _key(group: PodGroup) -> GangId:
    return GangId(group.metadata.key)


def _patch_group(group: PodGroup, status: JsonObject, home: str = "") -> Request:
    # No status subresource: a plain merge patch, as Volcano's own scheduler may write it.
    metadata: JsonObject = {"uid": group.metadata.uid}
    if home:
        metadata["annotations"] = {names.ALLOCATED_HYPER_NODE: home}
    body: JsonObject = {"metadata": metadata, **({"status": status} if status else {})}
    return patch_object(POD_GROUP, group.metadata.name, body, group.metadata.namespace)


def wire_condition(condition: Condition) -> JsonObject:
    """A condition as JSON, its time in whole seconds as metav1.Time wants it."""
    body: JsonObject = msgspec.to_builtins(condition)
    if condition.last_transition_time is not None:
        body["lastTransitionTime"] = format_time(condition.last_transition_time)
    return body


def pod_condition_request(pod: Pod, reason: str, message: str, moment: datetime) -> Request | None:
    """PodScheduled=False with `message`, or None where the pod is bound, behind a gate, or says so already."""
    if pod.spec.node_name or pod.spec.scheduling_gates:
        # Behind a gate its condition is the API server's, and autoscalers are not to see it as without a place.
        return None
    wanted = Condition(type="PodScheduled", status="False", reason=reason, message=shorten(message))
    present = next((each for each in pod.status.conditions if each.type == wanted.type), None)
    if present is not None and meaning(present) == meaning(wanted):
        return None
    if present is None or present.status != wanted.status:
        wanted = msgspec.structs.replace(wanted, last_transition_time=moment)
    body = {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [wire_condition(wanted)]}}
    # Strategic: lists of conditions merge by type, so the kubelet's own are left alone, and so is a time not given.
    return patch_object(POD, pod.metadata.name, body, pod.metadata.namespace, subresource="status", content="strategic")


def queue_request(report: QueueReport, queue: Queue, moment: datetime) -> Request | None:
    """Queue.status.allocated and what is wrong with it, or None where it says so already; what is over is removed."""
    status: JsonObject = {}
    wanted: dict[str, str] = {name: format_amount(name, units) for name, units in report.allocated if units}
    present: Mapping[str, object] = queue.status.allocated
    if wanted != {name: str(value) for name, value in present.items()}:
        gone: dict[str, None] = {name: None for name in present if name not in wanted}
        status["allocated"] = {**wanted, **gone}
    conditions = queue_conditions(report, queue, moment)
    if conditions != queue.status.conditions:
        status["conditions"] = [wire_condition(each) for each in conditions]
    if not status:
        return None
    return patch_object(
        QUEUE, queue.metadata.name, {"metadata": {"uid": queue.metadata.uid}, "status": status}, subresource="status"
    )


def queue_conditions(report: QueueReport, queue: Queue, moment: datetime) -> tuple[Condition, ...]:
    """The queue's conditions as they should be: Sound is False while something is wrong, and True once it was mended.

    A queue that was never wrong has none: that would be one write more for each.
    """
    present = next((each for each in queue.status.conditions if each.type == SOUND), None)
    if report.problems:
        ours = Condition(type=SOUND, status="False", reason="BadSpec", message=shorten("; ".join(report.problems)))
    elif present is None:
        return queue.status.conditions
    else:
        ours = Condition(type=SOUND, status="True", reason="Mended")
    if present is not None and meaning(present) == meaning(ours):
        return queue.status.conditions
    others = tuple(each for each in queue.status.conditions if each.type != SOUND)
    return (*others, msgspec.structs.replace(ours, last_transition_time=moment))


def queue_event(report: QueueReport, queue: Queue, moment: datetime) -> Request:
    """The same for people who look at Events, and for clusters whose Queues have no conditions."""
    return _event(QUEUE, queue.metadata, "default", "BadSpec", "; ".join(report.problems), moment)


def group_event(report: Report, group: PodGroup, moment: datetime) -> Request:
    """Why a gang waits, for people who look at Events."""
    return _event(POD_GROUP, group.metadata, group.metadata.namespace, UNSCHEDULABLE, report.message, moment)


def _event(kind: Kind[Any], meta: ObjectMeta, place: str, reason: str, message: str, moment: datetime) -> Request:
    """A Warning about one object, said once: its name is a digest of what it says."""
    message, stamp = shorten(message), format_time(moment)
    digest = sha256(f"{meta.uid}\0{message}".encode()).hexdigest()[:16]
    about = {"apiVersion": kind.api_version, "kind": kind.kind, "name": meta.name, "uid": meta.uid}
    event: JsonObject = {
        "metadata": {"name": f"{meta.name[:230]}.{digest}", "namespace": place},
        "involvedObject": {**about, **({"namespace": meta.namespace} if meta.namespace else {})},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
    }
    return create_object(EVENT, {"apiVersion": "v1", "kind": "Event", **event}, place)


def past_use_request(note: Remember, queue: Queue) -> Request:
    """What the queue has used, on the queue itself, for the scheduler after this one."""
    said = _use(note)
    for kind in ("namespace", "user"):
        owners = {each.name: _use(each) for each in note.owners if each.kind == kind}
        said |= {f"{kind}s": owners} if owners else {}
    text = msgspec.json.encode(said).decode()
    body = {"metadata": {"uid": queue.metadata.uid, "annotations": {names.PAST_USE: text}}}
    return patch_object(QUEUE, queue.metadata.name, body)


def _use(note: Remember | OwnerUse) -> dict[str, Any]:
    return {"at": note.at, "used": dict(note.used), "held": dict(note.held)}


def shorten(message: str) -> str:
    """`message` as it may stand in a condition."""
    return message if len(message) <= MESSAGE_CHARS else message[: MESSAGE_CHARS - 1] + "…"
