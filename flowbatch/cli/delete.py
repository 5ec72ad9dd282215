"""`flowbatch delete`: a job and all that belongs to it."""

from typing import Annotated

import anyio
from cyclopts import Parameter

from flowbatch.api.kinds import JOB
from flowbatch.cli.job import find_job
from flowbatch.cli.load import load
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.errors import FlowbatchError, SpecError
from flowbatch.kube.errors import NotFound


def delete(
    *jobs: str,
    file: Annotated[str, Parameter(name=["--file", "-f"])] = "",
    wait: bool = True,
    timeout: float = 60.0,
    options: NamespaceOptions | None = None,
) -> int:
    """Delete jobs; their pods, pod groups and plugin objects go with them.

    Parameters
    ----------
    jobs
        Names of the jobs.
    file
        Delete the jobs of this file instead.
    wait
        Return only when they are gone.
    timeout
        Seconds to wait.
    """
    names = [*jobs, *(_names(file) if file else [])]
    if not names:
        raise SpecError("JOBS", "name at least one job, or a file with -f")
    return run_async(lambda: _delete(names, timeout if wait else 0, options or NamespaceOptions()))


def _names(file: str) -> list[str]:
    return [str(each["metadata"]["name"]) for each in load(file) if each.get("kind") == "Job"]


async def _delete(names: list[str], wait_s: float, options: NamespaceOptions) -> int:
    async with connect(options) as session:
        found = [await find_job(session, name) for name in names]
        for job in found:
            meta = job.metadata
            await session.client.delete(JOB, meta.name, meta.namespace, uid=meta.uid, propagation="Foreground")
            print(f"job/{meta.name} deleted")
        with anyio.move_on_after(wait_s) as scope:
            for job in found if wait_s else []:
                await _gone(session, job.metadata.name, job.metadata.uid)
    if scope.cancelled_caught:
        raise FlowbatchError(f"still there after {wait_s:.0f} s: {', '.join(names)}; a finalizer may hold them")
    return 0


async def _gone(session: Session, name: str, uid: str) -> None:
    """Return once the object with this uid no longer exists."""
    while True:
        try:
            now = await session.client.get(JOB, name, session.namespace)
        except NotFound:
            return
        if now.metadata.uid != uid:
            return
        await anyio.sleep(0.2)
