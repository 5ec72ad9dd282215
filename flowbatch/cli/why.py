"""`flowbatch why`: why a job waits, with numbers, and what would start it."""

from flowbatch.cli.flow import FLOW_PREFIXES, bare, find_flow, print_why
from flowbatch.cli.job import view_job
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import connect, run_async
from flowbatch.workload.explain import explain


def why(job: str, /, *, options: NamespaceOptions | None = None) -> int:
    """Say why JOB waits and what would start it.

    Parameters
    ----------
    job
        Name of the job; jobflow/NAME means a workflow.
    """

    async def work() -> int:
        async with connect(options or NamespaceOptions()) as session:
            if bare(job, FLOW_PREFIXES) is not None:
                await print_why(session, await find_flow(session, job))
                return 0
            view = await view_job(session, job)
            print(explain(view.job, view.group, view.queue, view.pods))
        return 0

    return run_async(work)
