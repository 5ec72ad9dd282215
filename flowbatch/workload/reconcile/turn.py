"""One reconcile in the making: the job's state as it is being changed, and the effects that gather on the way."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from flowbatch.api.batch import Job, JobCondition
from flowbatch.workload import ledger as ledgers
from flowbatch.workload.census import Census, Children, Member, members_of
from flowbatch.workload.changes import Create, Delete, Note, Patch
from flowbatch.workload.effective import gang_size, minimum
from flowbatch.workload.ledger import Ledger
from flowbatch.workload.lifecycle import ACTIVE, Phase, Terms, after_action
from flowbatch.workload.roles.contract import SshKeys
from flowbatch.workload.staging.outcome import problem_of
from flowbatch.workload.vocabulary import Action

#: The newest steps of a job's history that are kept (Volcano once kept all: volcano#5422).
MOST_CONDITIONS = 16


class Turn:
    """The working state of one reconcile. Its parts are in the modules beside this one."""

    def __init__(
        self, job: Job, children: Children, now: datetime, keys: SshKeys | None, served: frozenset[str] | None
    ) -> None:
        self.job = job
        self.children = children
        #: Whole seconds, as Kubernetes writes times.
        self.now = now.replace(microsecond=0)
        self.moment = now
        self.keys = keys
        self.served = served
        self.status = job.status
        self.ledger: Ledger = ledgers.read(job.status)
        self.creates: list[Create] = []
        self.patches: list[Patch] = []
        self.deletes: list[Delete] = []
        self.notes: list[Note] = []
        self.wakes: list[datetime] = []
        self.pays = False
        self._members = members_of(job, children.pods)
        self.census = Census(job, self._members, self.ledger)

    @property
    def phase(self) -> Phase:
        """The phase that the job is in by now."""
        try:
            return Phase(self.status.state.phase)
        except ValueError:
            return Phase.NEW

    @property
    def terms(self) -> Terms:
        """What the phase machine reads of the spec."""
        spec = self.job.spec
        return Terms(
            replicas=sum(task.replicas for task in spec.tasks),
            min_available=gang_size(spec),
            task_minimums={task.name: minimum(task) for task in spec.tasks},
            task_replicas={task.name: task.replicas for task in spec.tasks},
            min_success=spec.min_success,
            max_retry=spec.max_retry or 0,
        )

    def remember(self, **changes: object) -> None:
        """Change the ledger, and count the pods anew under it."""
        self.ledger = replace(self.ledger, **changes)
        self.census = Census(self.job, self._members, self.ledger)

    def move(self, phase: Phase, reason: str = "", message: str = "") -> None:
        """Enter `phase`, for the history too."""
        state = replace(
            self.status.state, phase=str(phase), reason=reason, message=message, last_transition_time=self.now
        )
        step = JobCondition(status=str(phase), last_transition_time=self.now)
        history = (*self.status.conditions, step)[-MOST_CONDITIONS:]
        self.status = replace(self.status, state=state, conditions=history)

    def enter(self, phase: Phase, reason: str, message: str) -> None:
        """Enter the phase that the pods' states, or the time, call for; an end stops what the job did until now."""
        before = self.status.state
        if phase is Phase.FAILED:
            if before.message and self.phase is Phase.RESTARTING:
                message = f"{message}; last: {before.message}"
            if problem := problem_of(self.status.data):
                message = f"{message}; {problem}"
            self.notes.append(Note("Warning", "JobFailed", message))
        elif phase not in ACTIVE and not reason:
            # The end of a winding down keeps the reason for it.
            reason, message = before.reason, before.message
        if phase not in ACTIVE and self.phase in ACTIVE:
            self.new_version()
            self.remember(launched={}, timers={}, fired=())
        self.move(phase, reason, message)

    def obey(self, action: Action, reason: str, message: str) -> None:
        """Enter the phase that `action` leads to by the table of moves; the caller has asked whether there is one."""
        phase = after_action(self.phase, action)
        assert phase is not None, f"{action} in {self.phase}"
        self.move(phase, reason, message)

    def say(self, message: str) -> None:
        """Show `message` as the job's, without a change of phase."""
        if self.status.state.message != message:
            self.status = replace(self.status, state=replace(self.status.state, message=message))

    def new_version(self) -> int:
        """Raise the job's version, for a kill; gives the new one."""
        self.status = replace(self.status, version=self.status.version + 1)
        self.pays = True
        return self.status.version

    def wake(self, moment: datetime) -> None:
        """Look again at `moment` at the latest."""
        self.wakes.append(moment)

    def wake_in(self, seconds: float) -> None:
        """Look again in `seconds`."""
        self.wakes.append(self.moment + timedelta(seconds=seconds))

    def delete_pod(self, member: Member) -> None:
        """Ask for the end of a pod, by uid."""
        meta = member.pod.metadata
        self.deletes.append(Delete("Pod", meta.namespace, meta.name, meta.uid))
