"""`flowbatch logs`: the output of a job's pods, merged and labelled; `-f` waits for pods and survives restarts."""

import sys
from collections.abc import Callable
from typing import Annotated

import anyio
from cyclopts import Parameter

from flowbatch.api.core import Pod
from flowbatch.api.kinds import JOB, POD
from flowbatch.api.names import JOB_NAME, TASK_SPEC
from flowbatch.cli.job import find_job
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, TransportError
from flowbatch.kube.request import pod_logs
from flowbatch.workload.explain import FINISHED

STARTED = ("Running", "Succeeded", "Failed")
#: How long to wait before asking again for a log whose container is not ready to give one.
RETRY_S = 0.2


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
        if task and task not in replicas:
            raise SpecError("TASK", f"job {job.metadata.name} has no such task", task, did_you_mean(task, replicas))
        single = bool(task) and (index is not None or replicas[task] == 1)
        wanted = Wanted(job.metadata.name, task, index, tail)
        labelled = not single if prefix is None else prefix

        def write(pod: str, line: str) -> None:
            sys.stdout.write(f"{pod}: {line}\n" if labelled else f"{line}\n")
            sys.stdout.flush()

        if follow:
            await follow_logs(session.client, job.metadata.namespace, job.metadata.uid, wanted, write)
        else:
            await _print_once(session, wanted, write)
    return 0


class Wanted:
    """Which pods of a job, and how much of their logs."""

    def __init__(self, job: str, task: str = "", index: int | None = None, tail: int | None = None) -> None:
        self.job = job
        self.tail = tail
        self._task = task
        self._index = index

    def has(self, pod: Pod) -> bool:
        """Whether the log of `pod` is asked for."""
        task = pod.metadata.labels.get(TASK_SPEC, "")
        if self._task and task != self._task:
            return False
        return self._index is None or pod.metadata.name.endswith(f"-{self._index}")


async def _print_once(session: Session, wanted: Wanted, write: Callable[[str, str], None]) -> None:
    selector = f"{JOB_NAME}={wanted.job}"
    pods = await session.client.list(POD, session.namespace, label_selector=selector)
    for pod in sorted(pods, key=lambda each: each.metadata.name):
        if wanted.has(pod) and pod.status.phase in STARTED:
            await _stream(session.client, pod, False, wanted.tail, write)


async def follow_logs(
    client: Client, namespace: str, job_uid: str, wanted: Wanted, write: Callable[[str, str], None]
) -> None:
    """Write the log lines of a job's pods as they come, new incarnations included, until the job has ended."""
    async with anyio.create_task_group() as tasks:
        pods = Informer(client, POD, namespace=namespace, label_selector=f"{JOB_NAME}={wanted.job}")
        jobs = Informer(client, JOB, namespace=namespace, field_selector=f"metadata.name={wanted.job}")
        ended = anyio.Event()
        streaming: dict[str, anyio.Event] = {}

        def pod_changed(old: Pod | None, pod: Pod | None) -> None:
            started = pod is not None and pod.status.phase in STARTED and wanted.has(pod)
            if pod is not None and started and pod.metadata.uid not in streaming:
                done = streaming[pod.metadata.uid] = anyio.Event()
                tasks.start_soon(_follow_pod, client, pod, wanted.tail, write, done)

        def job_changed(old: object, job: object) -> None:
            now = jobs.store.get(f"{namespace}/{wanted.job}")
            if now is None or now.metadata.uid != job_uid or now.status.state.phase in FINISHED:
                ended.set()

        pods.on_change(pod_changed)
        jobs.on_change(job_changed)
        tasks.start_soon(pods.run)
        tasks.start_soon(jobs.run)
        await pods.wait_synced()
        await jobs.wait_synced()
        job_changed(None, None)
        await ended.wait()
        for done in list(streaming.values()):
            # The pods are gone or ending with their job; a log that still hangs is not waited for.
            with anyio.move_on_after(2):
                await done.wait()
        tasks.cancel_scope.cancel()


async def _follow_pod(
    client: Client, pod: Pod, tail: int | None, write: Callable[[str, str], None], done: anyio.Event
) -> None:
    try:
        while True:
            if await _stream(client, pod, True, tail, write):
                return
            await anyio.sleep(RETRY_S)
    finally:
        done.set()


async def _stream(client: Client, pod: Pod, follow: bool, tail: int | None, write: Callable[[str, str], None]) -> bool:
    """Write one pod's log; False where it could not be had yet and a follower should ask again."""
    container = pod.spec.containers[0].name if pod.spec.containers else None
    request = pod_logs(pod.metadata.namespace, pod.metadata.name, container=container, follow=follow, tail_lines=tail)
    try:
        async with client.stream(request, idle_timeout_s=None) as lines:
            async for line in lines:
                write(pod.metadata.name, line.decode(errors="replace").rstrip("\n"))
    except ApiError as error:
        return error.status == 404 or not follow
    except TransportError:
        # The node or the server went away in the middle: with --follow the next try says whether it is back.
        return not follow
    return True
