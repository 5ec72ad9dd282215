"""Single questions and orders about one job, each a request or two on an open client."""

from flowbatch.api.batch import Job as WireJob
from flowbatch.api.core import Pod
from flowbatch.api.kinds import JOB, POD, POD_GROUP, QUEUE
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import DEFAULT_QUEUE, JOB_NAME
from flowbatch.errors import SpecErrors, did_you_mean
from flowbatch.following.lines import STARTED, place_of
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, Conflict, NotFound, TransportError
from flowbatch.kube.request import pod_logs
from flowbatch.kube.schema import served_fields
from flowbatch.workload.explain import explain
from flowbatch.workload.suspension import suspension_patch
from flowbatch_dsl.failures import JobGone
from flowbatch_dsl.job import Job

#: How many lines of how many pods a failure shows.
LAST_LINES, LAST_PODS = 10, 3


async def job(client: Client, namespace: str, name: str, uid: str) -> WireJob:
    """The job with this uid. Raises JobGone."""
    try:
        found = await client.get(JOB, name, namespace)
    except NotFound:
        raise JobGone(f"job {namespace}/{name} was deleted") from None
    if found.metadata.uid != uid:
        raise JobGone(f"job {namespace}/{name} was deleted, and another one has its name now")
    return found


def owned(pod: Pod, uid: str) -> bool:
    """Whether `pod` belongs to the job with this uid, and not to an earlier one of its name."""
    owner = pod.metadata.controller
    return owner is None or owner.uid == uid


async def check_served(client: Client, spec: Job, manifest: JsonObject) -> None:
    """Refuse by name what this cluster's own CRDs would prune. Asks only if the job uses such a field."""
    if "suspend" not in manifest["spec"]:
        return
    from flowbatch.workload.rules import check_job
    from flowbatch_dsl.report import problems_of

    found = check_job(manifest, served=await served_fields(client))
    if found:
        raise SpecErrors(problems_of(spec, found), spec.name)


async def check_place(client: Client, namespace: str, name: str, uid: str, task: str, index: int | None) -> None:
    """Raises ValueError if the job has no such task, or the task no such pod."""
    found = await job(client, namespace, name, uid)
    replicas = {each.name: each.replicas for each in found.spec.tasks}
    if task and task not in replicas:
        raise ValueError(f'job {name} has no task "{task}": {did_you_mean(task, replicas)}')
    if index is not None and not 0 <= index < replicas.get(task, max(replicas.values(), default=0)):
        raise ValueError(f"task {task or 'of any name'} of job {name} has no pod {index}: they count from 0")


async def why(client: Client, namespace: str, name: str, uid: str) -> str:
    """The scheduler's reason, with numbers, beside what the job itself knows."""
    found = await job(client, namespace, name, uid)
    pods = await client.list(POD, namespace, label_selector=f"{JOB_NAME}={name}")
    try:
        group = await client.get(POD_GROUP, f"{name}-{uid}", namespace)
    except NotFound:
        group = None
    try:
        queue = await client.get(QUEUE, found.spec.queue or DEFAULT_QUEUE)
    except NotFound:
        queue = None
    return str(explain(found, group, queue, [pod for pod in pods if owned(pod, uid)]))


async def set_suspended(client: Client, namespace: str, name: str, uid: str, *, suspend: bool) -> None:
    """Write the level; saying it twice changes nothing."""
    await job(client, namespace, name, uid)
    await client.patch(JOB, name, suspension_patch(suspend, await served_fields(client)), namespace)


async def delete(client: Client, namespace: str, name: str, uid: str) -> None:
    """Delete that very job; its pods and all else it owns go with it."""
    try:
        await client.delete(JOB, name, namespace, uid=uid, propagation="Background")
    except (NotFound, Conflict):
        return  # Gone, or another one has its name: either way ours is no more.


async def last_words(client: Client, namespace: str, name: str, uid: str) -> list[str]:
    """The last lines of the pods that failed, or of any where none did."""
    pods = await client.list(POD, namespace, label_selector=f"{JOB_NAME}={name}")
    started = [pod for pod in pods if owned(pod, uid) and pod.status.phase in STARTED]
    failed = [pod for pod in started if pod.status.phase == "Failed"]
    said: list[str] = []
    for pod in sorted(failed or started, key=place_of)[:LAST_PODS]:
        said += [*await _tail(client, pod), *_ends(pod)]
    return said


def _ends(pod: Pod) -> list[str]:
    """How the containers of a failed pod ended, for those that could not even print."""
    ends = [status.state.terminated for status in pod.status.container_statuses]
    return [
        f"{pod.metadata.name}: exit code {end.exit_code} {end.reason} {end.message}".strip()
        for end in ends
        if end is not None and end.exit_code
    ]


async def _tail(client: Client, pod: Pod) -> list[str]:
    container = pod.spec.containers[0].name if pod.spec.containers else None
    meta = pod.metadata
    try:
        body = await client.send(pod_logs(meta.namespace, meta.name, container=container, tail_lines=LAST_LINES))
    except (ApiError, TransportError):
        return [f"{meta.name}: (its log is not to be had)"]
    return [f"{meta.name}: {line}" for line in body.decode(errors="replace").splitlines()]
