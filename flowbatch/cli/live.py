"""Follow jobs to their end: a live view in a terminal, plain lines where the output is not one.

The view draws from `JobProgress` a few times a second; nothing is polled, informers and log streams feed it.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from flowbatch.api.batch import Job
from flowbatch.api.kinds import JOB, POD, POD_GROUP, QUEUE
from flowbatch.cli.progress import PHASES, STOPPED, JobProgress, all_ended
from flowbatch.following.logs import Target, follow
from flowbatch.informer import Informer
from flowbatch.kube.client import Client

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESH_PER_SECOND = 8
#: In plain mode, what changes within this time is told in one line.
MOMENT_S = 0.1
#: With more jobs, each is one row; of more nodes, only the number is shown.
MOST_PANELS, SHOWN_NODES = 3, 6
STYLES = {"Completed": "green", "Running": "cyan", "Failed": "red", "Aborted": "yellow", "Terminated": "red"}


class Follower:
    """Follows a set of jobs; `jobs` is their state, `run` returns when all have ended."""

    def __init__(self, client: Client, jobs: Sequence[Job], *, plain: bool | None = None) -> None:
        self._client = client
        self.jobs = [JobProgress(job.metadata.name, job.metadata.uid, job) for job in jobs]
        self._by_uid = {job.uid: job for job in self.jobs}
        self._namespace = jobs[0].metadata.namespace
        self._plain = not sys.stdout.isatty() if plain is None else plain
        self._said: dict[str, str] = {}
        self._ended = anyio.Event()
        self._changed = anyio.Event()
        self._started = time.monotonic()

    async def run(self) -> None:
        """Show the jobs until all have ended. Cancelling leaves them running."""
        async with anyio.create_task_group() as tasks:
            informers = self._informers()
            for informer in informers:
                tasks.start_soon(informer.run)
            for informer in informers:
                await informer.wait_synced()
            if self._plain:
                tasks.start_soon(self._speak)
            with self._view():
                async with anyio.create_task_group() as readers:
                    for job in self.jobs:
                        readers.start_soon(self._copy_log, job)
                await self._ended.wait()
            tasks.cancel_scope.cancel()

    def _informers(self) -> list[Informer[Any]]:
        jobs = Informer(self._client, JOB, namespace=self._namespace)
        pods = Informer(self._client, POD, namespace=self._namespace)
        groups = Informer(self._client, POD_GROUP, namespace=self._namespace)
        queues = Informer(self._client, QUEUE)
        jobs.on_change(lambda old, new: self._job_changed(old, new))
        pods.on_change(lambda old, new: self._pod_changed(old, new))
        groups.on_change(lambda old, new: self._group_changed(new))
        queues.on_change(lambda old, new: self._queue_changed(new))
        return [queues, groups, pods, jobs]

    def _job_changed(self, old: Any, new: Any) -> None:
        progress = self._by_uid.get((new or old).metadata.uid)
        if progress is None:
            return
        if new is None:
            self._by_uid.pop(progress.uid)
            self.jobs.remove(progress)
            self._say(progress.name, "deleted")
        else:
            progress.job = new
            if progress.ended and not progress.seconds:
                progress.seconds = time.monotonic() - self._started
            self._changed.set()
        if all_ended(self.jobs):
            self._ended.set()

    def _pod_changed(self, old: Any, new: Any) -> None:
        pod = new or old
        owner = pod.metadata.controller
        progress = self._by_uid.get(owner.uid) if owner else None
        if progress is None:
            return
        progress.see(pod, gone=new is None)
        self._changed.set()

    def _group_changed(self, new: Any) -> None:
        owner = new.metadata.controller if new else None
        progress = self._by_uid.get(owner.uid) if owner else None
        if progress is not None:
            progress.group = new
            self._changed.set()

    def _queue_changed(self, new: Any) -> None:
        for progress in self.jobs:
            if new and progress.job and (progress.job.spec.queue or "default") == new.metadata.name:
                progress.queue = new

    async def _copy_log(self, progress: JobProgress) -> None:
        """Show the job's lines until it has ended and all of them are read."""
        async for line in follow(self._client, Target(self._namespace, progress.name, progress.uid)):
            progress.lines.append((line.pod, line.text))
            if self._plain:
                if self._said.get(progress.name, "Pending").startswith("Pending"):
                    self._tell(progress)  # so that no line comes before the word that its pod runs
                print(f"{line.pod}: {line.text}", flush=True)

    async def _speak(self) -> None:
        """In plain mode, say what is new; what happens within a moment is said once."""
        while True:
            await self._changed.wait()
            await anyio.sleep(MOMENT_S)
            self._changed = anyio.Event()
            for progress in self.jobs:
                self._tell(progress)

    def _tell(self, progress: JobProgress) -> None:
        """One line if the summary or the reason to wait has changed; the end is told by the result."""
        if progress.ended:
            return
        self._say(progress.name, progress.summary())
        why = progress.why()
        if why and progress.waiting and progress.group and progress.group.status.conditions:
            self._say(f"{progress.name} why", why.headline)

    def _say(self, name: str, text: str) -> None:
        if self._plain and self._said.get(name) != text:
            self._said[name] = text
            print(f"{name}: {text}", flush=True)

    @contextlib.contextmanager
    def _view(self) -> Iterator[None]:
        if self._plain:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self.render, refresh_per_second=REFRESH_PER_SECOND, transient=False):
            yield

    def render(self) -> "RenderableType":
        """The live view of all jobs."""
        from rich.console import Group

        if len(self.jobs) > MOST_PANELS:
            return _overview(self.jobs)
        return Group(*(_panel(job) for job in self.jobs))


def _panel(progress: JobProgress) -> "RenderableType":
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    job = progress.job
    style = STYLES.get(progress.phase, "yellow")
    queue = (job.spec.queue if job else "") or "default"
    title = Text.assemble((progress.name, "bold"), "  ", (progress.phase, style), f"  queue {queue}")
    parts: list[RenderableType] = [_gang_bar(progress), _task_table(progress)]
    why = progress.why()
    if why and not progress.ended and progress.placed < progress.minimum:
        parts.append(Text(str(why), style="yellow"))
    parts += [Text(each, style="red") for each in progress.failures()]
    parts += [Text(f"{pod}: {line}", style="dim", no_wrap=True, overflow="ellipsis") for pod, line in progress.lines]
    return Panel(Group(*parts), title=title, title_align="left", border_style=style)


def _gang_bar(progress: JobProgress) -> "RenderableType":
    from rich.text import Text

    placed, minimum = min(progress.placed, progress.minimum), progress.minimum
    width = min(40, max(minimum, 1) * 2)
    full = width * placed // max(minimum, 1)
    bar = Text.assemble("gang  ", ("█" * full, "green"), ("░" * (width - full), "dim"), f"  {placed}/{minimum} placed")
    nodes = sorted(set(progress.nodes.values()))
    if placed and nodes:
        bar.append(f" on {', '.join(nodes) if len(nodes) <= SHOWN_NODES else f'{len(nodes)} nodes'}", style="dim")
    return bar


def _overview(jobs: Sequence[JobProgress]) -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("job", "status", "gang", "running", "succeeded", "failed"):
        table.add_column(column, justify="left" if column in ("job", "status") else "right", header_style="dim")
    for job in jobs:
        phases = [pod.status.phase for pod in job.pods.values()]
        counts = [str(phases.count(phase) or "·") for phase in ("Running", "Succeeded", "Failed")]
        status = f"[{STYLES.get(job.phase, 'yellow')}]{job.phase}[/]"
        table.add_row(job.name, status, f"{min(job.placed, job.minimum)}/{job.minimum}", *counts)
    return table


def _task_table(progress: JobProgress) -> "RenderableType":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_edge=False)
    tasks = progress.job.spec.tasks if progress.job else ()
    counts = {task.name: progress.counts(task.name) for task in tasks}
    phases = [phase for phase in (*PHASES, STOPPED) if phase != STOPPED or any(c[phase] for c in counts.values())]
    for column in ("task", "pods", *map(str.lower, phases)):
        table.add_column(column, justify="left" if column == "task" else "right", header_style="dim")
    for task in tasks:
        table.add_row(task.name, str(task.replicas), *(str(counts[task.name][phase] or "·") for phase in phases))
    return table


def print_result(progress: JobProgress) -> None:
    """The last word on one job, and how its containers ended if it failed."""
    if progress.succeeded:
        print(f"{progress.name}: completed in {progress.seconds:.1f} s", flush=True)
        return
    why = progress.why()
    print("\n".join([f"{progress.name}: {why.headline if why else progress.phase}", *progress.failures()]), flush=True)
