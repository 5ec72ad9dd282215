"""A handle on a job, for blocking code: the verbs of `AsyncRun`, run on one background loop."""

import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from flowbatch_dsl import async_run, portal
from flowbatch_dsl.async_run import AsyncRun
from flowbatch_dsl.clusters import Cluster, ClusterLike
from flowbatch_dsl.views import Change, LogLine, PodView, Status

if TYPE_CHECKING:
    from flowbatch_dsl.job import Job

T = TypeVar("T")


class Run:
    """A job on a cluster. It goes on without this handle; Ctrl-C in a wait detaches and says how to come back."""

    def __init__(self, run: AsyncRun) -> None:
        self._run = run

    @property
    def name(self) -> str:
        """The job's name."""
        return self._run.name

    @property
    def namespace(self) -> str:
        """The namespace it is in."""
        return self._run.namespace

    @property
    def uid(self) -> str:
        """The job's identity: another job of the same name has another one."""
        return self._run.uid

    @property
    def cluster(self) -> Cluster:
        """Where it runs."""
        return self._run.cluster

    def __repr__(self) -> str:
        return f"<Run {self.namespace}/{self.name} on {self.cluster}>"

    @classmethod
    def attach(cls, name: str, namespace: str = "", cluster: ClusterLike | None = None) -> "Run":
        """A handle on a job that exists. Raises JobGone if it does not."""
        return cls(portal.call(lambda: AsyncRun.attach(name, namespace, cluster)))

    def status(self) -> Status:
        """What the job is now. Raises JobGone."""
        return portal.call(self._run.status)

    def wait(self, timeout: float | None = None) -> Status:
        """Wait until the job completes. `timeout` in seconds: TimeoutError, and the job goes on.

        Raises JobFailed, with the last log lines, if it ends in any other way, and JobGone if it is deleted.
        """
        return self._detachable(lambda: self._run.wait(timeout))

    def wait_for(self, *phases: str, timeout: float | None = None) -> Status:
        """Wait until the job is in one of these phases. Raises JobFailed if it finishes in another, TimeoutError."""
        return self._detachable(lambda: self._run.wait_for(*phases, timeout=timeout))

    def watch(self) -> Iterator[Change]:
        """Each change of the job, beginning with what it is now, until it is finished. Raises JobGone."""
        return portal.iterate(self._run.watch)

    def logs(self, task: str = "", index: int | None = None, *, follow: bool = False) -> Iterator[LogLine]:
        """Lines of all pods, of one task's, or of one pod.

        Waits until there is something to read. With `follow`, goes on until the job ends, through lost connections
        and restarts. Raises ValueError for a task or an index that the job does not have.
        """
        return portal.iterate(lambda: self._run.logs(task, index, follow=follow))

    def why(self) -> str:
        """Why the job is where it is, in a few words with numbers, and what would move it."""
        return portal.call(self._run.why)

    def pods(self) -> list[PodView]:
        """The job's pods as they are now, task by task."""
        return portal.call(self._run.pods)

    def suspend(self) -> None:
        """Stop the pods and give their room back; finished work is kept, and no retry is spent."""
        portal.call(self._run.suspend)

    def resume(self) -> None:
        """Let a suspended job run again."""
        portal.call(self._run.resume)

    def delete(self) -> None:
        """Delete the job and all that belongs to it. A job that is gone already is fine."""
        portal.call(self._run.delete)

    def _detachable(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return portal.call(work)
        except KeyboardInterrupt:
            print(f"\ndetached: {self.namespace}/{self.name} goes on. {self._way_back()}", file=sys.stderr)
            raise

    def _way_back(self) -> str:
        python = f'Run.attach("{self.name}", "{self.namespace}").wait()'
        return f"To wait again: {python}; to stop it: flowbatch delete {self.name} -n {self.namespace}"

    def _repr_html_(self) -> str:
        from flowbatch_dsl.display import run_html

        return run_html(self)


def submit(job: "Job", cluster: ClusterLike | None = None) -> Run:
    """Create `job`. Raises SpecErrors, with nothing created, and JobExists."""
    return Run(portal.call(lambda: async_run.submit(job, cluster)))
