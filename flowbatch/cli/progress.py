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

    @property
    def phase(self) -> str:
        """The job's phase, Pending before it has one."""
        return (self.job.status.state.phase if self.job else "") or "Pending"

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
        """How many pods have a node."""
        return sum(bool(pod.spec.node_name) for pod in self.pods.values())

    def counts(self, task: str) -> dict[str, int]:
        """Pods of a task by phase."""
        phases = [pod.status.phase for pod in self.pods.values() if pod.metadata.labels.get(TASK_SPEC) == task]
        return {phase: phases.count(phase) for phase in PHASES}

    def why(self) -> Explanation | None:
        """Why the job is where it is."""
        return explain(self.job, self.group, self.queue, list(self.pods.values())) if self.job else None

    def summary(self) -> str:
        """One line that changes only when something a reader cares about does."""
        running = sum(pod.status.phase == "Running" for pod in self.pods.values())
        gang = f"gang {min(self.placed, self.minimum)}/{self.minimum} placed"
        return f"{self.phase}: {gang}, {running}/{self.total} running"


def all_ended(jobs: Sequence[JobProgress]) -> bool:
    """Whether every one of them is at its end."""
    return all(job.ended for job in jobs)
