"""A pod's status as its node reports it; pure."""

from datetime import datetime
from typing import Any

from flowbatch.api.meta import Condition, JsonObject
from flowbatch.api.timestamps import format_time
from flowbatch.embedded.nodes.lifecycle import ContainerLife, Ended, PodLife
from flowbatch.embedded.nodes.runnable import RunnablePod


def pod_status(pod: RunnablePod, life: PodLife, ip: str, host_ip: str, start: datetime, now: datetime) -> JsonObject:
    """PodStatus for a strategic merge patch: conditions merge by type, so those of others stay."""
    images = {each["name"]: each.get("image", "") for each in pod.containers}
    lives = life.containers.values()
    inits = [container_status(each, images, life) for each in lives if each.role != "main"]
    status: JsonObject = {
        "phase": life.phase,
        "startTime": format_time(start),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "conditions": conditions(pod, life, now),
        "containerStatuses": [container_status(each, images, life) for each in lives if each.role == "main"],
    }
    if inits:
        status["initContainerStatuses"] = inits
    if life.verdict and life.phase == "Failed":
        status["reason"], status["message"] = life.verdict
    return status


def container_status(each: ContainerLife, images: dict[str, str], life: PodLife) -> JsonObject:
    """core/v1 ContainerStatus; `lastState` is the attempt before the one that `state` shows."""
    shown: JsonObject = {
        "name": each.name,
        "image": images.get(each.name, ""),
        "imageID": "",
        "containerID": f"flowbatch://{each.name}/{each.attempt}" if each.attempt >= 0 else "",
        "ready": bool(each.ended and each.ended.code == 0) if each.role == "init" else each.ready,
        "started": each.running,
        "restartCount": each.restarts,
        "state": _state(each, life),
    }
    last = each.ended if "waiting" in shown["state"] and each.ended is not None else each.previous
    if last is not None:
        shown["lastState"] = {"terminated": _terminated(last)}
    return shown


def _state(each: ContainerLife, life: PodLife) -> JsonObject:
    if each.running_since is not None:
        return {"running": {"startedAt": format_time(each.running_since)}}
    if each.trouble is not None:
        return {"waiting": {"reason": each.trouble[0], "message": each.trouble[1]}}
    if each.ended is not None:
        if each.backoff_s > 10 and life.will_restart(each):
            seconds = each.backoff_s // 2
            message = f"back-off {seconds}s restarting failed container={each.name}"
            return {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        return {"terminated": _terminated(each.ended)}
    return {"waiting": {"reason": "ContainerCreating" if life.initialized else "PodInitializing"}}


def _terminated(ended: Ended) -> JsonObject:
    shown: JsonObject = {"exitCode": ended.code, "reason": ended.reason, "finishedAt": format_time(ended.finished_at)}
    shown["startedAt"] = format_time(ended.started_at or ended.finished_at)
    if ended.message:
        shown["message"] = ended.message
    return shown


def conditions(pod: RunnablePod, life: PodLife, now: datetime) -> list[JsonObject]:
    """The kubelet's conditions; a transition time changes only with its status."""
    finished, done = life.finished, life.phase == "Succeeded"
    unready = [each.name for each in life.containers.values() if each.role != "init" and not each.ready]
    ready = not unready and not finished
    why: dict[str, str] = {}
    if not ready:
        why = {"reason": "PodCompleted"} if done else {"reason": "ContainersNotReady"}
        if not done:
            why["message"] = f"containers with unready status: [{' '.join(unready)}]"
        if finished and not done:
            why = {"reason": "PodFailed"}
    states: list[tuple[str, bool, dict[str, str]]] = [
        ("PodReadyToStartContainers", not finished, {}),
        ("Initialized", life.initialized, {} if life.initialized else {"reason": "ContainersNotInitialized"}),
        ("Ready", ready, why),
        ("ContainersReady", ready, why),
        ("PodScheduled", True, {}),
    ]
    before = {each.type: each for each in pod.status.conditions}
    return [_condition(kind, value, extra, before.get(kind), now) for kind, value, extra in states]


def _condition(kind: str, value: bool, extra: dict[str, str], before: Condition | None, now: datetime) -> JsonObject:
    status = "True" if value else "False"
    moment = now
    if before is not None and before.status == status and before.last_transition_time is not None:
        moment = before.last_transition_time
    # null, in a strategic patch, takes away the reason and message of an earlier state.
    cleared = {"reason": None, "message": None} if before is not None else {}
    return {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": format_time(moment)} | (
        cleared | extra
    )


def signature(status: JsonObject) -> tuple[Any, ...]:
    """What makes a status worth a write: times and messages of an unchanged state are not."""
    statuses = [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]
    return (
        status["phase"],
        status.get("reason"),
        tuple((each["type"], each["status"]) for each in status["conditions"]),
        tuple((each["name"], each["ready"], each["restartCount"], _kind_of(each["state"])) for each in statuses),
    )


def _kind_of(state: JsonObject) -> tuple[str, str]:
    name, value = next(iter(state.items()))
    return name, str(value.get("reason", ""))


def is_news(status: JsonObject, before: tuple[Any, ...] | None) -> bool:
    """Whether to write: a first Pending without trouble is what the API server already says."""
    if before is not None:
        return signature(status) != before
    statuses = [*status.get("initContainerStatuses", ()), *status["containerStatuses"]]
    calm = ("ContainerCreating", "PodInitializing", "Completed", "")
    return status["phase"] != "Pending" or any(_kind_of(each["state"])[1] not in calm for each in statuses)
