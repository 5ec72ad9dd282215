"""The JobTemplate controller: says in each template's status which jobs were made from it, as Volcano does."""

from flowbatch.api.batch import Job
from flowbatch.api.flow import JobTemplate, JobTemplateStatus
from flowbatch.api.kinds import JOB_TEMPLATE
from flowbatch.api.names import CREATED_BY_TEMPLATE
from flowbatch.controllers.caches import Caches
from flowbatch.controllers.runner import Runner
from flowbatch.controllers.settings import Settings
from flowbatch.controllers.status_patches import StatusPatches
from flowbatch.controllers.workqueue import WorkQueue
from flowbatch.kube.client import Client

#: A template of very many jobs names the latest.
MOST_NAMED = 500


class JobTemplateController:
    """One key per JobTemplate."""

    def __init__(self, client: Client, caches: Caches, settings: Settings) -> None:
        self._caches = caches
        self._settings = settings
        self.queue = WorkQueue()
        self._statuses = StatusPatches(client, JOB_TEMPLATE)
        self.runner = Runner("jobtemplate", self.queue, self.reconcile, lanes=2)
        caches.job_templates.on_change(self._template_changed)
        caches.jobs.on_change(self._job_changed)

    async def run(self) -> None:
        """Work until cancelled; the caches are synced."""
        await self.runner.run()

    def _template_changed(self, old: JobTemplate | None, new: JobTemplate | None) -> None:
        if new is None:
            assert old is not None
            self._statuses.forget(old.metadata.key)
        elif old is None:
            self.queue.add_after(new.metadata.key, self._settings.counts_delay_s)

    def _job_changed(self, old: Job | None, new: Job | None) -> None:
        """Jobs come and go in bursts: one write for all of a moment."""
        present = new or old
        assert present is not None
        made_from = present.metadata.annotations.get(CREATED_BY_TEMPLATE)
        if made_from and (old is None or new is None):
            self.queue.add_after(made_from.replace(".", "/", 1), self._settings.counts_delay_s)

    async def reconcile(self, key: str) -> float | None:
        """Bring the status of one template to what the jobs say."""
        cached = self._caches.job_templates.store.get(key)
        if cached is None or cached.metadata.deletion_timestamp is not None:
            return None
        template = self._statuses.newest(cached)
        meta = template.metadata
        jobs = self._caches.jobs.store.index("template", f"{meta.namespace}.{meta.name}")
        names = tuple(sorted(job.metadata.name for job in jobs if job.metadata.namespace == meta.namespace))
        await self._statuses.write(template, JobTemplateStatus(job_depends_on_list=names[-MOST_NAMED:]))
        return None
