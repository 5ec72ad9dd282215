"""A flow that failed goes on when somebody asks it to: what failed is run once more, what completed stays.

The wish is an annotation with a token, and the status remembers the token that was heard last, by the same write that
counts the new attempts. Until then whoever is killed begins again, and finds by their own numbers the jobs it has made.
Steps that were skipped because another one failed wait again; those that had their turn (what cleans up, say) do not.
"""

from msgspec.structs import replace

from flowbatch.api.flow import JobFlow, StepStatus
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import ANEW
from flowbatch.errors import FlowbatchError
from flowbatch.workload.flow import ranges
from flowbatch.workload.flow.changes import FAILED, FLOW_ENDS, RUNNING, SKIPPED, WAITING
from flowbatch.workload.rules.flow import MOST_ITEMS
from flowbatch.workload.suspension import FLOW_FIELDS, suspension_patch

#: Why a step was skipped that may yet have its turn: because of another step's end, not of a value.
_FOR_WANT_OF_OTHERS = ("DependencyFailed", "DependencySkipped")


def wished(flow: JobFlow, served: frozenset[str]) -> bool:
    """Whether a wish to run what failed has not been heard yet. Only where the token can be remembered."""
    return unheard(flow) and FLOW_FIELDS in served


def unheard(flow: JobFlow) -> bool:
    """Whether a flow that is at its end was told to go on, and no controller has heard it yet."""
    token = flow.metadata.annotations.get(ANEW, "")
    return token not in ("", flow.status.anew) and flow.status.state.phase in FLOW_ENDS


def resume_patch(flow: JobFlow, served: frozenset[str]) -> JsonObject:
    """The merge patch that lets `flow` go on: of one that is suspended, and of one that failed.

    Said twice of one state, it is one wish. Raises FlowbatchError for a flow that failed where no token is remembered.
    """
    patch = suspension_patch(False, served, FLOW_FIELDS)
    if flow.status.state.phase == "Failed":
        if FLOW_FIELDS not in served:
            raise FlowbatchError("on this cluster's JobFlow CRD nothing can be run anew: install flowbatch's CRDs")
        patch["metadata"]["annotations"][ANEW] = f"at-{flow.metadata.resource_version}"
    return patch


def anew(flow: JobFlow) -> JobFlow:
    """`flow` with its failed steps under way again; their jobs are older than the attempt that is due now."""
    steps = tuple(_again(step) for step in flow.status.steps)
    return replace(flow, status=replace(flow.status, steps=steps, anew=flow.metadata.annotations[ANEW]))


def _again(step: StepStatus) -> StepStatus:
    if step.state == SKIPPED and step.reason in _FOR_WANT_OF_OTHERS:
        return StepStatus(name=step.name, state=WAITING)
    if step.state != FAILED:
        return step
    if not step.attempts:
        return StepStatus(name=step.name, state=WAITING)
    again = replace(step, state=RUNNING, reason="", message="", end_time=None, retry_time=None)
    if step.items is None:
        return replace(again, attempts=step.attempts + 1, outputs={})
    attempts = dict(step.items.attempts)
    for place in ranges.read(step.items.failed_indexes, MOST_ITEMS):
        attempts[str(place)] = attempts.get(str(place), 1) + 1
    return replace(again, items=replace(step.items, failed=0, failed_indexes="", attempts=attempts))
