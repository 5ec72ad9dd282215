"""How suspension is written: as a level, on the field where the served schema has it, else on an annotation."""

from flowbatch.api.batch import Job
from flowbatch.api.flow import JobFlow
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import SUSPENDED
from flowbatch.api.scheduling import Queue

#: The name under which `served_fields` lists the optional field.
SUSPEND_FIELD = "JobSpec.suspend"
#: The same for queues.
QUEUE_FIELD = "QueueSpec.suspend"
#: The same for flows: where it is served, so are all fields that flowbatch adds to them.
FLOW_FIELDS = "JobFlowSpec.suspend"


def suspended(job: Job | Queue | JobFlow) -> bool:
    """Whether a job, or a queue or a flow with all of its jobs, is suspended by its own account."""
    return job.spec.suspend or job.metadata.annotations.get(SUSPENDED) == "true"


def suspension_patch(suspend: bool, served: frozenset[str], field: str = SUSPEND_FIELD) -> JsonObject:
    """The merge patch that suspends or resumes a job (or a flow, by `field`); saying it twice changes nothing.

    Resuming clears both spellings, so that a job suspended by either is awake afterwards.
    """
    if suspend and field not in served:
        return {"metadata": {"annotations": {SUSPENDED: "true"}}}
    patch: JsonObject = {"metadata": {"annotations": {SUSPENDED: None}}}
    if field in served:
        patch["spec"] = {"suspend": suspend}
    return patch
