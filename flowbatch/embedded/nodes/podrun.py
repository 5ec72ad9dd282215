"""One pod on a process node: carries out what its life orders, and tells the API server what became of it."""

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD
from flowbatch.api.meta import JsonObject
from flowbatch.embedded.nodes.directory import entry_of, resolver_file
from flowbatch.embedded.nodes.environment import ConfigError
from flowbatch.embedded.nodes.inside.wire import Message
from flowbatch.embedded.nodes.lifecycle import Ended, Start, Stop, new_life, resume
from flowbatch.embedded.nodes.preparation import Preparation
from flowbatch.embedded.nodes.probes import Probing
from flowbatch.embedded.nodes.remote import Door
from flowbatch.embedded.nodes.reporter import Reporter
from flowbatch.embedded.nodes.runnable import RunnablePod
from flowbatch.embedded.nodes.sandbox import Sandbox
from flowbatch.embedded.nodes.specification import ADDRESS
from flowbatch.embedded.nodes.status import pod_status
from flowbatch.embedded.nodes.workplace import Workplace
from flowbatch.kube.errors import ApiError, Conflict, NotFound, TransportError

#: A container whose ConfigMap is missing is tried again this often.
CONFIG_RETRY_S = 2.0
_KILLED = 137


@dataclass(slots=True)
class Stopping:
    """A container that was asked to stop, and when it is made to."""

    kill_at: datetime


@dataclass(eq=False)
class PodRun:
    """The run of one pod, from its binding to its last status."""

    work: Workplace
    pod: RunnablePod
    number: int
    start: datetime = field(init=False)
    #: The run is over; what is left is its log.
    over: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.start = self.pod.status.start_time or self.work.clock.now()
        self.life = new_life(self.pod, self.start)
        resume(self.life, self.pod, self.start)
        self.entry = entry_of(self.pod, self.work.names.addresses.take())
        hosts = self.work.names.add(self.entry)
        names = list(self.life.containers)
        searches = (self.pod.spec.get("dnsConfig") or {}).get("searches") or ()
        resolver = resolver_file(self.entry.namespace, self.work.names.addresses.gateway, searches)
        self.sandbox = Sandbox(
            self.work.cluster,
            f"pods/{self.number}",
            self.pod.hostname,
            self.entry.ip,
            hosts,
            resolver,
            names,
            self._hear,
        )
        self.specs = {each["name"]: each for each in self.pod.containers}
        self.reporter = Reporter(self.work.client, self.pod.metadata, self._status)
        self._preparation = Preparation(self.work, self.entry, self.sandbox)
        self._doors: dict[str, Door] = {}
        self._stopping: dict[str, Stopping] = {}
        #: Why a container that is about to be reported as ended did: it could not start, or a probe gave up on it.
        self._failures: dict[str, tuple[str, str]] = {}
        #: Containers without a process: their image would know the command, and images are not pulled.
        self._played: set[str] = set()
        self._woken = asyncio.Event()
        self._ready = asyncio.Event()
        self._probing = Probing(self)
        self._force = False
        self._told_to_stop = False
        self.work.remote.add(self.entry.uid, self)

    # told from outside

    def update(self, pod: RunnablePod) -> None:
        """The API server's newest word on the pod."""
        self.pod = pod
        if pod.metadata.deletion_timestamp is not None and not self.life.stopping:
            self._told_to_stop = not self.life.finished
            self.life.stop()
            self.wake()

    def gone(self) -> None:
        """The pod object is no more: nothing of it may remain, at once."""
        self._force = True
        self.life.stop()
        self.reporter.cancel()
        self.wake()

    def wake(self) -> None:
        """Look again what is to be done."""
        self._woken.set()

    def _hear(self, message: Message | None) -> None:
        now = self.work.clock.now()
        match message:
            case None:
                self._lost(now)
            case {"is": "ready"}:
                self._ready.set()
            case {"is": "broken", "message": why}:
                self.life.verdict = ("PodSandboxFailed", str(why))
                self.life.stop()
            case {"is": "running", "container": name}:
                self._started(name, now)
            case {"is": "failed", "container": name, "reason": reason, "message": why}:
                self._failures[name] = (str(reason), str(why))
            case {"is": "exited", "container": name, "code": code}:
                self._exited(name, int(code), now)
        self.wake()

    def _lost(self, now: datetime) -> None:
        """The pod's first process is gone and took everything along."""
        self._ready.set()
        for each in self.life.containers.values():
            if (each.running or each.starting) and each.name not in self._played:
                self.life.exited(each.name, Ended(_KILLED, "Error", "killed", each.running_since, now))

    def _started(self, name: str, now: datetime) -> None:
        self.life.started(name, now)
        self._probing.begin(name, self.specs[name])
        self.work.remote.add(self.entry.uid, self)

    def _exited(self, name: str, code: int, now: datetime) -> None:
        each = self.life.containers[name]
        code = 128 - code if code < 0 else code
        failure = self._failures.pop(name, None)
        policy = self.specs[name].get("terminationMessagePolicy")
        if failure is not None:
            reason, message = failure
        else:
            reason = "Completed" if code == 0 else "Error"
            or_log = policy == "FallbackToLogsOnError" and code != 0
            message = self.sandbox.last_words(name, each.attempt, or_log=or_log)
        self._stopping.pop(name, None)
        self._probing.end(name)
        self.life.exited(name, Ended(code, reason, message, each.running_since, now))

    # the run

    async def run(self) -> None:
        """Live the pod's life to its end; what is left afterwards is its log."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.reporter.run())
                await self._live()
                self._probing.close()
                await self.sandbox.close()
                self.work.names.remove(self.entry)
                self.work.remote.remove(self.entry.uid)
                self._close_report()
        finally:
            self._probing.close()
            self.sandbox.abandon()
            for door in self._doors.values():
                door.close()
            self.work.remote.remove(self.entry.uid)
            self.work.names.remove(self.entry)
        if self.pod.metadata.deletion_timestamp is not None and not self._force:
            await confirm_deletion(self.work, self.pod)

    def _close_report(self) -> None:
        """The last status; spared where the object is about to go and nothing (no finalizer) waits to see it."""
        deleted = self.pod.metadata.deletion_timestamp is not None
        if deleted and self._told_to_stop and not self.pod.metadata.finalizers:
            self.reporter.cancel()
        else:
            self.reporter.finish()

    async def _live(self) -> None:
        while True:
            self._woken.clear()
            now = self.work.clock.now()
            self._kill_overdue(now)
            for order in self.life.next(now):
                match order:
                    case Start(name, attempt):
                        await self._start(name, attempt)
                    case Stop(name):
                        self._stop(name, now)
            self._note_readiness()
            self.reporter.changed()
            if self.life.finished:
                return
            if not self._woken.is_set():
                await self._sleep(now)

    async def _sleep(self, now: datetime) -> None:
        moments = [stopping.kill_at for stopping in self._stopping.values()]
        if (wake_at := self.life.wake_at(now)) is not None:
            moments.append(wake_at)
        timeout_s = max(0.0, (min(moments) - now).total_seconds()) if moments else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()

    def _note_readiness(self) -> None:
        ready = self.work.names.directory.ready
        if all(each.ready for each in self.life.containers.values() if each.role == "main"):
            ready.add(self.entry.uid)
        else:
            ready.discard(self.entry.uid)

    # orders

    async def _start(self, name: str, attempt: int) -> None:
        try:
            command = await self._preparation.command(name, self.pod)
        except ConfigError as problem:
            self._trouble(name, "CreateContainerConfigError", str(problem))
            return
        except (ApiError, TransportError) as problem:
            self._trouble(name, "ContainerCreating", str(problem))
            return
        if command is None:
            await self._play(name, attempt)
            return
        if not self.sandbox.is_open:
            self._ready.clear()
            self.sandbox.open()
            await self._ready.wait()
        if self.life.stopping:
            ended = Ended(_KILLED, "Error", "stopped before it started", None, self.work.clock.now())
            self.life.exited(name, ended)
            return
        self._open_door(name)
        shown = [path for path in (self.work.cwd, command.env.get("HOME", "")) if path.startswith("/")]
        self.sandbox.start(name, attempt, command, self._preparation.volumes, shown)

    def _trouble(self, name: str, reason: str, message: str) -> None:
        retry_at = self.work.clock.now() + timedelta(seconds=CONFIG_RETRY_S)
        self.life.troubled(name, reason, message, retry_at)

    def _open_door(self, name: str) -> None:
        if name not in self._doors:
            self._doors[name] = self.work.remote.listen(self, name)

    async def _play(self, name: str, attempt: int) -> None:
        """A container whose command only its image knows: it counts as running until it is stopped."""
        now = self.work.clock.now()
        self._played.add(name)
        image = self.specs[name].get("image", "")
        message = f'container {name} has no command and images are not pulled: image "{image}" is only simulated'
        log = self.sandbox.log_path(name, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(now.strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode() + f" F flowbatch: {message}\n".encode())
        self.life.started(name, now)
        self.life.containers[name].ready = True
        await self.work.events.on_pod(self.pod.metadata, self.pod.node, "ContainerSimulated", message)

    def _stop(self, name: str, now: datetime) -> None:
        if name in self._played:
            self._exited(name, 0, now)
            self.wake()
            return
        grace_s = 0 if self._force else self.pod.grace_seconds
        self._stopping[name] = Stopping(now + timedelta(seconds=grace_s))
        if grace_s:
            self._probing.before_stop(name, self.specs[name])
        else:
            self._kill_overdue(now)

    def terminate(self, name: str) -> None:
        """SIGTERM to a container's process group."""
        self.sandbox.signal(name, signal.SIGTERM)

    def _kill_overdue(self, now: datetime) -> None:
        for name, stopping in list(self._stopping.items()):
            if stopping.kill_at <= now or self._force:
                del self._stopping[name]
                self.sandbox.signal(name, signal.SIGKILL)

    def restart(self, name: str, why: str) -> None:
        """A liveness probe gave up on a container: it is stopped, and its policy says what follows."""
        self._failures[name] = ("Error", why)
        self._stop(name, self.work.clock.now())
        self.wake()

    # answers

    def _status(self) -> JsonObject:
        now = self.work.clock.now()
        return pod_status(self.pod, self.life, self.entry.ip, ADDRESS, self.start, now)


async def confirm_deletion(work: Workplace, pod: RunnablePod | Pod) -> None:
    """Nothing of the pod runs any more: let the API server forget it."""
    meta = pod.metadata
    with contextlib.suppress(NotFound, Conflict, TransportError, ApiError):
        await work.client.delete(POD, meta.name, meta.namespace, uid=meta.uid, grace_seconds=0)
