"""One job with everything that belongs to it, fetched once; what describe, why and logs start from."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flowbatch.api.batch import Job
from flowbatch.api.core import Pod
from flowbatch.api.kinds import JOB, POD, POD_GROUP, QUEUE, Kind
from flowbatch.api.meta import Wire
from flowbatch.api.names import JOB_NAME
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.cli.session import Session
from flowbatch.errors import FlowbatchError, SpecError, did_you_mean
from flowbatch.kube.errors import NotFound

T = TypeVar("T")
W = TypeVar("W", bound=Wire)


class NoSuchJob(FlowbatchError):
    """The job, flow or cron job does not exist; the message names the nearest that does."""


class NoSuchQueue(FlowbatchError):
    """The queue does not exist; the message names the nearest that does."""


@dataclass(frozen=True)
class JobView:
    """A job, its gang, its queue and its pods at about one moment."""

    job: Job
    group: PodGroup | None
    queue: Queue | None
    pods: list[Pod]


def named(jobs: Sequence[str], what: str = "job") -> Sequence[str]:
    """`jobs`, which must not be empty: an order to nobody is a slip of the fingers. Raises SpecError."""
    if not jobs:
        raise SpecError(f"{what.upper()}S", f"name at least one {what}")
    return jobs


async def find_job(session: Session, name: str) -> Job:
    """The job called `name` (`job/name` is understood too). Raises NoSuchJob."""
    name = name.removeprefix("job/").removeprefix("vcjob/").removeprefix("job.batch.volcano.sh/")
    return await find_named(session, JOB, name, "job")


async def find_named(session: Session, kind: Kind[W], name: str, what: str) -> W:
    """The object of that name in the session's namespace. Raises NoSuchJob."""
    try:
        return await session.client.get(kind, name, session.namespace)
    except NotFound:
        found = await session.client.list_json(kind, session.namespace)
    others = [str(each["metadata"]["name"]) for each in found]
    hint = f"; {did_you_mean(name, others)}" if others else ""
    raise NoSuchJob(f'no {what} "{name}" in namespace {session.namespace}{hint}')


async def find_queue(session: Session, name: str) -> Queue:
    """The queue called `name`. Raises NoSuchQueue."""
    name = name.removeprefix("queue/").removeprefix("queue.scheduling.volcano.sh/")
    try:
        return await session.client.get(QUEUE, name)
    except NotFound:
        others = [queue.metadata.name for queue in await session.client.list(QUEUE)]
    hint = f"; {did_you_mean(name, others)}" if others else ""
    raise NoSuchQueue(f'no queue "{name}"{hint}')


async def view_job(session: Session, name: str) -> JobView:
    """The job called `name` and all around it."""
    job = await find_job(session, name)
    client, namespace = session.client, job.metadata.namespace
    selector = f"{JOB_NAME}={job.metadata.name}"
    pods = await client.list(POD, namespace, label_selector=selector)
    owned = [pod for pod in pods if (pod.metadata.controller and pod.metadata.controller.uid == job.metadata.uid)]
    group = await _maybe(client.get(POD_GROUP, f"{job.metadata.name}-{job.metadata.uid}", namespace))
    queue = await _maybe(client.get(QUEUE, job.spec.queue or "default"))
    return JobView(job, group, queue, sorted(owned, key=lambda pod: pod.metadata.name))


async def _maybe(found: Awaitable[T]) -> T | None:
    try:
        return await found
    except NotFound:
        return None
