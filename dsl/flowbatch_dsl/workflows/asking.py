"""Single questions and orders about one workflow's run, each a request or two on an open client."""

from typing import Any

from flowbatch.api.batch import Job
from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import JOB_FLOW
from flowbatch.errors import SpecErrors, did_you_mean
from flowbatch.following.flows import FlowTarget, jobs_of, place_in_flow
from flowbatch.following.states import finished
from flowbatch.kube.client import Client
from flowbatch.kube.errors import Conflict, NotFound
from flowbatch.kube.schema import served_fields
from flowbatch.workload.flow.anew import resume_patch
from flowbatch.workload.rules import check_job_flow
from flowbatch.workload.suspension import FLOW_FIELDS, suspension_patch
from flowbatch_dsl import asking
from flowbatch_dsl.failures import JobGone
from flowbatch_dsl.workflows.manifest import flow_manifest
from flowbatch_dsl.workflows.verdict import problems_of
from flowbatch_dsl.workflows.views import FlowStatus
from flowbatch_dsl.workflows.workflow import Workflow

#: Of how many running steps a reason is asked for, and how many names of a state are shown.
ASKED_STEPS, SHOWN_NAMES = 3, 6
#: How a job may end badly.
FAILED = ("Failed", "Terminated")


async def flow(client: Client, namespace: str, name: str, uid: str) -> JobFlow:
    """The workflow's run with this uid. Raises JobGone."""
    try:
        found = await client.get(JOB_FLOW, name, namespace)
    except NotFound:
        raise JobGone(f"workflow {namespace}/{name} was deleted") from None
    if found.metadata.uid != uid:
        raise JobGone(f"workflow {namespace}/{name} was deleted, and another one has its name now")
    return found


async def check_served(client: Client, workflow: Workflow) -> None:
    """Refuse by name what this cluster's own CRDs would prune."""
    served = await served_fields(client)
    if found := check_job_flow(flow_manifest(workflow), served=served):
        raise SpecErrors(problems_of(workflow, found), workflow.name)


async def why(client: Client, target: FlowTarget, status: FlowStatus[Any]) -> str:
    """How far the run is, and why what it waits for is not there yet."""
    lines = [_headline(status)]
    under_way = [job for job in await jobs_of(client, target) if not finished(job)]
    for step in [each for each in status.steps if each.state in ("Running", "Probing")][:ASKED_STEPS]:
        lines.append(f"  {step}")
        for job in [each for each in under_way if place_in_flow(each, target.name)[0] == step.name][:1]:
            lines += [f"    {line}" for line in (await _why_job(client, job)).splitlines()]
    lines += [f"  {step}" for step in status.steps if step.state == "Failed"][:SHOWN_NAMES]
    return "\n".join(lines)


def _headline(status: FlowStatus[Any]) -> str:
    done = sum(step.state in ("Completed", "Skipped") for step in status.steps)
    what = "suspended" if status.suspended and not status.finished else status.phase.lower()
    parts = [f"{what}: {done} of {len(status.steps)} steps done"]
    for state in ("Running", "Probing", "Waiting", "Failed"):
        names = [step.name for step in status.steps if step.state == state]
        if names:
            more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
            parts.append(f"{state.lower()}: {', '.join(names[:SHOWN_NAMES])}{more}")
    return "; ".join([*parts, *filter(None, [status.message or status.reason])])


async def _why_job(client: Client, job: Job) -> str:
    try:
        return await asking.why(client, job.metadata.namespace, job.metadata.name, job.metadata.uid)
    except JobGone:
        return "its job is just being made"


async def suspend(client: Client, namespace: str, name: str, uid: str) -> None:
    """Write the level; saying it twice changes nothing."""
    await flow(client, namespace, name, uid)
    patch = suspension_patch(True, await served_fields(client), FLOW_FIELDS)
    await client.patch(JOB_FLOW, name, patch, namespace)


async def resume(client: Client, namespace: str, name: str, uid: str) -> None:
    """Lift the suspension, and let what failed run once more."""
    found = await flow(client, namespace, name, uid)
    await client.patch(JOB_FLOW, name, resume_patch(found, await served_fields(client)), namespace)


async def delete(client: Client, namespace: str, name: str, uid: str) -> None:
    """Delete that very run; its jobs, their pods and all else it owns go with it."""
    try:
        await client.delete(JOB_FLOW, name, namespace, uid=uid, propagation="Background")
    except (NotFound, Conflict):
        return  # Gone, or another one has its name: either way ours is no more.


async def check_step(client: Client, target: FlowTarget) -> None:
    """Raises ValueError if the workflow has no such step."""
    found = await flow(client, target.namespace, target.name, target.uid)
    names = [entry.name for entry in found.spec.flows]
    if target.step and target.step not in names:
        raise ValueError(f'workflow {target.name} has no step "{target.step}": {did_you_mean(target.step, names)}')


async def last_words(client: Client, target: FlowTarget) -> list[str]:
    """The last lines of the target's jobs that failed."""
    failed = [job for job in await jobs_of(client, target) if job.status.state.phase in FAILED]
    said: list[str] = []
    for job in failed[: asking.LAST_PODS]:
        meta = job.metadata
        said += await asking.last_words(client, meta.namespace, meta.name, meta.uid)
    return said
