"""`flowbatch why`: why a job waits, with numbers, and what would start it."""

from flowbatch.cli.flow import FLOW_PREFIXES, bare, find_flow, print_step, print_waiting, print_why
from flowbatch.cli.job import view_job
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.workload.explain import explain


def why(job: str, /, *, options: NamespaceOptions | None = None) -> int:
    """Say why JOB waits and what would start it.

    Parameters
    ----------
    job
        Name of the job; jobflow/NAME means a workflow, jobflow/NAME/STEP one of its steps.
    """

    async def work() -> int:
        async with connect(options or NamespaceOptions()) as session:
            of_flow = bare(job, FLOW_PREFIXES)
            if of_flow is not None:
                await _of_flow(session, *of_flow.split("/", 1))
                return 0
            view = await view_job(session, job)
            print(explain(view.job, view.group, view.queue, view.pods))
        return 0

    return run_async(work)


async def _of_flow(session: Session, name: str, step: str = "") -> None:
    flow = await find_flow(session, name)
    if step:
        await print_step(session, flow, step)
        return
    await print_why(session, flow)
    print_waiting(flow)
