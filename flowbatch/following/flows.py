"""A flow as it goes: its states, the jobs of its steps, and what they print as one stream of lines."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from flowbatch.api.batch import Job
from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import JOB, JOB_FLOW
from flowbatch.api.names import CREATED_BY_FLOW, FLOW_ITEM, FLOW_STEP
from flowbatch.following import logs
from flowbatch.following.lines import LogLine
from flowbatch.following.logs import Target
from flowbatch.following.states import Follower, closed, states
from flowbatch.kube.client import Client
from flowbatch.workload.flow.anew import unheard
from flowbatch.workload.rules.names import label_value_problem

#: Phases that a flow leaves only when somebody resumes it.
FINAL_PHASES = ("Succeed", "Failed")


def flow_finished(flow: JobFlow) -> bool:
    """Whether nothing more happens by itself: it is at its end, and nobody has just told it to go on."""
    return flow.status.state.phase in FINAL_PHASES and not unheard(flow)


def flow_states(client: Client, namespace: str, name: str, uid: str) -> AsyncGenerator[JobFlow | None, None]:
    """Each state of the flow with this uid, beginning with the present one; ends with None once it is gone."""
    return states(client, JOB_FLOW, namespace, name, uid)


class FlowTarget:
    """Whose log: a flow, by uid, and the jobs of all of its steps, of one step, or of one item of that."""

    def __init__(self, namespace: str, name: str, uid: str, step: str = "", index: int | None = None) -> None:
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.step = step
        self.index = index

    @property
    def selector(self) -> str:
        """The label of the flow's jobs; of a flow whose name no label can hold, they have none, and owners tell."""
        value = f"{self.namespace}.{self.name}"
        return "" if label_value_problem(value) else f"{CREATED_BY_FLOW}={value}"

    def has(self, job: Job) -> bool:
        """Whether `job` belongs to what is asked for."""
        owner = job.metadata.controller
        if owner is None or owner.uid != self.uid:
            return False
        step, item = place_in_flow(job, self.name)
        return self.step in ("", step) and self.index in (None, item)


def place_in_flow(job: Job, flow: str) -> tuple[str, int]:
    """The step that a job is of, and its place in the list that the step goes over (0, if none)."""
    notes = job.metadata.annotations
    item = notes.get(FLOW_ITEM, "")
    step = notes.get(FLOW_STEP) or job.metadata.name.removeprefix(f"{flow}-")
    return step, int(item) if item.isdecimal() else 0


async def jobs_of(client: Client, target: FlowTarget) -> list[Job]:
    """The target's jobs that there are, oldest first."""
    found = await client.list(JOB, target.namespace, label_selector=target.selector)
    return sorted(filter(target.has, found), key=_by_age)


def _by_age(job: Job) -> tuple[str, str]:
    return str(job.metadata.creation_timestamp or ""), job.metadata.name


async def read(client: Client, target: FlowTarget) -> AsyncGenerator[LogLine, None]:
    """What the target's jobs have printed so far, job after job."""
    for job in await jobs_of(client, target):
        async for line in logs.read(client, _of(job), wait=False):
            yield line


async def follow(client: Client, target: FlowTarget) -> AsyncGenerator[LogLine, None]:
    """Every line of the target's jobs as it comes, those of jobs yet to be made included, until the flow ends."""
    conductor = _Conductor(client, target)
    running = asyncio.create_task(conductor.run())
    try:
        while (line := await conductor.lines.get()) is not None:
            yield line
        await running
    finally:
        await closed({running})


class _Conductor:
    """Follows each job as it is made, and ends once the flow and the logs have."""

    def __init__(self, client: Client, target: FlowTarget) -> None:
        self._client = client
        self._target = target
        self._readers: dict[str, asyncio.Task[None]] = {}
        #: What the readers pass on; None ends it.
        self.lines: asyncio.Queue[LogLine | None] = asyncio.Queue(maxsize=1000)

    async def run(self) -> None:
        """Until the flow is finished or gone, and everything its jobs printed is read."""
        target = self._target
        try:
            async with Follower(self._client, JOB, target.namespace, labels=target.selector) as jobs:
                jobs.informer.on_change(lambda _old, job: self._start([job] if job else []))
                async for flow in flow_states(self._client, target.namespace, target.name, target.uid):
                    if flow is None or flow_finished(flow):
                        break
                self._start(await jobs_of(self._client, target))
                await asyncio.gather(*self._readers.values())
        finally:
            await closed(set(self._readers.values()))
            await self.lines.put(None)

    def _start(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.metadata.uid not in self._readers and self._target.has(job):
                self._readers[job.metadata.uid] = asyncio.create_task(self._copy(job))

    async def _copy(self, job: Job) -> None:
        async for line in logs.follow(self._client, _of(job)):
            await self.lines.put(line)


def _of(job: Job) -> Target:
    return Target(job.metadata.namespace, job.metadata.name, job.metadata.uid)
