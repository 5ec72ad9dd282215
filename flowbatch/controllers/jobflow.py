"""The JobFlow controller: fetches what belongs to a flow, asks `workload.flow` what to do, and does it.

A job that ends opens the steps behind it: their jobs are made before anything is written about it, and the status waits
a moment for what else happens. Only what pays for a delete, and the end of the flow, is written at once.
"""

import asyncio
import contextlib

from flowbatch.api.batch import Job
from flowbatch.api.core import Pod
from flowbatch.api.flow import JobFlow, JobFlowStatus, JobTemplate
from flowbatch.api.kinds import JOB, JOB_FLOW, PERSISTENT_VOLUME_CLAIM
from flowbatch.api.names import FLOW_STEP
from flowbatch.controllers.bounded import each
from flowbatch.controllers.caches import Caches, job_of_pod
from flowbatch.controllers.effects import Effects, ForeignObject
from flowbatch.controllers.expectations import Expectations
from flowbatch.controllers.flow_children import FlowChildrenReader
from flowbatch.controllers.prober import Prober
from flowbatch.controllers.reach import Reach, straight
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner, is_passing
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.status_patches import StatusPatches
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.errors import FlowbatchError
from flowbatch.kube.client import Client
from flowbatch.kube.errors import AlreadyExists, ApiError
from flowbatch.workload.changes import Create
from flowbatch.workload.flow.changes import FLOW_ENDS, FlowChanges
from flowbatch.workload.flow.reconcile import reconcile, without_begun
from flowbatch.workload.flow.workspace import claim_of

#: The status of a flow with this many steps waits `phase_delay_s`; those of larger ones proportionally longer.
SMALL_FLOW_STEPS = 100
#: More of an error is not shown in a status.
MESSAGE_CHARS = 300


class JobFlowController:
    """One key per JobFlow."""

    def __init__(
        self,
        client: Client,
        caches: Caches,
        recorder: Recorder,
        settings: Settings,
        served: frozenset[str],
        reach: Reach = straight,
    ) -> None:
        self._client = client
        self._caches = caches
        self._recorder = recorder
        self._settings = settings
        self._served = served
        self.queue = WorkQueue()
        self._expectations = Expectations(caches, self._monotonic, settings.lag_s)
        self._effects = Effects(client, self._expectations, settings.writes_per_job)
        self.statuses = StatusPatches(client, JOB_FLOW)
        self._prober = Prober(reach, self.queue.add, settings.probe_period_s)
        self._children = FlowChildrenReader(client, caches, self._prober)
        #: Uids of flows whose workspace has its claim.
        self._furnished: set[str] = set()
        #: When a status that may wait has to be written.
        self._due: dict[str, float] = {}
        self.runner = Runner("jobflow", self.queue, self.reconcile, lanes=8, on_failure=self._tell)
        caches.job_flows.on_change(self._flow_changed)
        caches.job_templates.on_change(self._template_changed)
        caches.jobs.on_change(self._job_changed)
        caches.pods.on_change(self._pod_changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.runner.run())
            group.create_task(self._prober.run())

    # What to look at -----------------------------------------------------------------------------------------------

    def _flow_changed(self, old: JobFlow | None, new: JobFlow | None) -> None:
        if new is not None:
            self.queue.add(new.metadata.key)
            return
        assert old is not None
        key = old.metadata.key
        self._expectations.forget(key)
        self.statuses.forget(key)
        self._children.forget(old)
        self._furnished.discard(old.metadata.uid)
        self._due.pop(key, None)
        self.queue.forget(key)

    def _template_changed(self, _old: JobTemplate | None, new: JobTemplate | None) -> None:
        if new is None:
            return
        for flow in list(self._caches.job_flows.store.values()):
            if flow.metadata.namespace == new.metadata.namespace and flow.status.state.phase not in FLOW_ENDS:
                self.queue.add(flow.metadata.key)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        present = new or old
        assert present is not None
        owner = present.metadata.controller
        if owner is None or owner.kind != JOB_FLOW.kind or owner.api_version != JOB_FLOW.api_version:
            return
        key = f"{present.metadata.namespace}/{owner.name}"
        if new is None:
            self._expectations.saw_gone(key, JOB, present.metadata)
            self._children.went(owner.uid, present)
        if old is None or new is None or old.status.state != new.status.state or old.metadata != new.metadata:
            self.queue.add(key)
        else:
            # Counts and the like: probes may want them.
            self.queue.add_after(key, self._settings.phase_delay_s)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        present = new or old
        assert present is not None
        key = self._children.probed.get(job_of_pod(present))
        if key is not None:
            self.queue.add_after(key, self._settings.settle_s)

    # Setting it right ----------------------------------------------------------------------------------------------

    async def reconcile(self, key: str) -> float | None:
        """One pass over one flow; gives the seconds until the next one is due whatever happens."""
        if not self._expectations.settled(key):
            await self._effects.ask_overdue(key)
            if not self._expectations.settled(key):
                return self._expectations.wait_s(key)
        cached = self._caches.job_flows.store.get(key)
        if cached is None or cached.metadata.deletion_timestamp is not None:
            self._prober.want(key, ())
            return None
        flow = self.statuses.newest(cached)
        graph = self._children.graph(flow)
        changes = reconcile(flow, graph, self._children.of(flow), self._settings.now(), self._served)
        while changes.reads:
            await self._children.read(flow, changes.reads, self._settings.writes_per_job)
            changes = reconcile(flow, graph, self._children.of(flow), self._settings.now(), self._served)
        return await self._carry_out(flow, changes)

    async def _carry_out(self, flow: JobFlow, changes: FlowChanges) -> float | None:
        key = flow.metadata.key
        wanted = changes.status
        if changes.status_first and wanted is not None:
            flow = await self.statuses.write(flow, wanted, exact=True)
        await self._effects.delete_all(key, changes.deletes)
        await self._effects.patch_all(key, changes.patches)
        if changes.creates:
            await self._furnish(flow)
        problems = await self._make(flow, changes.creates)
        if problems:
            said = {step: str(problem)[:MESSAGE_CHARS] for step, problem in problems.items()}
            wanted = without_begun(wanted or flow.status, flow.status, said)
        for note in changes.notes:
            self._recorder.note(flow, note.type, note.reason, note.message)
        self._children.probe(flow, changes.asks)
        waits = [await self._settle(flow, wanted, hurry=changes.hurry or bool(problems))]
        await self._effects.delete_all(key, changes.sweeps)
        for problem in problems.values():
            raise problem
        if changes.wake_at is not None:
            waits.append(max(0.0, (changes.wake_at - self._settings.now()).total_seconds()))
        return min((wait for wait in waits if wait is not None), default=None)

    async def _furnish(self, flow: JobFlow) -> None:
        """Make the claim of the flow's workspace, once; one of its name that is there already is as good."""
        claim = claim_of(flow)
        if claim is None or flow.metadata.uid in self._furnished:
            return
        with contextlib.suppress(AlreadyExists):
            await self._client.create(PERSISTENT_VOLUME_CLAIM, claim)
        self._furnished.add(flow.metadata.uid)

    async def _make(self, flow: JobFlow, creates: tuple[Create, ...]) -> dict[str, FlowbatchError]:
        """Make every job. Gives what is wrong with the jobs of which steps; passing trouble is raised."""
        problems: dict[str, FlowbatchError] = {}

        async def make(create: Create) -> None:
            try:
                await self._effects.create(flow.metadata.key, flow.metadata.uid, JOB, create.manifest)
            except (ApiError, ForeignObject) as problem:
                if is_passing(problem):
                    raise
                problems[create.manifest["metadata"]["annotations"][FLOW_STEP]] = problem

        await each(creates, make, self._settings.writes_per_job)
        return problems

    async def _settle(self, flow: JobFlow, wanted: JobFlowStatus | None, *, hurry: bool) -> float | None:
        """Write the status, or say in how many seconds it has to be written."""
        key = flow.metadata.key
        if wanted is None or not self.statuses.differs(flow, wanted):
            self._due.pop(key, None)
            return None
        now = self._monotonic()
        # The status of a large flow is a large object to write: it is written seldomer.
        size = max(1.0, len(flow.spec.flows) / SMALL_FLOW_STEPS)
        due = self._due.setdefault(key, now + self._settings.phase_delay_s * size)
        if not hurry and due > now:
            return due - now
        await self.statuses.write(flow, wanted)
        self._due.pop(key, None)
        return None

    def _tell(self, key: str, problem: Exception) -> None:
        flow = self._caches.job_flows.store.get(key)
        if flow is not None:
            reason = "FailedCreate" if isinstance(problem, ForeignObject | ApiError) else "FailedSync"
            self._recorder.note(flow, "Warning", reason, str(problem) or type(problem).__name__)

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()
