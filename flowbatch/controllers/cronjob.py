"""The CronJob controller: asks `workload.cron` what is due, does it, and comes back when the next run is."""

import asyncio

from flowbatch.api.batch import Job
from flowbatch.api.cron import CronJob
from flowbatch.api.kinds import CRON_JOB, JOB
from flowbatch.controllers.caches import Caches
from flowbatch.controllers.effects import Effects, ForeignObject
from flowbatch.controllers.expectations import Expectations
from flowbatch.controllers.recorder import Recorder
from flowbatch.controllers.runner import Runner, is_passing
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.status_patches import StatusPatches
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError
from flowbatch.workload.changes import Delete, Note
from flowbatch.workload.cron.reconcile import CronChanges, reconcile

#: However far off the next run is: clocks are set, and a machine sleeps.
LONGEST_SLEEP_S = 600.0


class CronJobController:
    """One key per CronJob."""

    def __init__(self, client: Client, caches: Caches, recorder: Recorder, settings: Settings) -> None:
        self._caches = caches
        self._recorder = recorder
        self._settings = settings
        self.queue = WorkQueue()
        self._expectations = Expectations(caches, self._monotonic, settings.lag_s)
        self._effects = Effects(client, self._expectations, limit=4)
        self._statuses = StatusPatches(client, CRON_JOB)
        self.runner = Runner("cronjob", self.queue, self.reconcile, lanes=4, on_failure=self._tell)
        caches.cron_jobs.on_change(self._cron_changed)
        caches.jobs.on_change(self._job_changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        await self.runner.run()

    # What to look at -----------------------------------------------------------------------------------------------

    def _cron_changed(self, old: CronJob | None, new: CronJob | None) -> None:
        if new is not None:
            self.queue.add(new.metadata.key)
            return
        assert old is not None
        key = old.metadata.key
        self._expectations.forget(key)
        self._statuses.forget(key)
        self.queue.forget(key)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        present = new or old
        assert present is not None
        owner = present.metadata.controller
        if owner is None or owner.kind != CRON_JOB.kind or owner.api_version != CRON_JOB.api_version:
            return
        key = f"{present.metadata.namespace}/{owner.name}"
        if new is None:
            self._expectations.saw_gone(key, JOB, present.metadata)
        if old is None or new is None or old.status.state != new.status.state:
            self.queue.add(key)

    # Setting it right ----------------------------------------------------------------------------------------------

    async def reconcile(self, key: str) -> float | None:
        """One pass over one CronJob; gives the seconds until its next run."""
        if not self._expectations.settled(key):
            await self._effects.ask_overdue(key)
            return self._expectations.wait_s(key)
        cached = self._caches.cron_jobs.store.get(key)
        if cached is None or cached.metadata.deletion_timestamp is not None:
            return None
        cron = self._statuses.newest(cached)
        now = self._settings.now()
        changes = reconcile(cron, self._caches.jobs.store.index("controller", cron.metadata.uid), now)
        await self._carry_out(cron, changes)
        if changes.wake_at is None:
            return None
        return min(max(0.0, (changes.wake_at - self._settings.now()).total_seconds()), LONGEST_SLEEP_S)

    async def _carry_out(self, cron: CronJob, changes: CronChanges) -> None:
        key, uid = cron.metadata.key, cron.metadata.uid
        await self._delete(cron, changes.deletes)
        await self._effects.create_all(key, uid, changes.creates)
        for note in (*changes.notes, *(_swept(each.name) for each in (*changes.deletes, *changes.sweeps))):
            self._recorder.note(cron, note.type, note.reason, note.message)
        if changes.status is not None:
            await self._statuses.write(cron, changes.status)
        await self._delete(cron, changes.sweeps)

    async def _delete(self, cron: CronJob, deletes: tuple[Delete, ...]) -> None:
        try:
            await self._effects.delete_all(cron.metadata.key, deletes)
        except ApiError as problem:
            if not is_passing(problem):
                self._recorder.note(cron, "Warning", "FailedDelete", str(problem))
            raise

    def _tell(self, key: str, problem: Exception) -> None:
        cron = self._caches.cron_jobs.store.get(key)
        if cron is None or is_passing(problem):
            return
        reason = "ForeignJob" if isinstance(problem, ForeignObject) else "FailedSync"
        reason = "FailedCreate" if isinstance(problem, ApiError) else reason
        self._recorder.note(cron, "Warning", reason, str(problem) or type(problem).__name__)

    @staticmethod
    def _monotonic() -> float:
        return asyncio.get_running_loop().time()


def _swept(name: str) -> Note:
    return Note("Normal", "SuccessfulDelete", f"deleted job {name}")
