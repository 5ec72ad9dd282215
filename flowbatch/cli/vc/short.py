"""vsub, vjobs, vqueues, vcancel, vsuspend, vresume: one order each. Here -n is a name and -N a namespace."""

import os
import shlex
from typing import Annotated

from cyclopts import Parameter

from flowbatch.api.names import SCHEDULER_NAME
from flowbatch.cli import version as own
from flowbatch.cli.session import run_async
from flowbatch.cli.vc.job import create, give_order, remove, show_jobs
from flowbatch.cli.vc.options import Cluster, Everywhere, Fuzzy, Scheduler, ShortName, ShortNamespace, needed
from flowbatch.cli.vc.queue import show_queues
from flowbatch.cli.vc.submission import DEFAULT_AMOUNTS, DEFAULT_IMAGE, Wish, manifest
from flowbatch.cli.vc.view import show_job
from flowbatch.errors import SpecError

SCHEDULER_VARIABLE = "VOLCANO_SCHEDULER_NAME"
IMAGE_VARIABLE = "VOLCANO_DEFAULT_IMAGE"
NAMESPACE_VARIABLE = "VOLCANO_DEFAULT_JOB_NAMESPACE"


def version() -> None:
    """Print the version information"""
    own.version()


def vsub(
    *,
    name: ShortName = "",
    namespace: ShortNamespace = "",
    image: Annotated[str, Parameter(name=["--image", "-i"], help=f"the image; else ${IMAGE_VARIABLE}")] = "",
    least: Annotated[int, Parameter(name=["--min", "-m"], help="the minimal available tasks")] = 1,
    replicas: Annotated[int, Parameter(name=["--replicas", "-r"], help="the total tasks")] = 1,
    requests: Annotated[str, Parameter(name=["--requests", "-R"], help="requests of a task")] = DEFAULT_AMOUNTS,
    limits: Annotated[str, Parameter(name=["--limits", "-L"], help="limits of a task")] = DEFAULT_AMOUNTS,
    scheduler: Annotated[
        str, Parameter(name=["--scheduler", "-S"], help=f"the scheduler; else ${SCHEDULER_VARIABLE}")
    ] = "",
    command: Annotated[str, Parameter(name=["--command", "-c"], allow_leading_hyphen=True, help="the command")] = "",
    cluster: Cluster | None = None,
) -> int:
    """submit a job by parameters from the command line"""
    wish = Wish(
        name=needed(name, "job"),
        namespace=namespace or os.environ.get(NAMESPACE_VARIABLE) or "default",
        image=image or os.environ.get(IMAGE_VARIABLE) or DEFAULT_IMAGE,
        least=least,
        replicas=replicas,
        requests=requests,
        limits=limits,
        scheduler=scheduler or os.environ.get(SCHEDULER_VARIABLE) or SCHEDULER_NAME,
        command=_words(command),
    )
    return run_async(lambda: create(manifest(wish), wish.namespace, cluster))


def _words(command: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command))
    except ValueError as problem:
        raise SpecError("--command", f"cannot be read: {problem}", command) from None


def vjobs(
    *,
    name: ShortName = "",
    namespace: ShortNamespace = "default",
    scheduler: Scheduler = "",
    everywhere: Everywhere = False,
    selector: Fuzzy = "",
    cluster: Cluster | None = None,
) -> int:
    """view a job, or list jobs"""
    if name:
        return run_async(lambda: show_job(name, namespace, cluster))
    return run_async(lambda: show_jobs(None if everywhere else namespace, "", scheduler, selector, cluster))


def vqueues(*, name: ShortName = "", cluster: Cluster | None = None) -> int:
    """get a queue, or list queues"""
    return run_async(lambda: show_queues(name, cluster))


def vcancel(*, name: ShortName = "", namespace: ShortNamespace = "default", cluster: Cluster | None = None) -> int:
    """cancel a job"""
    needed(name, "job")
    return run_async(lambda: remove(name, namespace, "cancel", cluster))


def vsuspend(*, name: ShortName = "", namespace: ShortNamespace = "default", cluster: Cluster | None = None) -> int:
    """suspend a job"""
    needed(name, "job")
    return run_async(lambda: give_order(name, namespace, "AbortJob", cluster))


def vresume(*, name: ShortName = "", namespace: ShortNamespace = "default", cluster: Cluster | None = None) -> int:
    """resume a job"""
    needed(name, "job")
    return run_async(lambda: give_order(name, namespace, "ResumeJob", cluster))
