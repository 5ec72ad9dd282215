"""A flow, its templates and its jobs in memory, where a test is server, job controller and clock.

`turn(crash_after=n)` makes only the first n writes of a reconcile: what a crash leaves behind.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from flowbatch.api.batch import Job, JobState
from flowbatch.api.core import Pod
from flowbatch.api.flow import JobFlow, JobTemplate, StepStatus
from flowbatch.workload.flow.changes import Ask, FlowChanges, FlowChildren, Message
from flowbatch.workload.flow.graph import compiled
from flowbatch.workload.flow.reconcile import reconcile
from tests.jobworld import merged

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SERVED = frozenset({"JobSpec.suspend", "JobFlowSpec.suspend"})
CONTAINER = {"name": "main", "image": "busybox", "env": [{"name": "OWN", "value": "1"}]}
SPEC = {"tasks": [{"name": "main", "replicas": 1, "template": {"spec": {"containers": [CONTAINER]}}}]}


def a_step(name: str, *targets: str, **more: Any) -> dict[str, Any]:
    return {"name": name, **({"dependsOn": {"targets": list(targets)}} if targets else {}), **more}


class FlowWorld:
    def __init__(self, *steps: dict[str, Any], templates: dict[str, Any] | None = None, **spec: Any) -> None:
        meta = {"name": "f", "namespace": "ns", "uid": "flow-1", "generation": 1, "creationTimestamp": START}
        self.flow = msgspec.convert({"metadata": meta, "spec": {"flows": list(steps), **spec}}, JobFlow)
        self.now = START
        names = [step.get("jobTemplate") or step["name"] for step in steps]
        given = templates if templates is not None else dict.fromkeys(names, SPEC)
        self.templates = {name: self._template(name, body) for name, body in given.items()}
        self.jobs: dict[str, Job] = {}
        self.gone: dict[str, Job] = {}
        self.pods: dict[str, list[Pod]] = {}
        self.left: dict[str, str] = {}
        self.messages: dict[Message, str | None] = {}
        self.answers: dict[Ask, str] = {}
        self.asks: tuple[Ask, ...] = ()
        self.made: list[str] = []
        self.notes: list[str] = []
        self.writes = 0
        self.status_writes = 0
        self.wake_at: datetime | None = None

    @staticmethod
    def _template(name: str, spec: dict[str, Any]) -> JobTemplate:
        return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "spec": spec}, JobTemplate)

    # What a controller sees and does ------------------------------------------------------------------------------

    def changes(self) -> FlowChanges:
        graph = compiled(self.flow.spec)
        while True:
            children = FlowChildren(
                jobs=self.jobs,
                template=self.templates.get,
                messages=self.messages,
                gone=self.gone,
                answers=self.answers,
                pods=lambda job: self.pods.get(job, []),
            )
            changes = reconcile(self.flow, graph, children, self.now, SERVED)
            if not changes.reads:
                return changes
            for message in changes.reads:
                self.messages[message] = self.left.get(message.pod)

    def turn(self, crash_after: int | None = None) -> FlowChanges:
        changes = self.changes()
        for write in self._writes_of(changes)[:crash_after]:
            write()
            self.writes += 1
        self.asks, self.wake_at = changes.asks, changes.wake_at
        self.notes += [note.reason for note in changes.notes]
        return changes

    def _writes_of(self, changes: FlowChanges) -> list[Callable[[], None]]:
        status: list[Callable[[], None]] = [lambda: self._set_status(changes)] if changes.status is not None else []
        effects: list[Callable[[], None]] = [lambda each=each: self._delete(each) for each in changes.deletes]
        effects += [lambda each=each: self._patch(each) for each in changes.patches]
        effects += [lambda each=each: self._create(each) for each in changes.creates]
        sweeps: list[Callable[[], None]] = [lambda each=each: self._delete(each) for each in changes.sweeps]
        return [*status, *effects, *sweeps] if changes.status_first else [*effects, *status, *sweeps]

    def _set_status(self, changes: FlowChanges) -> None:
        assert changes.status is not None
        self.flow = replace(self.flow, status=changes.status)
        self.status_writes += 1

    def _create(self, create: Any) -> None:
        name = create.manifest["metadata"]["name"]
        self.made.append(name)
        if name not in self.jobs:
            meta = {**create.manifest["metadata"], "uid": f"job-{len(self.made)}", "creationTimestamp": self.now}
            self.jobs[name] = msgspec.convert({**create.manifest, "metadata": meta}, Job)

    def _patch(self, patch: Any) -> None:
        job = self.jobs[patch.name]
        self.jobs[patch.name] = msgspec.convert(merged(msgspec.to_builtins(job), patch.body), Job)

    def _delete(self, delete: Any) -> None:
        if delete.name in self.jobs and self.jobs[delete.name].metadata.uid == delete.uid:
            del self.jobs[delete.name]

    def settle(self, *, most: int = 100) -> None:
        for _ in range(most):
            before = self.writes
            changes = self.turn()
            if self.writes == before:
                return
        raise AssertionError(f"never settles: {changes}")

    # What the rest of the cluster does ----------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.settle()

    def phase(self, job: str, phase: str, **left: Any) -> None:
        """The job is in a phase; `left` is what its first pod leaves."""
        name = f"f-{job}"
        state = JobState(phase=phase, last_transition_time=self.now)
        self.jobs[name] = replace(self.jobs[name], status=replace(self.jobs[name].status, state=state))
        if left:
            self.left[f"{name}-main-0"] = msgspec.json.encode(left).decode()

    def end(self, *jobs: str, phase: str = "Completed", **left: Any) -> None:
        for job in jobs:
            self.phase(job, phase, **left)
        self.settle()

    def fail(self, *jobs: str) -> None:
        self.end(*jobs, phase="Failed")

    def vanish(self, job: str) -> None:
        """A job that has ended goes before anybody has looked: its ttl was short."""
        self.gone[f"f-{job}"] = self.jobs.pop(f"f-{job}")

    # What a test asks ---------------------------------------------------------------------------------------------

    @property
    def states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.flow.status.steps}

    def step(self, name: str) -> StepStatus:
        return next(each for each in self.flow.status.steps if each.name == name)

    @property
    def flow_phase(self) -> str:
        return self.flow.status.state.phase

    def variables(self, job: str) -> dict[str, str]:
        """The environment that the job's first container is given."""
        container = self.jobs[f"f-{job}"].spec.tasks[0].template["spec"]["containers"][0]
        return {each["name"]: each["value"] for each in container["env"]}
