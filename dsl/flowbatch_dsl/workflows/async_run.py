"""A handle on a workflow's run, for async code. Each verb opens a connection, does its work and closes it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Generic, TypeVar, overload

from flowbatch.api.kinds import JOB_FLOW
from flowbatch.following import flows
from flowbatch.following.bringing import bring
from flowbatch.following.flows import FlowTarget, flow_states
from flowbatch.kube.errors import AlreadyExists, Invalid, NotFound
from flowbatch_dsl.clusters import Cluster, ClusterLike, connect, resolve
from flowbatch_dsl.failures import FlowFailed, JobExists, JobGone
from flowbatch_dsl.views import LogLine
from flowbatch_dsl.workflows import asking
from flowbatch_dsl.workflows.verdict import refusal
from flowbatch_dsl.workflows.views import FlowChange, FlowStatus, flow_status
from flowbatch_dsl.workflows.workflow import Workflow

R = TypeVar("R")
S = TypeVar("S")


class AsyncFlowRun(Generic[R]):
    """A workflow on a cluster. It goes on without this handle: nothing here ends it but `cancel`."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, uid: str, returns: Any = Any) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self._returns = returns

    def __repr__(self) -> str:
        return f"<AsyncFlowRun {self.namespace}/{self.name} on {self.cluster}>"

    @overload
    @classmethod
    async def attach(
        cls, name: str, namespace: str = "", cluster: ClusterLike | None = None
    ) -> "AsyncFlowRun[Any]": ...
    @overload
    @classmethod
    async def attach(
        cls, name: str, namespace: str = "", cluster: ClusterLike | None = None, *, returns: type[S]
    ) -> "AsyncFlowRun[S]": ...
    @classmethod
    async def attach(
        cls, name: str, namespace: str = "", cluster: ClusterLike | None = None, *, returns: Any = Any
    ) -> "AsyncFlowRun[Any]":
        """A handle on a run that exists; `returns` is the type of its result. Raises JobGone if it does not."""
        where = resolve(cluster)
        async with connect(where) as client:
            namespace = namespace or client.config.namespace
            try:
                found = await client.get(JOB_FLOW, name, namespace)
            except NotFound:
                raise JobGone(f"there is no workflow {name} in namespace {namespace} on {where}") from None
        return AsyncFlowRun(where, namespace, name, found.metadata.uid, returns)

    async def status(self) -> FlowStatus[R]:
        """What the run is now, step by step. Raises JobGone."""
        async with connect(self.cluster) as client:
            return flow_status(await asking.flow(client, self.namespace, self.name, self.uid), self._returns)

    async def watch(self) -> AsyncGenerator[FlowChange[R], None]:
        """Each change of the run, beginning with what it is now, until it is finished. Raises JobGone."""
        async with (
            connect(self.cluster) as client,
            aclosing(flow_states(client, self.namespace, self.name, self.uid)) as states,
        ):
            async for flow in states:
                if flow is None:
                    raise JobGone(f"workflow {self.namespace}/{self.name} was deleted")
                status: FlowStatus[R] = flow_status(flow, self._returns)
                yield FlowChange(status.phase, status)
                if status.finished:
                    return

    async def wait(self, timeout: float | None = None) -> FlowStatus[R]:  # noqa: ASYNC109  (the verb's own word)
        """Wait until the run succeeds. `timeout` in seconds: TimeoutError, and the run goes on.

        Raises FlowFailed, with the step that failed and its last log lines, and JobGone if the run is deleted. A
        suspended run is waited for: somebody may resume it.
        """
        status: FlowStatus[R] = FlowStatus("Pending")
        async with asyncio.timeout(timeout), aclosing(self.watch()) as changes:
            async for change in changes:
                status = change.status
        if status.phase != "Succeed":
            raise await self._failure(status)
        return status

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109  (likewise)
        """Wait, and give what the flow's function would have returned."""
        return (await self.wait(timeout)).result()

    async def logs(
        self, step: str = "", index: int | None = None, *, follow: bool = False
    ) -> AsyncGenerator[LogLine, None]:
        """Lines of all steps, of one, or of one item of a step over a list.

        With `follow`, goes on until the run ends. Raises ValueError for a step that the workflow does not have.
        """
        async with connect(self.cluster) as client:
            target = FlowTarget(self.namespace, self.name, self.uid, step, index)
            await asking.check_step(client, target)
            async with aclosing(flows.follow(client, target) if follow else flows.read(client, target)) as lines:
                async for line in lines:
                    yield line

    async def why(self) -> str:
        """How far the run is, and why its next steps are where they are, in a few words with numbers."""
        status = await self.status()
        async with connect(self.cluster) as client:
            return await asking.why(client, FlowTarget(self.namespace, self.name, self.uid), status)

    async def suspend(self) -> None:
        """Start no further step, and suspend the jobs that run; what is completed stays so."""
        async with connect(self.cluster) as client:
            await asking.suspend(client, self.namespace, self.name, self.uid)

    async def resume(self) -> None:
        """Go on from the steps that are completed: of a suspended run, and of one that failed.

        What failed is then run once more, and what was skipped for that waits again.
        """
        async with connect(self.cluster) as client:
            await asking.resume(client, self.namespace, self.name, self.uid)

    async def cancel(self) -> None:
        """Delete the run with its jobs and their pods. One that is gone already is fine."""
        async with connect(self.cluster) as client:
            await asking.delete(client, self.namespace, self.name, self.uid)

    async def _failure(self, status: FlowStatus[R]) -> FlowFailed:
        """The first step that failed, with its last words."""
        failed = next((step for step in status.steps if step.state == "Failed"), None)
        name = failed.name if failed else ""
        reason = (failed.message or failed.reason) if failed else ""
        lines: list[str] = []
        if failed:
            async with connect(self.cluster) as client:
                lines = await asking.last_words(client, FlowTarget(self.namespace, self.name, self.uid, name))
        return FlowFailed(self.name, status.phase, reason or status.message or status.reason, lines, step=name)


async def submit(workflow: Workflow, cluster: ClusterLike | None = None) -> AsyncFlowRun[Any]:
    """Create `workflow`. Raises SpecErrors, with nothing created, and JobExists."""
    workflow.validate().raise_problems()
    where = resolve(cluster)
    *others, flow = workflow.submission()
    async with connect(where) as client:
        namespace = workflow.namespace or client.config.namespace
        await asking.check_served(client, workflow)
        try:
            made = await bring(client, flow, others, namespace, _quietly)
        except AlreadyExists:
            hint = f'FlowRun.attach("{workflow.name}", "{namespace}") gives a handle on it'
            raise JobExists(f"there is a workflow {namespace}/{workflow.name} on {where} already; {hint}") from None
        except Invalid as refused:
            raise refusal(workflow, refused.causes, refused.message) from None
    returns = getattr(workflow, "returns", Any)
    return AsyncFlowRun(where, namespace, made.metadata.name, made.metadata.uid, returns)


def _quietly(_what: str) -> None:
    """A library says nothing of what went well."""
