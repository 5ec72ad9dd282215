"""The pods of a job as they are: whose, of which incarnation, and which of them must go."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from flowbatch.api import names
from flowbatch.api.batch import Job, TaskSpec
from flowbatch.api.bus import Command
from flowbatch.api.core import Pod
from flowbatch.api.scheduling import PodGroup, Queue
from flowbatch.workload.ledger import Ledger
from flowbatch.workload.lifecycle import Tally
from flowbatch.workload.staging.sidecar import failed_code

#: Failed before anything ran, by the kubelet's refusal: such a pod is replaced, and no policy asked.
REFUSALS = ("OutOfcpu", "OutOfmemory", "OutOfpods", "UnexpectedAdmissionError", "NodeAffinity", "NodePorts")
#: Failed by what befell the node.
LOSSES = ("Evicted", "NodeLost", "NodeShutdown", "Terminated", "Preempting", "Shutdown", "DeletionByPodGC")


class Children(msgspec.Struct, frozen=True):
    """What belongs to a job, as the caches have it."""

    pod_group: PodGroup | None = None
    pods: tuple[Pod, ...] = ()
    commands: tuple[Command, ...] = ()
    #: The job's queue; None if there is none of that name.
    queue: Queue | None = None
    #: (kind, name) -> uid of services, config maps, secrets, claims and network policies known to exist.
    present: Mapping[tuple[str, str], str] = {}
    #: Names of claims the job counts on, known *not* to exist.
    missing_claims: frozenset[str] = frozenset()
    #: Values of priority classes, as far as known.
    priorities: Mapping[str, int] = {}
    #: The nearest queue, from the job's own up to the root, that is suspended; "" where none is.
    suspended_queue: str = ""


class Member(msgspec.Struct, frozen=True, gc=False):
    """One pod in its role. `version` is the job version it was made in; `partition` -1 where there is none."""

    pod: Pod
    task: str
    index: int
    version: int
    partition: int = -1

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return self.pod.metadata.uid

    @property
    def phase(self) -> str:
        """The pod's phase; one that could not store its outputs has failed."""
        return "Failed" if failed_code(self.pod) else self.pod.status.phase

    @property
    def deleting(self) -> bool:
        """Whether the pod is on its way out."""
        return self.pod.metadata.deletion_timestamp is not None

    @property
    def ended(self) -> bool:
        """Whether the pod has finished, either way."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def out_of_sync(self) -> bool:
        """Whether a controller (Volcano's, before a change of controllers) has marked it to be replaced."""
        return names.OUT_OF_SYNC in self.pod.metadata.annotations

    @property
    def ready(self) -> bool:
        """Running with every container ready."""
        if self.phase != "Running":
            return False
        if any(each.type == "Ready" for each in self.pod.status.conditions):
            return any(each.type == "Ready" and each.status == "True" for each in self.pod.status.conditions)
        statuses = self.pod.status.container_statuses
        return bool(statuses) and all(each.ready for each in statuses)

    @property
    def exit_code(self) -> int:
        """The exit code of the first container (Volcano looks at no other), or of what could not store its outputs."""
        if code := failed_code(self.pod):
            return code
        for status in self.pod.status.container_statuses[:1]:
            if status.state.terminated is not None:
                return status.state.terminated.exit_code
        return 0

    @property
    def refused(self) -> bool:
        """Whether the node never ran it."""
        status = self.pod.status
        started = any(each.state.terminated or each.state.running for each in status.container_statuses)
        return status.reason in REFUSALS and not started

    @property
    def lost(self) -> bool:
        """Whether it failed by no fault of its own."""
        status = self.pod.status
        disrupted = any(each.type == "DisruptionTarget" and each.status == "True" for each in status.conditions)
        return disrupted or status.reason in LOSSES or status.reason in REFUSALS

    @property
    def restarts(self) -> int:
        """Restarts in place, of all its containers."""
        status = self.pod.status
        return sum(each.restart_count for each in (*status.container_statuses, *status.init_container_statuses))


def members_of(job: Job, pods: Iterable[Pod]) -> list[Member]:
    """The pods that this job made, in order of task and index; pods of a namesake or of nobody are left out."""
    order = {task.name: place for place, task in enumerate(job.spec.tasks)}
    sizes = {task.name: task.partition_policy.partition_size for task in job.spec.tasks if task.partition_policy}
    found = [
        member
        for pod in pods
        if pod.metadata.controller is not None
        and pod.metadata.controller.uid == job.metadata.uid
        and (member := _member(pod, sizes)) is not None
    ]
    found.sort(key=lambda member: (order.get(member.task, len(order)), member.index, member.version, member.uid))
    return found


def _member(pod: Pod, sizes: Mapping[str, int]) -> Member | None:
    notes, labels = pod.metadata.annotations, pod.metadata.labels
    task = notes.get(names.TASK_SPEC) or labels.get(names.TASK_SPEC) or ""
    index = notes.get(names.TASK_INDEX) or labels.get(names.TASK_INDEX) or pod.metadata.name.rpartition("-")[2]
    version = notes.get(names.JOB_VERSION) or "0"
    if not (task and _number(index) and _number(version)):
        return None
    size = sizes.get(task, 0)
    return Member(pod, task, int(index), int(version), int(index) // size if size > 0 else -1)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


class Census:
    """The members of a job under one ledger: who counts, who is a leftover."""

    def __init__(self, job: Job, members: list[Member], ledger: Ledger) -> None:
        self.job = job
        self.members = members
        self.ledger = ledger
        self.tasks: dict[str, TaskSpec] = {task.name: task for task in job.spec.tasks}
        self._done = {name: ledger.indexes("done", name) for name in self.tasks}

    def floor(self, member: Member) -> int:
        """The oldest job version of which a pod in this place still counts."""
        floors = self.ledger.floors
        if not floors:
            return 0
        scopes = ["", member.task, pod_scope(member.task, member.index)]
        if member.partition >= 0:
            scopes.append(partition_scope(member.task, member.partition))
        return max(floors.get(scope, 0) for scope in scopes)

    def leftover(self, member: Member) -> bool:
        """Whether the pod must go: of an earlier incarnation, beyond the task's size, or marked to be replaced."""
        return member.uid in self._must_go

    @cached_property
    def _must_go(self) -> set[str]:
        return {each.uid for each in self.members if self._is_leftover(each)}

    def _is_leftover(self, member: Member) -> bool:
        task = self.tasks.get(member.task)
        if task is None or member.index >= task.replicas:
            return True
        if member.phase == "Succeeded" and member.index in self._done[member.task]:
            return False
        return member.version < self.floor(member) or (member.out_of_sync and not member.ended)

    @cached_property
    def current(self) -> list[Member]:
        """Members that count and are not on their way out."""
        return [each for each in self.members if not (each.uid in self._must_go or each.deleting)]

    @cached_property
    def leftovers(self) -> list[Member]:
        """Members that must be deleted and are not being deleted yet."""
        return [each for each in self.members if each.uid in self._must_go and not each.deleting]

    @cached_property
    def held(self) -> set[tuple[str, int]]:
        """Places whose name is taken by some pod, whatever its state."""
        return {(each.task, each.index) for each in self.members}

    @cached_property
    def of_task(self) -> dict[str, list[Member]]:
        """The current members of each task."""
        found: dict[str, list[Member]] = {name: [] for name in self.tasks}
        for member in self.current:
            found[member.task].append(member)
        return found

    @cached_property
    def done(self) -> dict[str, set[int]]:
        """Task -> indexes that have succeeded, in this snapshot or before."""
        found: dict[str, set[int]] = {}
        for name, task in self.tasks.items():
            now = {each.index for each in self.of_task[name] if each.phase == "Succeeded"}
            found[name] = {index for index in self._done[name] | now if index < task.replicas}
        return found

    @property
    def _lost(self) -> dict[str, int]:
        """Task -> failed pods that stay as they are; one that its node refused is going to be replaced."""
        failed = [each.task for each in self.current if each.phase == "Failed" and not each.refused]
        return dict(Counter(failed))

    def tally(self, *, hopeless: int = 0, held: frozenset[str] = frozenset()) -> Tally:
        """The job in numbers."""
        phases = [each.phase for each in self.current]
        by_task = {name: len(indexes) for name, indexes in self.done.items()}
        deleting = sum(each.deleting for each in self.members)
        return Tally(
            pending=phases.count("Pending"),
            running=phases.count("Running"),
            succeeded=sum(by_task.values()),
            failed=phases.count("Failed"),
            unknown=phases.count("Unknown"),
            terminating=deleting + len(self.leftovers),
            stopping=sum(not each.ended for each in self.members if each.deleting or self.leftover(each)),
            succeeded_by_task=by_task,
            hopeless=hopeless,
            held=held,
            unplaced=sum(each.phase == "Pending" and not each.pod.spec.node_name for each in self.current),
            lost_by_task={} if self.ledger.timers else self._lost,
        )


def pod_scope(task: str, index: int) -> str:
    """The scope of one pod among floors."""
    return f"{task}#{index}"


def partition_scope(task: str, partition: int) -> str:
    """The scope of one partition among floors."""
    return f"{task}/{partition}"
