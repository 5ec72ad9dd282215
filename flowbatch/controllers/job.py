"""The job controller: fetches what belongs to a job, asks `workload.reconcile` what to do, and does it.

Everything a job means is decided below the purity line. Here is only when to look, what to show, and in which order
the effects go out: what pays for an action before the action, and an order's Command after all it asked for.
"""

import asyncio
from datetime import datetime

from msgspec.structs import replace

from flowbatch.api.batch import Job, JobStatus
from flowbatch.api.bus import Command
from flowbatch.api.core import Pod
from flowbatch.api.kinds import COMMAND, JOB, POD, POD_GROUP
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.controllers.caches import Caches, job_of_pod
from flowbatch.controllers.children import ChildrenReader
from flowbatch.controllers.effects import Effects, ForeignObject, kind_named, kind_of_manifest
from flowbatch.controllers.expectations import Expectations
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner, is_passing
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.statuses import StatusWriter, without_promises
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.errors import FlowbatchError
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError
from flowbatch.workload.changes import Changes, Delete
from flowbatch.workload.reconcile import is_settled, reconcile
from flowbatch.workload.suspension import suspended

#: A job with this many pods settles for `settle_s` per burst; larger ones proportionally longer.
SMALL_JOB_PODS = 50
#: So many creates take long enough for people to look at the status meanwhile: it goes first.
LARGE_BATCH = 200


class JobController:
    """One key per job."""

    def __init__(
        self, client: Client, caches: Caches, recorder: Recorder, settings: Settings, served: frozenset[str]
    ) -> None:
        self._caches = caches
        self._recorder = recorder
        self._settings = settings
        self._served = served
        self.queue = WorkQueue()
        self.expectations = Expectations(caches, self._monotonic, settings.lag_s)
        self.effects = Effects(client, self.expectations, settings.writes_per_job)
        self._statuses = StatusWriter(self.effects, settings, self._monotonic)
        self._children = ChildrenReader(caches, self.effects)
        self.runner = Runner("job", self.queue, self.reconcile, settings.lanes, on_failure=self._tell)
        #: What was there before us comes first; whether that is as it was left is asked job by job.
        self._starting = True
        caches.pods.on_change(self._pod_changed, replay=False)
        caches.pod_groups.on_change(self._group_changed, replay=False)
        caches.commands.on_change(self._command_changed)
        caches.queues.on_change(self._queue_changed, replay=False)
        caches.jobs.on_change(self._job_changed)
        self._starting = False

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        await self.runner.run()

    # What to look at -----------------------------------------------------------------------------------------------

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        if new is not None:
            if not (self._starting and is_settled(new, self._children.glance(new))):
                self.queue.add(new.metadata.key)
            return
        assert old is not None
        key = old.metadata.key
        self.expectations.forget(key)
        self._statuses.forget(key)
        self._children.forget(old.metadata.uid)
        self.queue.forget(key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        present = new or old
        assert present is not None
        key = job_of_pod(present)
        if new is None:
            self.expectations.saw_gone(key, POD, present.metadata)
        if old is None or new is None or concerns_job(old, new):
            self.queue.add_after(key, self._settle_s(key))

    def _group_changed(self, old: PodGroup | None, new: PodGroup | None) -> None:
        present = new or old
        assert present is not None
        owner = present.metadata.controller
        if owner is None or owner.kind != JOB.kind or owner.api_version != JOB.api_version:
            return
        key = f"{present.metadata.namespace}/{owner.name}"
        if new is None:
            self.expectations.saw_gone(key, POD_GROUP, present.metadata)
        if old is None or new is None or old.status.phase != new.status.phase:
            self.queue.add(key)
        else:
            self.queue.add_after(key, self._settings.settle_s)

    def _command_changed(self, old: Command | None, new: Command | None) -> None:
        present = new or old
        assert present is not None
        if present.target is None or present.target.kind != JOB.kind:
            return
        key = f"{present.metadata.namespace}/{present.target.name}"
        if new is None:
            self.expectations.saw_gone(key, COMMAND, present.metadata)
        self.queue.add(key)

    def _queue_changed(self, old: Queue | None, new: Queue | None) -> None:
        present = new or old
        assert present is not None
        same_state = old is not None and new is not None and old.status.state == new.status.state
        same_level = (old is not None and suspended(old)) == (new is not None and suspended(new))
        same_place = old is not None and new is not None and old.spec.parent == new.spec.parent
        if same_state and same_level and same_place:
            return
        alone = same_level and (same_place or new is None)
        for name in [present.metadata.name] if alone else self._caches.queues_from(present.metadata.name):
            for job in self._caches.jobs.store.index("queue", name):
                self.queue.add_after(job.metadata.key, self._settings.settle_s)

    def _settle_s(self, key: str) -> float:
        """How long to let a burst of pod changes go on: one pass over 5,000 pods is not to follow each of them."""
        size = max(1.0, self._caches.pods.store.count("job", key) / SMALL_JOB_PODS)
        return min(self._settings.settle_s * size, self._settings.settle_longest_s)

    # Setting it right ----------------------------------------------------------------------------------------------

    async def reconcile(self, key: str) -> float | None:
        """One pass over one job; gives the seconds until the next one is due whatever happens."""
        if not self.expectations.settled(key):
            await self.effects.ask_overdue(key)
            if not self.expectations.settled(key):
                return self.expectations.wait_s(key)
        job = self._caches.jobs.store.get(key)
        if job is None or job.metadata.deletion_timestamp is not None:
            return None
        now = self._settings.now()
        status = self._statuses.current(job)
        seen = job if status is job.status else replace(job, status=status)
        children = await self._children.read(seen)
        keys = await self._children.keys(seen)
        changes = reconcile(seen, children, now, keys, served=self._served, staging_image=self._settings.staging_image)
        return await self._carry_out(job, status, changes, now)

    async def _carry_out(self, job: Job, status: JobStatus, changes: Changes, now: datetime) -> float | None:
        key = job.metadata.key
        wanted = changes.status or status
        if changes.status_first or len(changes.creates) > LARGE_BATCH:
            promised = without_promises(status, wanted)
            await self._statuses.write(job, promised, exact=changes.status_first)
            job = replace(job, status=promised)
        problem = await self._act(job, changes)
        if problem is not None:
            wanted = without_promises(status, wanted)
        wanted = self._statuses.blamed(key, wanted, problem)
        hurry = bool(changes.deletes or changes.patches)
        waits = [await self._statuses.settle(job, wanted, hurry=hurry)]
        await self.effects.delete_all(key, orders_done(changes))
        for note in changes.notes:
            self._recorder.note(job, note.type, note.reason, note.message)
        if problem is not None:
            raise problem
        if changes.wake_at is not None:
            waits.append(max(0.0, (changes.wake_at - now).total_seconds()))
        if wanted != status or self._unseen(changes):
            # No event will tell of a draft, nor of a kind that is not watched: look again.
            waits.append(self._settings.settle_s)
        return min((wait for wait in waits if wait is not None), default=None)

    async def _act(self, job: Job, changes: Changes) -> FlowbatchError | None:
        """Deletes, patches, creates. Gives what is wrong with the job itself; passing trouble is raised."""
        key, uid = job.metadata.key, job.metadata.uid
        try:
            await self.effects.delete_all(key, tuple(each for each in changes.deletes if each.kind != COMMAND.kind))
            await self.effects.patch_all(key, changes.patches)
            await self.effects.create_all(key, uid, changes.creates)
        except ForeignObject as problem:
            return problem
        except ApiError as problem:
            if is_passing(problem):
                raise
            return problem
        return None

    def _unseen(self, changes: Changes) -> bool:
        """Whether anything was done to a kind whose changes no watch reports."""
        kinds = [kind_of_manifest(each.manifest) for each in changes.creates]
        kinds += [kind_named(each.kind) for each in changes.deletes]
        kinds += [kind_named(each.kind) for each in changes.patches]
        return not all(self._caches.watches(kind) for kind in kinds)

    def _tell(self, key: str, problem: Exception) -> None:
        job = self._caches.jobs.store.get(key)
        if job is not None:
            reason = "FailedCreate" if isinstance(problem, ForeignObject | ApiError) else "FailedSync"
            self._recorder.note(job, "Warning", reason, str(problem) or type(problem).__name__)

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()


def orders_done(changes: Changes) -> tuple[Delete, ...]:
    """The Commands to delete: after everything they asked for, so that a crash repeats an order and loses none."""
    return tuple(each for each in changes.deletes if each.kind == COMMAND.kind)


def concerns_job(old: Pod, new: Pod) -> bool:
    """Whether a change of a pod can matter to its job; being placed on a node, for one, does not."""
    before, after = old.status, new.status
    return (
        before.phase != after.phase
        or before.reason != after.reason
        or before.container_statuses != after.container_statuses
        or before.init_container_statuses != after.init_container_statuses
        or _ready(old) != _ready(new)
        or old.metadata.deletion_timestamp != new.metadata.deletion_timestamp
        or old.metadata.labels != new.metadata.labels
        or old.metadata.annotations != new.metadata.annotations
        or old.metadata.owner_references != new.metadata.owner_references
    )


def _ready(pod: Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
