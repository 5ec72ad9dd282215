"""What the engine says of HyperNodes, as requests: their status, written where it differs from what is there."""

from datetime import datetime
from typing import Final

from flowbatch.api.kinds import HYPER_NODE
from flowbatch.api.meta import Condition, JsonObject
from flowbatch.api.topology import HyperNode
from flowbatch.engine.decisions import HyperNodeReport
from flowbatch.kube.request import Request, patch_object
from flowbatch.scheduler.requests import meaning, shorten, wire_condition

#: The condition that says whether a HyperNode's place in the tree is clear.
SOUND: Final = "Sound"


def hyper_node_request(report: HyperNodeReport, node: HyperNode, moment: datetime) -> Request | None:
    """What brings a HyperNode's status to what the engine says, or None where it says so already."""
    status: JsonObject = {}
    if node.status.node_count != report.nodes:
        status["nodeCount"] = report.nodes
    conditions = hyper_node_conditions(report, node, moment)
    if conditions != node.status.conditions:
        status["conditions"] = [wire_condition(each) for each in conditions]
    if not status:
        return None
    body: JsonObject = {"metadata": {"uid": node.metadata.uid}, "status": status}
    return patch_object(HYPER_NODE, node.metadata.name, body, subresource="status")


def hyper_node_conditions(report: HyperNodeReport, node: HyperNode, moment: datetime) -> tuple[Condition, ...]:
    """Sound: False with what is wrong; there is none where nothing is and nothing was."""
    others = tuple(each for each in node.status.conditions if each.type != SOUND)
    present = next((each for each in node.status.conditions if each.type == SOUND), None)
    if present is None and not report.problem:
        return node.status.conditions
    verdict, reason = ("False", "Broken") if report.problem else ("True", "Mended")
    ours = Condition(
        type=SOUND,
        status=verdict,
        reason=reason,
        message=shorten(report.problem or "nothing is wrong with it"),
        last_transition_time=moment,
    )
    return (*others, present if present is not None and meaning(present) == meaning(ours) else ours)
