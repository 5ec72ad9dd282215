"""batch.volcano.sh/v1alpha1 CronJob: Volcano's fields, which are those of Kubernetes' CronJob over Volcano's Job."""

from datetime import datetime

from flowbatch.api.batch import JobSpec
from flowbatch.api.meta import ObjectMeta, Wire


class TemplateMeta(Wire, frozen=True, kw_only=True):
    """What a template says about the metadata of the objects made from it."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()


class CronTemplate(Wire, frozen=True, kw_only=True):
    """The Job that each run makes."""

    metadata: TemplateMeta = TemplateMeta()
    spec: JobSpec = JobSpec()


class CronJobSpec(Wire, frozen=True, kw_only=True):
    """When to make a Job, and how many may be there at once."""

    #: Five fields as in crontab(5), or `@hourly` and its like, or `@every 90m`.
    schedule: str = ""
    time_zone: str | None = None
    #: A run that is later than this is not made at all.
    starting_deadline_seconds: int | None = None
    #: Allow, Forbid or Replace.
    concurrency_policy: str = "Allow"
    suspend: bool = False
    job_template: CronTemplate = CronTemplate()
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None


class ActiveJob(Wire, frozen=True, kw_only=True):
    """v1.ObjectReference, as far as a reference to a Job needs it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class CronJobStatus(Wire, frozen=True, kw_only=True):
    """Which runs are under way, and when the last ones were."""

    active: tuple[ActiveJob, ...] = ()
    last_schedule_time: datetime | None = None
    last_successful_time: datetime | None = None


class CronJob(Wire, frozen=True, kw_only=True):
    """batch.volcano.sh/v1alpha1 CronJob."""

    metadata: ObjectMeta = ObjectMeta()
    spec: CronJobSpec = CronJobSpec()
    status: CronJobStatus = CronJobStatus()
