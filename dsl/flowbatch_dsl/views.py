"""What a handle shows of a job: small frozen values, none of them a wire object."""

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.core import Pod
from flowbatch.following.lines import LogLine, place_of
from flowbatch.following.states import FINAL

__all__ = ["Change", "LogLine", "PodView", "Status", "status_of", "view_of"]


class Status(msgspec.Struct, frozen=True):
    """A job at one moment. `phase` is Volcano's: Pending, Running, Completed, Failed, Aborted, ..."""

    phase: str
    reason: str = ""
    message: str = ""
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    retries: int = 0

    @property
    def finished(self) -> bool:
        """Whether the job will never run again. A suspended job (phase Aborted) is not finished."""
        return self.phase in FINAL


class Change(msgspec.Struct, frozen=True):
    """One step of a job: its phase, and everything else about it."""

    phase: str
    status: Status


class PodView(msgspec.Struct, frozen=True):
    """One pod of a job; `node` is "" until it is placed."""

    name: str
    task: str
    index: int
    phase: str
    node: str = ""
    ip: str = ""


def status_of(job: Job) -> Status:
    """The status of a wire Job; one that no controller has seen yet is Pending."""
    now = job.status
    return Status(
        phase=now.state.phase or "Pending",
        reason=now.state.reason,
        message=now.state.message,
        pending=now.pending,
        running=now.running,
        succeeded=now.succeeded,
        failed=now.failed,
        retries=now.retry_count,
    )


def view_of(pod: Pod) -> PodView:
    """The view of a wire Pod."""
    task, index = place_of(pod)
    return PodView(pod.metadata.name, task, index, pod.status.phase, pod.spec.node_name, pod.status.pod_ip)
