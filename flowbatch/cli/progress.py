"""What a running job looks like, as plain state: fed by informers, shown live in a terminal or as lines elsewhere."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from flowbatch.api.batch import Job
from flowbatch.api.core import Pod
from flowbatch.api.names import TASK_SPEC
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.workload.explain import FINISHED, Explanation, explain

#: Log lines kept for the live view.
SHOWN_LINES = 8
#: What a pod was that went without an end of its own.
STOPPED = "Stopped"
PHASES = ("Pending", "Running", "Succeeded", "Failed")


@dataclass
class JobProgress:
    """One job as it is now, with the pods and the gang that belong to it."""

    name: str
    uid: str
    job: Job | None = None
    group: PodGroup | None = None
    queue: Queue | None = None
    pods: dict[str, Pod] = field(default_factory=dict)
    lines: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=SHOWN_LINES))
    #: How long it took from when we began to look, once it has ended.
    seconds: float = 0.0
    #: The node by pod name, and task and last phase of pods that are gone: of this attempt of the job.
    nodes: dict[str, str] = field(default_factory=dict)
    gone: dict[str, tuple[str, str]] = field(default_factory=dict)

    def see(self, pod: Pod, *, gone: bool = False) -> None:
        """Take in the news of one pod."""
        name = pod.metadata.name
        if gone:
            self.pods.pop(pod.metadata.uid, None)
            last = _phase(pod)
            self.gone[name] = (pod.metadata.labels.get(TASK_SPEC, ""), last if last in PHASES[2:] else STOPPED)
            return
        self.pods[pod.metadata.uid] = pod
        self.gone.pop(name, None)
        if pod.spec.node_name:
            self.nodes[name] = pod.spec.node_name
        else:
            self.nodes.pop(name, None)

    @property
    def phase(self) -> str:
        """The job's phase, Pending before it has one."""
        return (self.job.status.state.phase if self.job else "") or "Pending"

    @property
    def waiting(self) -> bool:
        """Whether the gang has still to start."""
        return self.phase in ("Pending", "Inqueue")

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself. A suspended job is not at its end."""
        return self.phase in FINISHED and self.phase != "Aborted"

    @property
    def succeeded(self) -> bool:
        """Whether the job ended well."""
        return self.phase == "Completed"

    @property
    def total(self) -> int:
        """How many pods the job wants."""
        return sum(task.replicas for task in self.job.spec.tasks) if self.job else 0

    @property
    def minimum(self) -> int:
        """How many of them form the gang."""
        return self.group.spec.min_member if self.group else self.total

    @property
    def placed(self) -> int:
        """How many pods have a node, or had one in an attempt that is ending or over."""
        if self.waiting or self.phase in ("Aborting", "Aborted", "Restarting"):
            return sum(bool(pod.spec.node_name) for pod in self.pods.values())
        return len(self.nodes)

    def counts(self, task: str) -> dict[str, int]:
        """Pods of a task by phase; those that are gone count as what they were at last, or as stopped."""
        phases = [_phase(pod) for pod in self.pods.values() if pod.metadata.labels.get(TASK_SPEC) == task]
        if not self.waiting:
            phases += [last for owner, last in self.gone.values() if owner == task]
        return {phase: phases.count(phase) for phase in (*PHASES, STOPPED)}

    def why(self) -> Explanation | None:
        """Why the job is where it is."""
        return explain(self.job, self.group, self.queue, list(self.pods.values())) if self.job else None

    def summary(self) -> str:
        """One line that changes only when something a reader cares about does."""
        phases = [_phase(pod) for pod in self.pods.values()]
        running = f"{phases.count('Running')} of {self.total} pods running"
        if self.waiting:
            return f"{self.phase}: gang {min(self.placed, self.minimum)}/{self.minimum} placed, {running}"
        done = [f"{phases.count(phase)} {phase.lower()}" for phase in ("Succeeded", "Failed") if phase in phases]
        return f"{self.phase}: {', '.join([running, *done])}"

    def failures(self) -> list[str]:
        """How the containers of failed pods ended."""
        ends = [
            (pod.metadata.name, status.state.terminated)
            for pod in sorted(self.pods.values(), key=lambda each: each.metadata.name)
            for status in pod.status.container_statuses
            if _phase(pod) == "Failed"
        ]
        return [
            f"{name}: exit code {end.exit_code} {end.message}".strip() for name, end in ends if end and end.exit_code
        ]


def _phase(pod: Pod) -> str:
    """The pod's phase; one that was told to stop and did is not called failed, whatever its exit code."""
    return STOPPED if pod.metadata.deletion_timestamp and pod.status.phase == "Failed" else pod.status.phase


def all_ended(jobs: Sequence[JobProgress]) -> bool:
    """Whether every one of them is at its end."""
    return all(job.ended for job in jobs)
