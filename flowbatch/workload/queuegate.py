"""The scheduling gate of pods that must not be seen waiting for nodes while only their queue is full.

Volcano's SchedulingGatesQueueAdmission: pods ask for it by an annotation; whoever schedules them takes it off.
"""

from flowbatch.api.meta import JsonObject
from flowbatch.api.names import QUEUE_ALLOCATION_GATE


def gated(pod: JsonObject) -> JsonObject:
    """The pod behind the gate, if it asks for that and is not Kubernetes' own scheduler's; the pod itself, if not."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    spec = pod.get("spec") or {}
    if annotations.get(QUEUE_ALLOCATION_GATE) != "true" or spec.get("schedulerName") in (None, "", "default-scheduler"):
        return pod
    gates = spec.get("schedulingGates") or []
    if any(each.get("name") == QUEUE_ALLOCATION_GATE for each in gates):
        return pod
    return {**pod, "spec": {**spec, "schedulingGates": [*gates, {"name": QUEUE_ALLOCATION_GATE}]}}
