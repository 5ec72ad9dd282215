"""`flowbatch suspend` and `flowbatch resume`: a level on a job, queue, flow or cron job; said twice it is harmless."""

from collections.abc import Sequence
from typing import Any

from flowbatch.api.batch import Job
from flowbatch.api.cron import CronJob
from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import CRON_JOB, JOB, JOB_FLOW, QUEUE, Kind
from flowbatch.api.scheduling import Queue
from flowbatch.cli.flow import CRON_PREFIXES, FLOW_PREFIXES, bare, find_cron, find_flow
from flowbatch.cli.job import find_job, find_queue, named
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.kube.schema import served_fields
from flowbatch.workload.flow.anew import resume_patch
from flowbatch.workload.suspension import FLOW_FIELDS, QUEUE_FIELD, SUSPEND_FIELD, suspended, suspension_patch


def suspend(*jobs: str, options: NamespaceOptions | None = None) -> int:
    """Stop the pods of JOBS and free their room; finished work is kept and no retry is spent.

    Parameters
    ----------
    jobs
        Names of the jobs; queue/NAME means all jobs of a queue, and of the queues below it; jobflow/NAME a workflow,
        which begins no new steps; cronjob/NAME a cron job, which makes no new runs.
    """
    return run_async(lambda: _set(named(jobs), True, options or NamespaceOptions()))


def resume(*jobs: str, options: NamespaceOptions | None = None) -> int:
    """Let suspended JOBS run again; what had succeeded is not run twice.

    Parameters
    ----------
    jobs
        Names of the jobs; queue/NAME, jobflow/NAME, cronjob/NAME. Jobs that were suspended by themselves stay so. A
        workflow that failed goes on from what completed: what failed is run once more.
    """
    return run_async(lambda: _set(named(jobs), False, options or NamespaceOptions()))


async def _set(jobs: Sequence[str], to: bool, options: NamespaceOptions) -> int:
    async with connect(options) as session:
        served = await served_fields(session.client)
        for name in jobs:
            await _set_one(session, name, to, served)
    return 0


async def _set_one(session: Session, name: str, to: bool, served: frozenset[str]) -> None:
    kind, field, found = await _find(session, name)
    meta = found.metadata
    shown, word = f"{kind.kind.lower()}/{meta.name}", "suspended" if to else "resumed"
    if not to and isinstance(found, JobFlow) and found.status.state.phase == "Failed":
        await session.client.patch(kind, meta.name, resume_patch(found, served), meta.namespace)
        print(f"{shown} resumed: what failed is run once more")
        return
    is_so = found.spec.suspend if isinstance(found, CronJob) else suspended(found)
    if is_so == to:
        print(f"{shown} already {word}" if to else f"{shown} is not suspended")
        return
    patch = {"spec": {"suspend": to}} if kind is CRON_JOB else suspension_patch(to, served, field)
    await session.client.patch(kind, meta.name, patch, meta.namespace or None)
    print(f"{shown} {word}")


async def _find(session: Session, name: str) -> tuple[Kind[Any], str, Job | Queue | JobFlow | CronJob]:
    """What `name` means, its kind, and the field of its suspension. Raises NoSuchJob, NoSuchQueue."""
    if bare(name, FLOW_PREFIXES) is not None:
        return JOB_FLOW, FLOW_FIELDS, await find_flow(session, name)
    if bare(name, CRON_PREFIXES) is not None:
        return CRON_JOB, "", await find_cron(session, name)
    if name.startswith(("queue/", "queue.scheduling.volcano.sh/", "q/")):
        return QUEUE, QUEUE_FIELD, await find_queue(session, name.removeprefix("q/"))
    return JOB, SUSPEND_FIELD, await find_job(session, name)
