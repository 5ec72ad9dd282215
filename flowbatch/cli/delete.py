"""`flowbatch delete`: a job and all that belongs to it."""

from typing import Annotated, Any

import anyio
from cyclopts import Parameter

from flowbatch.api.kinds import CRON_JOB, JOB, JOB_FLOW, Kind
from flowbatch.api.meta import ObjectMeta
from flowbatch.cli.flow import CRON_PREFIXES, FLOW_PREFIXES, bare, find_cron, find_flow
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
        Names of the jobs; jobflow/NAME and cronjob/NAME go with all of their jobs.
    file
        Delete the jobs, workflows and cron jobs of this file instead.
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
    kinds = {"Job": "", "JobFlow": "jobflow/", "CronJob": "cronjob/"}
    found = [each for each in load(file) if each.get("kind") in kinds]
    return [kinds[each["kind"]] + str(each["metadata"]["name"]) for each in found]


async def _delete(names: list[str], wait_s: float, options: NamespaceOptions) -> int:
    async with connect(options) as session:
        found = [await _find(session, name) for name in names]
        for kind, meta in found:
            await session.client.delete(kind, meta.name, meta.namespace, uid=meta.uid, propagation="Foreground")
            print(f"{kind.kind.lower()}/{meta.name} deleted")
        with anyio.move_on_after(wait_s) as scope:
            for kind, meta in found if wait_s else []:
                await _gone(session, kind, meta)
    if scope.cancelled_caught:
        raise FlowbatchError(f"still there after {wait_s:.0f} s: {', '.join(names)}; a finalizer may hold them")
    return 0


async def _find(session: Session, name: str) -> tuple[Kind[Any], ObjectMeta]:
    """What `name` means. Raises NoSuchJob."""
    if bare(name, FLOW_PREFIXES) is not None:
        return JOB_FLOW, (await find_flow(session, name)).metadata
    if bare(name, CRON_PREFIXES) is not None:
        return CRON_JOB, (await find_cron(session, name)).metadata
    return JOB, (await find_job(session, name)).metadata


async def _gone(session: Session, kind: Kind[Any], meta: ObjectMeta) -> None:
    """Return once the object with this uid no longer exists."""
    while True:
        try:
            now = await session.client.get(kind, meta.name, session.namespace)
        except NotFound:
            return
        if now.metadata.uid != meta.uid:
            return
        await anyio.sleep(0.2)
