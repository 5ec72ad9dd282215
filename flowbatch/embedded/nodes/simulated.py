"""Nodes whose pods are played on a clock: thousands of them in one process, one write for each change of a pod.

A pod says by annotation how it goes; without one it starts at once and runs for ever. One informer feeds one heap of
due moments; where nothing is due, nothing runs.
"""

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network

from flowbatch.api.core import Pod
from flowbatch.api.kinds import POD
from flowbatch.api.meta import JsonObject
from flowbatch.embedded.clock import Clock, RealClock
from flowbatch.embedded.nodes.directory import Addresses
from flowbatch.embedded.nodes.registration import Registration
from flowbatch.embedded.nodes.runnable import BOUND
from flowbatch.embedded.nodes.script import Script, attempts_of, script_of, status_at
from flowbatch.embedded.nodes.specification import NOTE, NodeSpecification
from flowbatch.informer.informer import Informer
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, NotFound, TransportError

log = logging.getLogger(__name__)

#: Status writes in flight; the API server's work, not ours, is what they wait for.
WRITES_AT_ONCE = 32
RETRY_S = 1.0
_NETWORK = IPv4Network("10.128.0.0/9")
_NOTE = "pods here are simulated: no process runs"


@dataclass(slots=True)
class Played:
    """One pod and where it is in its script."""

    pod: Pod
    script: Script
    ip: str
    start: datetime
    #: What happens next: "start", "restart" or "end"; "" nothing, "delete" the confirmation of a deletion.
    step: str = "start"
    restarts: int = 0


@dataclass(order=True, slots=True)
class _Due:
    moment: datetime
    number: int
    uid: str = field(compare=False)
    step: str = field(compare=False)


class SimulatedNodes:
    """Registers `nodes` and plays the pods bound to them on `clock` until `run` is cancelled.

    `informer` makes the watch of their pods: a program that watches pods anyway shares its own.
    """

    def __init__(
        self,
        client: Client,
        nodes: Sequence[NodeSpecification],
        *,
        clock: Clock | None = None,
        heartbeat_s: float | None = None,
        informer: Callable[..., Informer[Pod]] = Informer,
    ) -> None:
        self._client = client
        self._informer = informer
        self._nodes = {node.name: node for node in nodes}
        self._clock = clock or RealClock()
        self._heartbeat_s = heartbeat_s
        self._registration = Registration(client, self._clock, tuple(nodes), "simulated", notes={NOTE: _NOTE})
        self._addresses = Addresses(_NETWORK)
        self._played: dict[str, Played] = {}
        #: How often pods of one name have started: `sim-fail-times` counts across recreated pods.
        self._tries: dict[str, int] = {}
        self._due: list[_Due] = []
        self._numbers = itertools.count()
        self._woken = asyncio.Event()
        self._room = asyncio.Semaphore(WRITES_AT_ONCE)
        #: Set once the nodes are registered and their pods are watched.
        self.ready = asyncio.Event()
        #: Pods whose play ended in an error of this program.
        self.failures = 0

    async def run(self) -> None:
        """Be these nodes until cancelled. Raises ApiError, TransportError when they cannot be registered."""
        await self._registration.register()
        pods = self._informer(self._client, POD, field_selector=BOUND)
        pods.on_change(self._note)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pods.run())
                group.create_task(self._work(group))
                if self._heartbeat_s is not None:
                    group.create_task(self._registration.keep_alive(self._heartbeat_s))
                await pods.wait_synced()
                self.ready.set()
        finally:
            await asyncio.shield(self._registration.say_goodbye())

    # what the API server says

    def _note(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        if pod is None or pod.spec.node_name not in self._nodes:
            return
        played = self._played.get(pod.metadata.uid)
        if new is None:
            self._forget(pod.metadata.uid)
        elif new.metadata.deletion_timestamp is not None:
            if played is None or played.step != "delete":
                self._play(new, "delete", self._clock.now())
        elif played is not None:
            played.pod = new
        elif new.status.phase not in ("Succeeded", "Failed"):
            self._begin(new)

    def _begin(self, pod: Pod) -> None:
        now, script = self._clock.now(), script_of(pod.metadata.annotations)
        if pod.status.phase == "Running":  # from an earlier program: it goes on from where its status says
            start = pod.status.start_time or now
            played = self._add(pod, script, start)
            played.restarts = sum(each.restart_count for each in pod.status.container_statuses)
            self._schedule_end(played, start)
            return
        self._count_try(pod, script)
        self._add(pod, script, now)
        self._at(now + timedelta(seconds=script.start_s), pod.metadata.uid, "start")

    def _count_try(self, pod: Pod, script: Script) -> None:
        if script.fail_times:
            self._tries[pod.metadata.key] = self._tries.get(pod.metadata.key, 0) + 1

    def _add(self, pod: Pod, script: Script, start: datetime) -> Played:
        played = Played(pod, script, pod.status.pod_ip or self._addresses.take(), start)
        self._played[pod.metadata.uid] = played
        return played

    def _play(self, pod: Pod, step: str, moment: datetime) -> None:
        played = self._played.get(pod.metadata.uid) or self._add(pod, script_of({}), moment)
        played.pod, played.step = pod, step
        self._at(moment, pod.metadata.uid, step)

    def _forget(self, uid: str) -> None:
        played = self._played.pop(uid, None)
        if played is not None:
            self._addresses.give_back(played.ip)

    # the heap

    def _at(self, moment: datetime, uid: str, step: str) -> None:
        if uid in self._played:
            self._played[uid].step = step
            heapq.heappush(self._due, _Due(moment, next(self._numbers), uid, step))
            self._woken.set()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._woken.clear()
            now = self._clock.now()
            while self._due and self._due[0].moment <= now:
                due = heapq.heappop(self._due)
                played = self._played.get(due.uid)
                if played is not None and played.step == due.step:
                    await self._room.acquire()
                    group.create_task(self._step(due.uid, played))
            await self._until_due(now)

    async def _until_due(self, now: datetime) -> None:
        if not self._due:
            await self._woken.wait()
            return
        wait_s = (self._due[0].moment - now).total_seconds()
        if wait_s <= 0:
            return
        alarm = asyncio.ensure_future(self._clock.sleep(wait_s))
        news = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait((alarm, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            alarm.cancel()
            news.cancel()

    async def _step(self, uid: str, played: Played) -> None:
        """One transition of one pod; an error of this program is that pod's alone."""
        step = played.step
        try:
            await self._take(uid, played, step)
        except NotFound:
            self._forget(uid)
        except (ApiError, TransportError):
            # A namesake's Conflict too: the watch tells when the pod is gone, and until then nobody else plays it.
            self._at(self._clock.now() + timedelta(seconds=RETRY_S), uid, step)
        except Exception:
            self.failures += 1
            log.exception("playing pod %s failed", played.pod.metadata.key)
        finally:
            self._room.release()

    # the play

    async def _take(self, uid: str, played: Played, step: str) -> None:
        now, meta = self._clock.now(), played.pod.metadata
        if step == "delete":
            await self._client.delete(POD, meta.name, meta.namespace, uid=meta.uid, grace_seconds=0)
            return
        if step == "end" and self._restarts(played):
            played.restarts += 1
            self._count_try(played.pod, played.script)
            await self._write(played, status_at(played.pod, "running", now, played.ip, played.start, played.restarts))
            self._schedule_end(played, now)
        elif step == "end":
            code = self._exit_code(played)
            await self._write(played, status_at(played.pod, code, now, played.ip, played.start, played.restarts))
            if played.step == "end":
                played.step = ""
        elif step == "start":
            played.start = now
            await self._write(played, status_at(played.pod, "running", now, played.ip, now, played.restarts))
            self._schedule_end(played, now)

    async def _write(self, played: Played, status: JsonObject) -> None:
        meta = played.pod.metadata
        body: JsonObject = {"metadata": {"uid": meta.uid}, "status": status}
        await self._client.patch(POD, meta.name, body, meta.namespace, subresource="status", content="strategic")

    def _schedule_end(self, played: Played, since: datetime) -> None:
        if played.step == "delete":
            return
        if played.script.run_s is None:
            played.step = ""
        else:
            self._at(since + timedelta(seconds=played.script.run_s), played.pod.metadata.uid, "end")

    def _exit_code(self, played: Played) -> int:
        return played.script.exit_code_of(attempts_of(self._tries, played.pod))

    def _restarts(self, played: Played) -> bool:
        policy = played.pod.spec.restart_policy
        return policy == "Always" or (policy == "OnFailure" and self._exit_code(played) != 0)
