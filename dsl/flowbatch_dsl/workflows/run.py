"""A handle on a workflow's run, for blocking code: the verbs of `AsyncFlowRun`, run on one background loop."""

import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar, overload

from flowbatch_dsl import portal
from flowbatch_dsl.clusters import Cluster, ClusterLike
from flowbatch_dsl.views import LogLine
from flowbatch_dsl.workflows import async_run
from flowbatch_dsl.workflows.async_run import AsyncFlowRun
from flowbatch_dsl.workflows.views import FlowChange, FlowStatus
from flowbatch_dsl.workflows.workflow import Workflow

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class FlowRun(Generic[R]):
    """A workflow on a cluster. It goes on without this handle; Ctrl-C in a wait detaches and says how to come back."""

    def __init__(self, run: AsyncFlowRun[R]) -> None:
        self._run = run

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self._run.name

    @property
    def namespace(self) -> str:
        """The namespace it is in."""
        return self._run.namespace

    @property
    def uid(self) -> str:
        """The run's identity: another run of the same name has another one."""
        return self._run.uid

    @property
    def cluster(self) -> Cluster:
        """Where it runs."""
        return self._run.cluster

    def __repr__(self) -> str:
        return f"<FlowRun {self.namespace}/{self.name} on {self.cluster}>"

    @overload
    @classmethod
    def attach(cls, name: str, namespace: str = "", cluster: ClusterLike | None = None) -> "FlowRun[Any]": ...
    @overload
    @classmethod
    def attach(
        cls, name: str, namespace: str = "", cluster: ClusterLike | None = None, *, returns: type[S]
    ) -> "FlowRun[S]": ...
    @classmethod
    def attach(
        cls, name: str, namespace: str = "", cluster: ClusterLike | None = None, *, returns: Any = Any
    ) -> "FlowRun[Any]":
        """A handle on a run that exists; `returns` is the type of its result. Raises JobGone if it does not."""
        return FlowRun(portal.call(lambda: AsyncFlowRun.attach(name, namespace, cluster, returns=returns)))

    def status(self) -> FlowStatus[R]:
        """What the run is now, step by step. Raises JobGone."""
        return portal.call(self._run.status)

    def wait(self, timeout: float | None = None) -> FlowStatus[R]:
        """Wait until the run succeeds. `timeout` in seconds: TimeoutError, and the run goes on.

        Raises FlowFailed, with the step that failed and its last log lines, and JobGone if the run is deleted.
        """
        return self._detachable(lambda: self._run.wait(timeout))

    def result(self, timeout: float | None = None) -> R:
        """Wait, and give what the flow's function would have returned."""
        return self._detachable(lambda: self._run.result(timeout))

    def watch(self) -> Iterator[FlowChange[R]]:
        """Each change of the run, beginning with what it is now, until it is finished. Raises JobGone."""
        return portal.iterate(self._run.watch)

    def logs(self, step: str = "", index: int | None = None, *, follow: bool = False) -> Iterator[LogLine]:
        """Lines of all steps, of one, or of one item of a step over a list.

        With `follow`, goes on until the run ends. Raises ValueError for a step that the workflow does not have.
        """
        return portal.iterate(lambda: self._run.logs(step, index, follow=follow))

    def why(self) -> str:
        """How far the run is, and why its next steps are where they are, in a few words with numbers."""
        return portal.call(self._run.why)

    def suspend(self) -> None:
        """Start no further step, and suspend the jobs that run; what is completed stays so."""
        portal.call(self._run.suspend)

    def resume(self) -> None:
        """Go on from the steps that are completed: of a suspended run, and of one that failed.

        What failed is then run once more, and what was skipped for that waits again.
        """
        portal.call(self._run.resume)

    def cancel(self) -> None:
        """Delete the run with its jobs and their pods. One that is gone already is fine."""
        portal.call(self._run.cancel)

    def _detachable(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return portal.call(work)
        except KeyboardInterrupt:
            print(f"\ndetached: {self.namespace}/{self.name} goes on. {self._way_back()}", file=sys.stderr)
            raise

    def _way_back(self) -> str:
        handle = f'FlowRun.attach("{self.name}", "{self.namespace}")'
        return f"To wait again: {handle}.wait(); to stop it: {handle}.cancel()"

    def _repr_html_(self) -> str:
        from flowbatch_dsl.workflows.display import run_html

        return run_html(self)


def submit(workflow: Workflow, cluster: ClusterLike | None = None) -> FlowRun[Any]:
    """Create `workflow`. Raises SpecErrors, with nothing created, and JobExists."""
    return FlowRun(portal.call(lambda: async_run.submit(workflow, cluster)))
