"""`flowbatch suspend` and `flowbatch resume`: a level on the job, so saying it twice is harmless."""

from collections.abc import Sequence

from flowbatch.api.kinds import JOB
from flowbatch.cli.job import find_job, named
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.kube.schema import served_fields
from flowbatch.workload.explain import suspended
from flowbatch.workload.suspension import suspension_patch


def suspend(*jobs: str, options: NamespaceOptions | None = None) -> int:
    """Stop the pods of JOBS and free their room; finished work is kept and no retry is spent.

    Parameters
    ----------
    jobs
        Names of the jobs.
    """
    return run_async(lambda: _set(named(jobs), True, options or NamespaceOptions()))


def resume(*jobs: str, options: NamespaceOptions | None = None) -> int:
    """Let suspended JOBS run again; what had succeeded is not run twice.

    Parameters
    ----------
    jobs
        Names of the jobs.
    """
    return run_async(lambda: _set(named(jobs), False, options or NamespaceOptions()))


async def _set(jobs: Sequence[str], to: bool, options: NamespaceOptions) -> int:
    async with connect(options) as session:
        served = await served_fields(session.client)
        for name in jobs:
            await _set_one(session, name, to, served)
    return 0


async def _set_one(session: Session, name: str, to: bool, served: frozenset[str]) -> None:
    job = await find_job(session, name)
    word = "suspended" if to else "resumed"
    if suspended(job) == to:
        print(f"job/{job.metadata.name} already {word}" if to else f"job/{job.metadata.name} is not suspended")
        return
    patch = suspension_patch(to, served)
    await session.client.patch(JOB, job.metadata.name, patch, job.metadata.namespace)
    print(f"job/{job.metadata.name} {word}")
