"""What a reconcile of a flow is given, and what it wants done."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.core import Pod
from flowbatch.api.flow import JobFlowStatus, JobTemplate
from flowbatch.workload.changes import Change, Create, Delete, Note, Patch

#: The ends of a step, after which nothing happens to it any more.
COMPLETED, FAILED, SKIPPED = "Completed", "Failed", "Skipped"
ENDS = frozenset({COMPLETED, FAILED, SKIPPED})
WAITING, PROBING, RUNNING = "Waiting", "Probing", "Running"
#: The ends of a flow.
FLOW_ENDS = frozenset({"Succeed", "Failed"})


class Ask(msgspec.Struct, frozen=True):
    """One question to one pod: a GET of `path`, or, without one, whether the port takes a connection."""

    namespace: str
    pod: str
    uid: str
    ip: str
    port: int
    path: str = ""
    header: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.pod}:{self.port}{self.path}"


class Message(msgspec.Struct, frozen=True):
    """The termination message of one pod of a job that has ended."""

    job_uid: str
    namespace: str
    pod: str


class FlowChildren(msgspec.Struct, frozen=True):
    """What belongs to a flow, as far as it was seen or asked for."""

    #: The jobs that the flow controls, by name.
    jobs: Mapping[str, Job]
    template: Callable[[str], JobTemplate | None]
    #: Jobs that had ended and have gone since, as they were last seen: a ttl may be shorter than anybody's look.
    gone: Mapping[str, Job] = {}
    #: What pods left; None for one that left nothing, or is gone. What is missing here has not been read yet.
    messages: Mapping[Message, str | None] = {}
    #: Answers: "" for yes, else why not. What is missing here has not been asked yet.
    answers: Mapping[Ask, str] = {}
    #: The pods of a job, by its name.
    pods: Callable[[str], Sequence[Pod]] = lambda _name: ()


class FlowChanges(Change, frozen=True):
    """One reconcile's outcome. Order of effects: status first if `status_first`, deletes, patches, creates; the status;
    sweeps.
    """

    creates: tuple[Create, ...] = ()
    patches: tuple[Patch, ...] = ()
    deletes: tuple[Delete, ...] = ()
    #: The whole new status, or None where it does not change.
    status: JobFlowStatus | None = None
    #: The status pays for a delete: an attempt is counted before the one before it goes.
    status_first: bool = False
    #: The status must not wait for others to join it.
    hurry: bool = False
    #: Jobs of a flow that has succeeded and does not keep them.
    sweeps: tuple[Delete, ...] = ()
    #: What is to be asked of pods, until a later reconcile asks less.
    asks: tuple[Ask, ...] = ()
    #: What is to be read before this reconcile is worth anything: read it, and reconcile again.
    reads: tuple[Message, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_at: datetime | None = None

    @property
    def empty(self) -> bool:
        """Nothing to do until something happens."""
        effects = self.creates or self.patches or self.deletes or self.sweeps or self.notes or self.reads
        return not effects and self.status is None
