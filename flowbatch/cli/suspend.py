"""`flowbatch suspend` and `flowbatch resume`: a level on the job or queue, so saying it twice is harmless."""

from collections.abc import Sequence
from typing import Any

from flowbatch.api.batch import Job
from flowbatch.api.kinds import JOB, QUEUE, Kind
from flowbatch.api.scheduling import Queue
from flowbatch.cli.job import find_job, find_queue, named
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.kube.schema import served_fields
from flowbatch.workload.suspension import QUEUE_FIELD, SUSPEND_FIELD, suspended, suspension_patch


def suspend(*jobs: str, options: NamespaceOptions | None = None) -> int:
    """Stop the pods of JOBS and free their room; finished work is kept and no retry is spent.

    Parameters
    ----------
    jobs
        Names of the jobs; queue/NAME means all jobs of a queue, and of the queues below it.
    """
    return run_async(lambda: _set(named(jobs), True, options or NamespaceOptions()))


def resume(*jobs: str, options: NamespaceOptions | None = None) -> int:
    """Let suspended JOBS run again; what had succeeded is not run twice.

    Parameters
    ----------
    jobs
        Names of the jobs; queue/NAME means a queue. Jobs that were suspended by themselves stay so.
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
    if suspended(found) == to:
        print(f"{shown} already {word}" if to else f"{shown} is not suspended")
        return
    await session.client.patch(kind, meta.name, suspension_patch(to, served, field), meta.namespace or None)
    print(f"{shown} {word}")


async def _find(session: Session, name: str) -> tuple[Kind[Any], str, Job | Queue]:
    """What `name` means, its kind, and the field of its suspension. Raises NoSuchJob, NoSuchQueue."""
    if name.startswith(("queue/", "queue.scheduling.volcano.sh/", "q/")):
        return QUEUE, QUEUE_FIELD, await find_queue(session, name.removeprefix("q/"))
    return JOB, SUSPEND_FIELD, await find_job(session, name)
