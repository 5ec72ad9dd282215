"""`flowbatch logs`: the output of a job's pods, merged and labelled; `-f` waits for pods and survives restarts."""

import sys
from collections.abc import Mapping
from typing import Annotated

from cyclopts import Parameter

from flowbatch.cli.job import find_job
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import connect, run_async
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.following.logs import Target, read
from flowbatch.following.logs import follow as follow_logs


def logs(
    job: str,
    task: str = "",
    /,
    *,
    index: int | None = None,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="")] = False,
    tail: int | None = None,
    prefix: bool | None = None,
    options: NamespaceOptions | None = None,
) -> int:
    """Print the logs of JOB, or of one of its tasks, or of one pod of it.

    Parameters
    ----------
    job
        Name of the job.
    task
        Only the pods of this task.
    index
        Only this pod of the task.
    follow
        Wait for pods and go on until the job ends.
    tail
        Only the last lines of each pod.
    prefix
        Put the pod's name before each line; the default where there are several pods.
    """
    if tail is not None and tail < 0:
        raise SpecError("--tail", "must be 0 or more", tail)
    return run_async(lambda: _logs(job, task, index, follow, tail, prefix, options or NamespaceOptions()))


async def _logs(
    name: str,
    task: str,
    index: int | None,
    follow: bool,
    tail: int | None,
    prefix: bool | None,
    options: NamespaceOptions,
) -> int:
    async with connect(options) as session:
        job = await find_job(session, name)
        replicas = {each.name: each.replicas for each in job.spec.tasks}
        _check_place(job.metadata.name, task, index, replicas)
        single = bool(task) and (index is not None or replicas[task] == 1)
        labelled = not single if prefix is None else prefix
        target = Target(job.metadata.namespace, job.metadata.name, job.metadata.uid, task, index, tail=tail)
        lines = follow_logs(session.client, target) if follow else read(session.client, target, wait=False)
        async for line in lines:
            sys.stdout.write(f"{line.pod}: {line.text}\n" if labelled else f"{line.text}\n")
            sys.stdout.flush()
    return 0


def _check_place(job: str, task: str, index: int | None, replicas: Mapping[str, int]) -> None:
    if task and task not in replicas:
        raise SpecError("TASK", f"job {job} has no such task", task, did_you_mean(task, replicas))
    most = replicas[task] if task else max(replicas.values(), default=0)
    if index is not None and not 0 <= index < most:
        owner = f"task {task} of job {job}" if task else f"job {job}"
        raise SpecError("--index", f"{owner} has no such pod", index, f"0 to {most - 1}")
