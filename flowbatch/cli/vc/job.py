"""`flowbatch vc job`: run, list, view, suspend, resume, delete."""

from typing import Annotated

from cyclopts import App, Parameter

from flowbatch.api.batch import Job
from flowbatch.api.kinds import COMMAND, JOB
from flowbatch.api.meta import JsonObject
from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.cli.load import load
from flowbatch.cli.orders import order
from flowbatch.cli.session import run_async
from flowbatch.cli.vc.options import Cluster, Everywhere, File, Fuzzy, Name, Namespace, Scheduler, connect, needed
from flowbatch.cli.vc.submission import DEFAULT_AMOUNTS, DEFAULT_IMAGE, Wish, manifest
from flowbatch.cli.vc.tables import NOTHING, fixed
from flowbatch.cli.vc.view import show_job
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload import rules

app = App(name="job", help="vcctl command line operation job")
HEADER = (
    *("Name", "Creation", "Phase", "JobType", "Replicas", "Min"),
    *("Pending", "Running", "Succeeded", "Failed", "Unknown", "RetryCount"),
)
_WIDTHS = (15, 12, 12, 12, 6, 10, 10, 12, 10, 12, 10)
#: What kind of job it is, as other tools write it on their jobs.
JOB_TYPE = "volcano.sh/job-type"


@app.command
def run(
    *,
    name: Name = "",
    namespace: Namespace = "default",
    image: Annotated[str, Parameter(name=["--image", "-i"], help="the container image")] = DEFAULT_IMAGE,
    least: Annotated[int, Parameter(name=["--min", "-m"], help="the minimal available tasks")] = 1,
    replicas: Annotated[int, Parameter(name=["--replicas", "-r"], help="the total tasks")] = 1,
    requests: Annotated[str, Parameter(name=["--requests", "-R"], help="requests of a task")] = DEFAULT_AMOUNTS,
    limits: Annotated[str, Parameter(name=["--limits", "-L"], help="limits of a task")] = DEFAULT_AMOUNTS,
    scheduler: Annotated[str, Parameter(name=["--scheduler", "-S"], help="the scheduler")] = SCHEDULER_NAME,
    filename: File = "",
    cluster: Cluster | None = None,
) -> int:
    """run job by parameters from the command line"""
    wish = Wish(
        name=name,
        namespace=namespace,
        image=image,
        least=least,
        replicas=replicas,
        requests=requests,
        limits=limits,
        scheduler=scheduler,
    )
    if not filename:
        needed(name, "job")
    job = of_file(filename) if filename else manifest(wish)
    return run_async(lambda: create(job, namespace, cluster))


def of_file(filename: str) -> JsonObject:
    """The one Job of a YAML file. Raises SpecError, SpecErrors."""
    jobs = [
        each for each in load(filename) if (each.get("apiVersion"), each.get("kind")) == (JOB.api_version, JOB.kind)
    ]
    if len(jobs) != 1:
        raise SpecError(filename, f"has {len(jobs)} jobs, and not one", None, "flowbatch run FILE takes any number")
    if problems := rules.check_job(jobs[0]):
        raise SpecErrors(problems, filename)
    return jobs[0]


async def create(job: JsonObject, namespace: str, cluster: Cluster | None) -> int:
    """Create a job in the namespace of the command, as vcctl does."""
    metadata = {**job["metadata"], "namespace": namespace}
    async with connect(cluster) as client:
        made = await client.create(JOB, {**job, "metadata": metadata}, namespace)
        print(f"run job {made.metadata.name} successfully")
    return 0


@app.command(name="list")
def list_jobs(
    *,
    namespace: Namespace = "default",
    queue: Annotated[str, Parameter(name=["--queue", "-q"], help="only jobs of this queue")] = "",
    scheduler: Scheduler = "",
    everywhere: Everywhere = False,
    selector: Fuzzy = "",
    cluster: Cluster | None = None,
) -> int:
    """list job information"""
    return run_async(lambda: show_jobs(None if everywhere else namespace, queue, scheduler, selector, cluster))


async def show_jobs(namespace: str | None, queue: str, scheduler: str, selector: str, cluster: Cluster | None) -> int:
    """Print jobs of one namespace, or of all (None), that match."""
    async with connect(cluster) as client:
        jobs = sorted(await client.list(JOB, namespace), key=lambda each: each.metadata.key)
    if not jobs:
        print(NOTHING)
        return 0
    lead = ("Namespace",) if namespace is None else ()
    kept = [
        each
        for each in jobs
        if selector in each.metadata.name
        and scheduler in ("", each.spec.scheduler_name)
        and queue in ("", each.spec.queue)
    ]
    name_width = max(len("Name"), *(len(each.metadata.name) for each in jobs)) + 3
    space_width = max(len("Namespace"), *(len(each.metadata.namespace) for each in jobs)) + 3
    widths = [*([space_width] if lead else []), name_width, *_WIDTHS]
    rows = [[*([each.metadata.namespace] if lead else []), *_row(each)] for each in kept]
    fixed(widths, [[*lead, *HEADER], *rows])
    return 0


def _row(job: Job) -> list[object]:
    status, created = job.status, job.metadata.creation_timestamp
    return [
        job.metadata.name,
        f"{created:%Y-%m-%d}" if created else "",
        status.state.phase,
        job.metadata.labels.get(JOB_TYPE) or "Batch",
        sum(task.replicas for task in job.spec.tasks),
        status.min_available,
        status.pending,
        status.running,
        status.succeeded,
        status.failed,
        status.unknown,
        status.retry_count,
    ]


@app.command
def view(*, name: Name = "", namespace: Namespace = "default", cluster: Cluster | None = None) -> int:
    """show job information"""
    needed(name, "job")
    return run_async(lambda: show_job(name, namespace, cluster))


@app.command
def suspend(*, name: Name = "", namespace: Namespace = "default", cluster: Cluster | None = None) -> int:
    """abort a job"""
    needed(name, "job")
    return run_async(lambda: give_order(name, namespace, "AbortJob", cluster))


@app.command
def resume(*, name: Name = "", namespace: Namespace = "default", cluster: Cluster | None = None) -> int:
    """resume a job"""
    needed(name, "job")
    return run_async(lambda: give_order(name, namespace, "ResumeJob", cluster))


async def give_order(name: str, namespace: str, action: str, cluster: Cluster | None) -> int:
    """Order something of a job by a Command; whoever wants to know when it is done looks at the job."""
    async with connect(cluster) as client:
        job = await client.get(JOB, name, namespace)
        await client.create(COMMAND, order(JOB, job.metadata, action), namespace)
    return 0


@app.command
def delete(*, name: Name = "", namespace: Namespace = "default", cluster: Cluster | None = None) -> int:
    """delete a job"""
    needed(name, "job")
    return run_async(lambda: remove(name, namespace, "delete", cluster))


async def remove(name: str, namespace: str, verb: str, cluster: Cluster | None) -> int:
    """Delete a job; what belongs to it goes with it."""
    async with connect(cluster) as client:
        await client.delete(JOB, name, namespace, propagation="Background")
        print(f"{verb} job {name} successfully")
    return 0
