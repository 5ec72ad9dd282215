"""A handle on a job, for async code. Each verb opens a connection, does its work and closes it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from flowbatch.api.kinds import JOB, POD
from flowbatch.api.names import JOB_NAME
from flowbatch.following import logs
from flowbatch.following.logs import Target
from flowbatch.following.states import job_states
from flowbatch.kube.errors import AlreadyExists, Invalid, NotFound
from flowbatch_dsl import asking
from flowbatch_dsl.clusters import Cluster, ClusterLike, connect, resolve
from flowbatch_dsl.failures import JobExists, JobFailed, JobGone
from flowbatch_dsl.report import refusal
from flowbatch_dsl.views import Change, LogLine, PodView, Status, status_of, view_of

if TYPE_CHECKING:
    from flowbatch_dsl.job import Job


class AsyncRun:
    """A job on a cluster. It stays what it is when this handle goes: nothing here ends a job but `delete`."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, uid: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.uid = uid

    def __repr__(self) -> str:
        return f"<AsyncRun {self.namespace}/{self.name} on {self.cluster}>"

    @classmethod
    async def attach(cls, name: str, namespace: str = "", cluster: ClusterLike | None = None) -> "AsyncRun":
        """A handle on a job that exists. Raises JobGone if it does not."""
        where = resolve(cluster)
        async with connect(where) as client:
            namespace = namespace or client.config.namespace
            try:
                found = await client.get(JOB, name, namespace)
            except NotFound:
                raise JobGone(f"there is no job {name} in namespace {namespace} on {where}") from None
        return cls(where, namespace, name, found.metadata.uid)

    async def status(self) -> Status:
        """What the job is now. Raises JobGone."""
        async with connect(self.cluster) as client:
            return status_of(await asking.job(client, self.namespace, self.name, self.uid))

    async def watch(self) -> AsyncGenerator[Change, None]:
        """Each change of the job, beginning with what it is now, until it is finished. Raises JobGone."""
        async with (
            connect(self.cluster) as client,
            aclosing(job_states(client, self.namespace, self.name, self.uid)) as states,
        ):
            async for job in states:
                if job is None:
                    raise JobGone(f"job {self.namespace}/{self.name} was deleted")
                status = status_of(job)
                yield Change(status.phase, status)
                if status.finished:
                    return

    async def wait(self, timeout: float | None = None) -> Status:  # noqa: ASYNC109  (the verb's own word)
        """Wait until the job completes. `timeout` in seconds: TimeoutError, and the job goes on.

        Raises JobFailed, with the last log lines, if it ends in any other way, and JobGone if it is deleted. A
        suspended job is waited for: somebody may resume it.
        """
        status = await self.wait_for("Completed", "Failed", "Terminated", timeout=timeout)
        if status.phase != "Completed":
            raise JobFailed(self.name, status.phase, status.message or status.reason, await self._last_words())
        return status

    async def wait_for(self, *phases: str, timeout: float | None = None) -> Status:  # noqa: ASYNC109  (likewise)
        """Wait until the job is in one of these phases. Raises JobFailed if it finishes in another, TimeoutError."""
        status = Status("Pending")
        async with asyncio.timeout(timeout), aclosing(self.watch()) as changes:
            async for change in changes:
                status = change.status
                if status.phase in phases:
                    return status
        raise JobFailed(self.name, status.phase, status.message or status.reason)

    async def logs(
        self, task: str = "", index: int | None = None, *, follow: bool = False
    ) -> AsyncGenerator[LogLine, None]:
        """Lines of all pods, of one task's, or of one pod.

        Waits until there is something to read. With `follow`, goes on until the job ends, through lost connections
        and restarts. Raises ValueError for a task or an index that the job does not have.
        """
        async with connect(self.cluster) as client:
            await asking.check_place(client, self.namespace, self.name, self.uid, task, index)
            target = Target(self.namespace, self.name, self.uid, task, index)
            async with aclosing(logs.follow(client, target) if follow else logs.read(client, target)) as lines:
                async for line in lines:
                    yield line

    async def why(self) -> str:
        """Why the job is where it is, in a few words with numbers, and what would move it."""
        async with connect(self.cluster) as client:
            return await asking.why(client, self.namespace, self.name, self.uid)

    async def pods(self) -> list[PodView]:
        """The job's pods as they are now, task by task."""
        async with connect(self.cluster) as client:
            found = await client.list(POD, self.namespace, label_selector=f"{JOB_NAME}={self.name}")
        views = [view_of(pod) for pod in found if asking.owned(pod, self.uid)]
        return sorted(views, key=lambda view: (view.task, view.index))

    async def suspend(self) -> None:
        """Stop the pods and give their room back; finished work is kept, and no retry is spent."""
        async with connect(self.cluster) as client:
            await asking.set_suspended(client, self.namespace, self.name, self.uid, suspend=True)

    async def resume(self) -> None:
        """Let a suspended job run again."""
        async with connect(self.cluster) as client:
            await asking.set_suspended(client, self.namespace, self.name, self.uid, suspend=False)

    async def delete(self) -> None:
        """Delete the job and all that belongs to it. A job that is gone already is fine."""
        async with connect(self.cluster) as client:
            await asking.delete(client, self.namespace, self.name, self.uid)

    async def _last_words(self) -> list[str]:
        async with connect(self.cluster) as client:
            return await asking.last_words(client, self.namespace, self.name, self.uid)


async def submit(job: "Job", cluster: ClusterLike | None = None) -> AsyncRun:
    """Create `job`. Raises SpecErrors, with nothing created, and JobExists."""
    job.validate().raise_problems()
    where = resolve(cluster)
    manifest = job.manifests()[0]
    async with connect(where) as client:
        namespace = job.namespace or client.config.namespace
        await asking.check_served(client, job, manifest)
        try:
            made = await client.create(JOB, manifest, namespace)
        except AlreadyExists:
            hint = f'Run.attach("{job.name}", "{namespace}") gives a handle on it'
            raise JobExists(f"there is a job {namespace}/{job.name} on {where} already; {hint}") from None
        except Invalid as refused:
            raise refusal(job, refused.causes, refused.message) from None
    return AsyncRun(where, namespace, made.metadata.name, made.metadata.uid)
