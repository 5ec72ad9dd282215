"""What is said to an HTTP extender, in Volcano's JSON, and what its replies mean. Pure.

A reply is a stranger's: it is read into narrow Structs, so that a wrong type is an error and everything else in it is
skipped without being built; its length is the caller's business, its depth is judged here before it is decoded.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from flowbatch.api.core import Node, Pod
from flowbatch.api.meta import JsonObject
from flowbatch.api.quantity import QuantityError
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.errors import FlowbatchError, shorten
from flowbatch.model.ids import Amounts
from flowbatch.scheduler.shapes import pod_shape

#: Deeper JSON is refused unread.
MOST_DEPTH: Final = 32
#: Volcano's scores of one plugin go to a hundred.
FULL_SCORE: Final = 100.0

T = TypeVar("T", bound=msgspec.Struct)


class ExtenderFailed(FlowbatchError):
    """No usable answer: it cannot be reached, is too slow, or talks nonsense."""


class PredicateReply(msgspec.Struct):
    """Empty: the node will do. `status` is what newer Volcanos call the message."""

    error_message: str = msgspec.field(default="", name="errorMessage")
    status: str = ""
    code: int = 0

    @property
    def refusal(self) -> str:
        """Why not; empty for yes."""
        said = self.error_message or self.status
        return shorten(said) if said else f"code {self.code}" if self.code else ""


class PrioritizeReply(msgspec.Struct):
    """Scores by node name."""

    node_score: dict[str, float] = msgspec.field(default_factory=dict, name="nodeScore")
    error_message: str = msgspec.field(default="", name="errorMessage")


class EnqueueableReply(msgspec.Struct):
    """1 permits, 0 abstains, -1 rejects."""

    status: int = 0


class OverusedReply(msgspec.Struct):
    """Whether the queue has too much already."""

    overused: bool = False


class ReadyReply(msgspec.Struct):
    """Whether the job may start with what it has."""

    status: bool = False


def read(body: bytes, kind: type[T]) -> T:
    """A reply. Raises ExtenderFailed."""
    if too_deep(body):
        raise ExtenderFailed(f"its answer is nested deeper than {MOST_DEPTH}")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ExtenderFailed(f"its answer cannot be read: {shorten(str(error))}") from error


def too_deep(body: bytes, most: int = MOST_DEPTH) -> bool:
    """Whether brackets outside of text nest deeper than `most`. One pass over pieces between quotes, no recursion."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    depth, outside = 0, True
    for piece in body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"'):
        for byte in piece if outside else b"":
            if byte in b"[{":
                depth += 1
                if depth > most:
                    return True
            elif byte in b"]}":
                depth -= 1
        outside = not outside
    return False


def scores_of(reply: PrioritizeReply, names: Iterable[str]) -> dict[str, float]:
    """Scores of the nodes that were asked about, from 0 to 1; what is no number counts nothing."""
    found: dict[str, float] = {}
    for name in names:
        score = reply.node_score.get(name)
        if score is not None and score == score:
            found[name] = min(1.0, max(0.0, score / FULL_SCORE))
    return found


# -- Volcano's words for things


def resource(amounts: Amounts) -> JsonObject:
    """Amounts as Volcano's Resource."""
    found = dict(amounts)
    scalars = {name: units * 1000 for name, units in found.items() if name not in ("cpu", "memory")}
    return {"MilliCPU": found.get("cpu", 0), "Memory": found.get("memory", 0), "ScalarResources": scalars}


def task_info(pod: Pod, gang: str, role: str, node: str = "") -> JsonObject:
    """A pod as Volcano's TaskInfo, with as much of the pod as flowbatch itself reads."""
    meta = pod.metadata
    try:
        asked = resource(pod_shape(pod.spec).requests)
    except QuantityError:
        asked = resource(())
    return {
        "UID": meta.uid,
        "Job": gang,
        "Name": meta.name,
        "Namespace": meta.namespace,
        "TaskRole": role,
        "Resreq": asked,
        "InitResreq": asked,
        "NodeName": node,
        "Priority": pod.spec.priority,
        "Pod": msgspec.to_builtins(pod),
    }


def node_info(name: str, node: Node | None, free: Amounts) -> JsonObject:
    """A node as Volcano's NodeInfo. `Idle` is what is left beside the gang that is asked about."""
    return {"Name": name, "Idle": resource(free), "Node": msgspec.to_builtins(node) if node is not None else None}


def job_info(gang: str, group: PodGroup | None, tasks: Mapping[str, JsonObject]) -> JsonObject:
    """A gang as Volcano's JobInfo."""
    namespace, _, name = gang.partition("/")
    return {
        "UID": gang,
        "Name": name,
        "Namespace": namespace,
        "Queue": group.spec.queue if group is not None else "",
        "MinAvailable": group.spec.min_member if group is not None else 0,
        "Tasks": dict(tasks),
        "PodGroup": msgspec.to_builtins(group) if group is not None else None,
    }


def queue_info(name: str, queue: Queue | None) -> JsonObject:
    """A queue as Volcano's QueueInfo."""
    weight = queue.spec.weight if queue is not None else 1
    return {"UID": name, "Name": name, "Weight": weight, "Queue": msgspec.to_builtins(queue) if queue else None}
