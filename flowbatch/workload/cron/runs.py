"""One run of a CronJob: the Job that it makes, by a name that says when, so that it is never made twice."""

from datetime import UTC, datetime

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.cron import ActiveJob, CronJob
from flowbatch.api.kinds import CRON_JOB, JOB
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import CRON_SCHEDULED
from flowbatch.workload.cron.schedule import BadSchedule, parse_zone

#: Phases that a job does not leave (Volcano: an Aborted one is under way still).
FINISHED = ("Completed", "Failed", "Terminated")


def run_name(cron: CronJob, scheduled: datetime) -> str:
    """Volcano's: the minutes since 1970. A run at another second than 0, which only `@every` has, counts seconds."""
    seconds = int(scheduled.timestamp())
    return f"{cron.metadata.name}-{seconds // 60 if seconds % 60 == 0 else seconds}"


def run_of(cron: CronJob, scheduled: datetime) -> JsonObject:
    """The Job of the run that was due at `scheduled`."""
    template, meta = cron.spec.job_template, cron.metadata
    owner = {"apiVersion": CRON_JOB.api_version, "kind": CRON_JOB.kind, "name": meta.name, "uid": meta.uid}
    metadata: JsonObject = {
        "name": run_name(cron, scheduled),
        "namespace": meta.namespace,
        "annotations": {**template.metadata.annotations, CRON_SCHEDULED: _stamp(cron, scheduled)},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    if template.metadata.labels:
        metadata["labels"] = dict(template.metadata.labels)
    spec = msgspec.to_builtins(template.spec)
    return {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata, "spec": spec}


def scheduled_at(job: Job) -> datetime | None:
    """When the run that made this job was due; None if none did."""
    try:
        moment = datetime.fromisoformat(job.metadata.annotations.get(CRON_SCHEDULED, ""))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


def reference_to(job: Job) -> ActiveJob:
    """How `status.active` names a job."""
    meta = job.metadata
    return ActiveJob(api_version=JOB.api_version, kind=JOB.kind, name=meta.name, namespace=meta.namespace, uid=meta.uid)


def finished(job: Job) -> bool:
    """Whether the job has come to an end of its own."""
    return job.status.state.phase in FINISHED


def _stamp(cron: CronJob, scheduled: datetime) -> str:
    """RFC 3339 in the zone of the CronJob, as Volcano writes it."""
    try:
        zone = parse_zone(cron.spec.time_zone)
    except BadSchedule:
        zone = None
    return scheduled.astimezone(zone or UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
