"""A world of one job, in memory: it applies `Changes` write by write, and plays scheduler, kubelet and people.

`crash_after=n` stops a reconcile's writes after n of them, as a killed controller would. Writes go out in the order
that `Changes` documents; Commands are deleted last.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from flowbatch.api.batch import Job
from flowbatch.api.bus import Command
from flowbatch.api.core import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    Pod,
    PodStatus,
)
from flowbatch.api.meta import Condition, ObjectMeta, OwnerReference
from flowbatch.api.scheduling import PodGroup, PodGroupStatus, Queue, QueueStatus
from flowbatch.workload.changes import Changes, Create, Delete, Patch
from flowbatch.workload.reconcile import Children, reconcile
from flowbatch.workload.roles.contract import SshKeys

START = datetime(2026, 1, 1, tzinfo=UTC)
RUNNING = ContainerState(running=ContainerStateRunning())
KEYS = SshKeys("private\n", "public\n")
TEMPLATE = {"spec": {"containers": [{"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "1"}}}]}}


def a_task(name: str = "worker", replicas: int = 2, **more: Any) -> dict[str, Any]:
    return {"name": name, "replicas": replicas, "template": TEMPLATE, **more}


def a_job(*tasks: dict[str, Any], name: str = "j", **spec: Any) -> Job:
    spec["tasks"] = list(tasks) or [a_task()]
    meta = {"name": name, "namespace": "ns", "uid": "job-1", "generation": 1, "creationTimestamp": START}
    return msgspec.convert({"metadata": meta, "spec": spec}, Job)


class JobWorld:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.now = START
        self.pods: dict[str, Pod] = {}
        self.group: PodGroup | None = None
        self.commands: dict[str, Command] = {}
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.queue: Queue | None = Queue(metadata=ObjectMeta(name="default"), status=QueueStatus(state="Open"))
        self.missing_claims: frozenset[str] = frozenset()
        self.keys: SshKeys | None = KEYS
        self.made = 0
        self.pods_made: list[str] = []
        self.deleted_job = False
        self.notes: list[str] = []
        self.writes = 0
        #: The scheduler lets every group in at once unless told not to.
        self.lets_in = True
        #: Pods stop the moment they are deleted, as if without a grace period.
        self.instant = False

    # What a controller sees and does ---------------------------------------------------------------------------

    def children(self) -> Children:
        present = {key: each["uid"] for key, each in self.objects.items()}
        pods, commands = tuple(self.pods.values()), tuple(self.commands.values())
        return Children(self.group, pods, commands, self.queue, present, self.missing_claims)

    def changes(self) -> Changes:
        return reconcile(self.job, self.children(), self.now, self.keys)

    def turn(self, crash_after: int | None = None) -> Changes:
        """One reconcile, of whose writes only the first `crash_after` are made."""
        changes = self.changes()
        for write in self.writes_of(changes)[:crash_after]:
            write()
            self.writes += 1
        self.notes += [note.reason for note in changes.notes]
        return changes

    def writes_of(self, changes: Changes) -> list[Callable[[], None]]:
        def set_status() -> None:
            self.job = replace(self.job, status=changes.status)

        status = [set_status] if changes.status is not None else []
        deletes = [each for each in changes.deletes if each.kind != "Command"]
        orders = [each for each in changes.deletes if each.kind == "Command"]
        middle: list[Callable[[], None]] = [lambda each=each: self._delete(each) for each in deletes]
        middle += [lambda each=each: self._patch(each) for each in changes.patches]
        middle += [lambda each=each: self._create(each) for each in changes.creates]
        ends: list[Callable[[], None]] = [lambda each=each: self._delete(each) for each in orders]
        return [*status, *middle, *ends] if changes.status_first else [*middle, *status, *ends]

    def settle(self, *, most: int = 60) -> None:
        """Reconcile, and let the scheduler work, until nothing changes; terminating pods stay."""
        for _ in range(most):
            changes = self.turn()
            busy = not changes.empty
            if self.lets_in and self.group is not None and self.group.status.phase in ("", "Pending"):
                self.set_group("Inqueue")
                busy = True
            if not busy:
                return
        raise AssertionError(f"never settles: {changes}")

    def _create(self, create: Create) -> None:
        manifest = create.manifest
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        self.made += 1
        uid = f"{kind.lower()}-{self.made}"
        complete = {**manifest, "metadata": {**manifest["metadata"], "uid": uid, "creationTimestamp": self.now}}
        if kind == "Pod":
            if name not in self.pods:
                self.pods[name] = msgspec.convert(complete, Pod)
                self.pods_made.append(name)
        elif kind == "PodGroup":
            if self.group is None:
                self.group = msgspec.convert(complete, PodGroup)
        else:
            self.objects.setdefault((kind, name), {**manifest, "uid": uid})

    def _patch(self, patch: Patch) -> None:
        if patch.kind == "Job":
            self.job = msgspec.convert(merged(msgspec.to_builtins(self.job), patch.body), Job)
        elif patch.kind == "PodGroup":
            self.group = msgspec.convert(merged(msgspec.to_builtins(self.group), patch.body), PodGroup)
        else:
            held = self.objects[patch.kind, patch.name]
            self.objects[patch.kind, patch.name] = merged(held, patch.body)

    def _delete(self, delete: Delete) -> None:
        if delete.kind == "Pod":
            pod = self.pods.get(delete.name)
            if pod is not None and pod.metadata.uid == delete.uid:
                self.delete_pod(delete.name)
        elif delete.kind == "PodGroup":
            if self.group is not None and self.group.metadata.uid == delete.uid:
                self.group = None
        elif delete.kind == "Command":
            self.commands = {name: each for name, each in self.commands.items() if each.metadata.uid != delete.uid}
        elif delete.kind == "Job":
            self.deleted_job = True

    # What the rest of the cluster does --------------------------------------------------------------------------

    def set_group(self, phase: str) -> None:
        assert self.group is not None
        self.group = replace(self.group, status=PodGroupStatus(phase=phase))

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def run(self, *names: str) -> None:
        """Pods start; all pending ones where none is named."""
        for name in names or [name for name, pod in self.pods.items() if pod.status.phase == "Pending"]:
            self._status(name, "Running", ContainerStatus(name="main", ready=True, state=RUNNING))

    def finish(self, *names: str, code: int = 0, reason: str = "", disrupted: bool = False) -> None:
        ended = ContainerStateTerminated(exit_code=code, finished_at=self.now)
        for name in names:
            status = ContainerStatus(name="main", state=ContainerState(terminated=ended))
            conditions = (Condition(type="DisruptionTarget", status="True"),) if disrupted else ()
            self._status(name, "Failed" if code or reason else "Succeeded", status, reason, conditions)

    def restart_in_place(self, name: str, times: int) -> None:
        status = ContainerStatus(name="main", ready=True, restart_count=times, state=RUNNING)
        self._status(name, "Running", status)

    def refuse(self, name: str) -> None:
        """The kubelet will not run the pod."""
        self._status(name, "Failed", None, "OutOfcpu")

    def _status(
        self, name: str, phase: str, status: ContainerStatus | None, reason: str = "", conditions: Any = ()
    ) -> None:
        said = PodStatus(
            phase=phase, reason=reason, container_statuses=(status,) if status else (), conditions=conditions
        )
        self.pods[name] = replace(self.pods[name], status=said)

    def delete_pod(self, name: str) -> None:
        """Somebody deletes a pod; it is gone at the next `sweep`."""
        pod = self.pods[name]
        if pod.metadata.deletion_timestamp is None:
            self.pods[name] = replace(pod, metadata=replace(pod.metadata, deletion_timestamp=self.now))
        if self.instant:
            del self.pods[name]

    def sweep(self) -> None:
        """Every pod that is on its way out is gone."""
        self.pods = {name: pod for name, pod in self.pods.items() if pod.metadata.deletion_timestamp is None}

    def lose(self, name: str) -> None:
        """A pod is gone between two looks."""
        del self.pods[name]

    # What people do -----------------------------------------------------------------------------------------------

    def edit(self, **spec: Any) -> None:
        meta = replace(self.job.metadata, generation=self.job.metadata.generation + 1)
        self.job = replace(self.job, metadata=meta, spec=replace(self.job.spec, **spec))

    def resize(self, task: str, replicas: int, minimum: int | None = None) -> None:
        tasks = tuple(
            replace(each, replicas=replicas, min_available=minimum) if each.name == task else each
            for each in self.job.spec.tasks
        )
        self.edit(tasks=tasks)

    def order(self, action: str) -> None:
        uid = f"command-{len(self.commands)}-{action}-{self.made}"
        self.made += 1
        meta = ObjectMeta(name=uid, namespace="ns", uid=uid, creation_timestamp=self.now)
        target = OwnerReference(api_version="batch.volcano.sh/v1alpha1", kind="Job", name="j", uid="job-1")
        self.commands[uid] = Command(metadata=meta, action=action, target=target)

    # What a test asks ---------------------------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        return self.job.status.state.phase

    @property
    def retries(self) -> int:
        return self.job.status.retry_count

    @property
    def history(self) -> list[str]:
        return [each.status for each in self.job.status.conditions]

    @property
    def alive(self) -> list[str]:
        """Names of the pods that nobody is deleting."""
        return sorted(name for name, pod in self.pods.items() if pod.metadata.deletion_timestamp is None)


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    base = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), item)
    return base


def running(job: Job) -> JobWorld:
    """A world in which all of the job's pods run."""
    world = JobWorld(job)
    world.settle()
    world.run()
    world.settle()
    return world
