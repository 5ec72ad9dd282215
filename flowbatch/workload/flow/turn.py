"""One reconcile of one flow while it lasts: what is given, what each step has come to, and the effects collected."""

from datetime import datetime
from typing import Any

from flowbatch.api.batch import Job
from flowbatch.api.flow import Flow, JobFlow, StepStatus
from flowbatch.api.kinds import JOB
from flowbatch.api.names import FLOW_STEP, SUSPENDED_BY_FLOW
from flowbatch.workload.changes import Create, Delete, Note, Patch
from flowbatch.workload.flow.changes import Ask, FlowChildren, Message
from flowbatch.workload.flow.graph import Graph
from flowbatch.workload.flow.values import ABSENT
from flowbatch.workload.suspension import suspended, suspension_patch


class Turn:
    """Mutable, and gone when the reconcile is over."""

    def __init__(
        self, flow: JobFlow, graph: Graph, children: FlowChildren, now: datetime, served: frozenset[str]
    ) -> None:
        self.flow = flow
        self.graph = graph
        self.children = children
        self.now = now
        self.suspended = suspended(flow)
        self._served = served
        before = {each.name: each for each in flow.status.steps}
        #: What each step has come to; in the order of the graph, sources before those that wait for them.
        self.steps = [before.get(step.name) or StepStatus(name=step.name, state="Waiting") for step in graph.steps]
        #: Steps of which there are jobs.
        self.stepped = {job.metadata.annotations.get(FLOW_STEP, "") for job in children.jobs.values()}
        self.creates: list[Create] = []
        self.patches: list[Patch] = []
        self.deletes: list[Delete] = []
        self.asks: list[Ask] = []
        self.reads: list[Message] = []
        self.notes: list[Note] = []
        self.status_first = False
        self.hurry = False
        self.wake_at: datetime | None = None

    def output(self, reference: str) -> Any:
        """The value of STEP.OUTPUT, or ABSENT."""
        step, _, name = reference.partition(".")
        return self.steps[self.graph.places[step]].outputs.get(name, ABSENT)

    def delete(self, job: Job) -> None:
        """Ask for the end of a job and of its pods: its name is free when they are gone."""
        if job.metadata.deletion_timestamp is None:
            meta = job.metadata
            self.deletes.append(Delete(JOB.kind, meta.namespace, meta.name, meta.uid, foreground=True))

    def warn(self, reason: str, message: str) -> None:
        """An Event on the flow."""
        self.notes.append(Note("Warning", reason, message))

    def wake(self, moment: datetime) -> None:
        """Look again then."""
        self.wake_at = moment if self.wake_at is None else min(self.wake_at, moment)

    def follow_suspension(self, job: Job) -> None:
        """A job that is under way is suspended with its flow, and resumed if it was suspended so."""
        marked = job.metadata.annotations.get(SUSPENDED_BY_FLOW) == "true"
        if self.suspended and not suspended(job):
            self._suspend(job, to=True)
        elif marked and not self.suspended:
            self._suspend(job, to=False)

    def _suspend(self, job: Job, *, to: bool) -> None:
        body = suspension_patch(to, self._served)
        marks = {**body.get("metadata", {}).get("annotations", {}), SUSPENDED_BY_FLOW: "true" if to else None}
        full = {**body, "metadata": {"annotations": marks}}
        self.patches.append(Patch(JOB.kind, job.metadata.namespace, job.metadata.name, full, job.metadata.uid))


def limit_of(step: Flow) -> int:
    """How many times a failed job of the step is run anew."""
    return step.retry.limit if step.retry is not None else 0
