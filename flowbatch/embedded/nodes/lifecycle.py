"""What a pod's containers do next, by Kubernetes' rules; pure: time is an argument, orders are values.

Init containers run one after another, sidecars (`restartPolicy: Always` among them) stay, then all main containers
start together. A container that ended is restarted by the pod's policy after a back-off of 0, 10, 20 ... 300 s. When
every main container has ended for good the sidecars are told to stop, and the pod's phase is settled.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from flowbatch.embedded.nodes.runnable import RunnablePod

FIRST_BACKOFF_S = 10
MAX_BACKOFF_S = 300
#: A container that ran this long has earned a fresh start.
BACKOFF_RESET_S = 600
_LOST = 137

Role = Literal["init", "sidecar", "main"]
Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one attempt of a container ended; `code` is the shell's: 128+n for signal n."""

    code: int
    reason: str
    message: str
    started_at: datetime | None
    finished_at: datetime


@dataclass(slots=True)
class ContainerLife:
    """One container: at most one of running and ended is true of its latest attempt."""

    name: str
    role: Role
    attempt: int = -1
    running_since: datetime | None = None
    #: Ordered to start, not yet heard of.
    starting: bool = False
    ended: Ended | None = None
    previous: Ended | None = None
    #: Not before this moment may it start again.
    not_before: datetime | None = None
    backoff_s: int = 0
    #: Why it cannot start at all (CreateContainerConfigError and the like), with the message.
    trouble: tuple[str, str] | None = None
    ready: bool = False

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.running_since is not None

    @property
    def restarts(self) -> int:
        """How often it was started beyond the first time."""
        return max(0, self.attempt)


@dataclass(frozen=True, slots=True)
class Start:
    """Start `name`, for the `attempt`-th time counted from 0."""

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask `name` to stop (SIGTERM), then make it (SIGKILL)."""

    name: str


Order = Start | Stop


@dataclass(slots=True)
class PodLife:
    """The containers of one pod and what has become of it."""

    policy: str
    containers: dict[str, ContainerLife]
    deadline: datetime | None = None
    #: Set once: no container is started any more.
    stopping: bool = False
    #: Reason and message of a pod that failed as a whole.
    verdict: tuple[str, str] | None = None
    _stop_ordered: set[str] = field(default_factory=set)

    def next(self, now: datetime) -> list[Order]:
        """What to do now. Asking twice orders nothing twice."""
        if self.deadline is not None and now >= self.deadline and not self.finished:
            self.verdict = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            self.stopping = True
        if self.stopping:
            return self._stops(list(self.containers.values()))
        orders = [self._start(each) for each in self._due(now)]
        if self.main_ended:
            return self._stops([each for each in self.containers.values() if each.role == "sidecar"])
        return [*orders]

    def _due(self, now: datetime) -> list[ContainerLife]:
        """The containers that may start now, in order; stops at the first init container still to be waited for."""
        if self.main_ended:
            return []
        due = []
        for each in self.containers.values():
            if self._may_start(each) and (each.not_before is None or each.not_before <= now):
                due.append(each)
            if each.role == "init" and not (each.ended and each.ended.code == 0):
                break
            if each.role == "sidecar" and not each.running and each.attempt < 1:
                break  # what comes after it relies on it
        return due

    def _may_start(self, each: ContainerLife) -> bool:
        if each.running or each.starting:
            return False
        return each.ended is None or self.will_restart(each)

    def will_restart(self, each: ContainerLife) -> bool:
        """Whether an ended container is started again."""
        if each.ended is None or self.stopping:
            return False
        if each.role == "sidecar":
            return not self.main_ended
        if each.role == "init" or self.policy == "OnFailure":
            return each.ended.code != 0 and self.policy != "Never"
        return self.policy == "Always"

    def _start(self, each: ContainerLife) -> Start:
        each.attempt += 1
        each.starting = True
        each.previous, each.ended = each.ended or each.previous, None
        return Start(each.name, each.attempt)

    def _stops(self, those: list[ContainerLife]) -> list[Order]:
        new = [each.name for each in those if (each.running or each.starting) and each.name not in self._stop_ordered]
        self._stop_ordered.update(new)
        return [Stop(name) for name in new]

    # facts

    def started(self, name: str, now: datetime) -> None:
        """The container's command runs."""
        each = self.containers[name]
        each.starting, each.running_since, each.trouble = False, now, None

    def exited(self, name: str, ended: Ended) -> None:
        """The container's process has ended, or could not be started at all."""
        each = self.containers[name]
        ran_s = (ended.finished_at - (ended.started_at or ended.finished_at)).total_seconds()
        each.starting, each.running_since, each.ready, each.ended = False, None, False, ended
        each.trouble = None
        self._stop_ordered.discard(name)
        if ran_s > BACKOFF_RESET_S:
            each.backoff_s = 0
        each.not_before = ended.finished_at + timedelta(seconds=each.backoff_s)
        each.backoff_s = min(MAX_BACKOFF_S, each.backoff_s * 2 or FIRST_BACKOFF_S)

    def troubled(self, name: str, reason: str, message: str, retry_at: datetime) -> None:
        """The container cannot be created yet; it is tried again at `retry_at` and this attempt does not count."""
        each = self.containers[name]
        each.starting, each.trouble, each.not_before = False, (reason, message), retry_at
        each.attempt -= 1
        each.ended = each.previous if each.attempt >= 0 else None

    def stop(self) -> None:
        """Start nothing any more, stop everything."""
        self.stopping = True

    # questions

    @property
    def main_ended(self) -> bool:
        """Whether every main container has ended for good (or never will run: an init container failed for good)."""
        if self._init_failed:
            return not any(each.running or each.starting for each in self.containers.values() if each.role != "sidecar")
        mains = [each for each in self.containers.values() if each.role == "main"]
        if self.stopping:
            return not any(each.running or each.starting for each in mains)
        return all(each.ended is not None and not self._restarts_main(each) for each in mains)

    def _restarts_main(self, each: ContainerLife) -> bool:
        assert each.ended is not None
        return self.policy == "Always" or (self.policy == "OnFailure" and each.ended.code != 0)

    @property
    def _init_failed(self) -> bool:
        inits = [each for each in self.containers.values() if each.role == "init"]
        return self.policy == "Never" and any(each.ended and each.ended.code != 0 for each in inits)

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing will."""
        idle = not any(each.running or each.starting for each in self.containers.values())
        return idle and (self.stopping or self.main_ended)

    @property
    def initialized(self) -> bool:
        """Whether all init containers have done their part."""
        return all(
            each.attempt >= 0 if each.role == "sidecar" else bool(each.ended and each.ended.code == 0)
            for each in self.containers.values()
            if each.role != "main"
        )

    @property
    def phase(self) -> Phase:
        """core/v1 PodPhase."""
        mains = [each for each in self.containers.values() if each.role == "main"]
        if self.finished:
            if self.verdict or self._init_failed:
                return "Failed"
            return "Succeeded" if all(each.ended and each.ended.code == 0 for each in mains) else "Failed"
        return "Running" if any(each.running or each.ended or each.previous for each in mains) else "Pending"

    def wake_at(self, now: datetime) -> datetime | None:
        """When to ask again though nothing happened: a back-off or the deadline ends."""
        waiting = [each for each in self.containers.values() if not self.stopping and self._may_start(each)]
        moments = [each.not_before for each in waiting if each.not_before is not None and each.not_before > now]
        if self.deadline is not None and not self.stopping and not self.finished:
            moments.append(self.deadline)
        return min(moments, default=None)


def new_life(pod: RunnablePod, start: datetime) -> PodLife:
    """The life of a pod that begins now."""
    containers: dict[str, ContainerLife] = {}
    for spec in pod.spec.get("initContainers") or ():
        role: Role = "sidecar" if spec.get("restartPolicy") == "Always" else "init"
        containers[spec["name"]] = ContainerLife(spec["name"], role)
    for spec in pod.spec.get("containers") or ():
        containers[spec["name"]] = ContainerLife(spec["name"], "main")
    seconds = pod.spec.get("activeDeadlineSeconds")
    deadline = start + timedelta(seconds=int(seconds)) if seconds is not None else None
    return PodLife(str(pod.spec.get("restartPolicy", "Always")), containers, deadline)


def resume(life: PodLife, pod: RunnablePod, now: datetime) -> None:
    """Take over a pod whose processes died with an earlier node program: they count as killed."""
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    for status in statuses:
        each = life.containers.get(status.name)
        if each is None or (status.state.running is None and status.state.terminated is None):
            continue
        each.attempt = status.restart_count
        done = status.state.terminated
        if done is not None:
            finished = done.finished_at or now
            each.ended = Ended(done.exit_code, done.reason, done.message, done.started_at, finished)
        else:
            message = "The node program was restarted; the container's processes are gone"
            each.ended = Ended(_LOST, "ContainerStatusUnknown", message, None, now)
