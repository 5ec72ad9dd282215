"""Carries out Binds and Evicts, and finds out what came of them.

The engine has taken the capacity already; what it needs to hear is the rare failure. A 201 says only that the server
heard us: the watch says the rest. An answer that never came is an *unknown outcome*, and reading the pod resolves it.
A failure that may pass is told late rather than early (the capacity stays held), so nothing spins.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Protocol

import anyio

from flowbatch.api import names
from flowbatch.api.kinds import NODE, POD
from flowbatch.engine import events
from flowbatch.engine.decisions import Bind, Evict, Nominate, Release, Step, Ungate
from flowbatch.kube.errors import ApiError, Fenced, Invalid, NotFound, ServerError, Throttled, TransportError
from flowbatch.kube.request import Request, get_object
from flowbatch.kube.watch import EventDecoder, Malformed
from flowbatch.metrics import BIND_FAILURES, BIND_SECONDS, BINDS, UNKNOWN_OUTCOMES
from flowbatch.scheduler import requests
from flowbatch.scheduler.claimwrites import ClaimWrites
from flowbatch.scheduler.lanes import Turn
from flowbatch.scheduler.requests import NoSuchStep
from flowbatch.scheduler.timers import Timers
from flowbatch.scheduler.volumewrites import VolumeWrites, is_wait, look_again_s

#: How often a binding is sent before the engine hears that it cannot be done now.
ATTEMPTS = 4
#: Waits between attempts, and before a passing failure is told: doubling from the first to the last.
FIRST_WAIT_S, LAST_WAIT_S = 0.05, 10.0
#: Pods that failed and were never heard of again are forgotten, all at once, beyond this many.
REMEMBERED_FAILURES = 10_000

_pods = EventDecoder(POD)


class Sender(Protocol):
    """The part of `kube.Client` that writes need; tests bring their own."""

    async def send(self, request: Request) -> bytes:
        """Send and return the body. Raises ApiError, TransportError or Fenced."""
        ...


class Found(Enum):
    """What reading the pod of a doubtful binding showed."""

    OURS = "bound where we said"
    ELSEWHERE = "bound to another node"
    FREE = "not bound"
    GONE = "deleted, replaced or finished"


@dataclass(slots=True)
class Progress:
    """How far the steps of one binding have come."""

    done: list[Step] = field(default_factory=list)
    #: Since when it waits for claims, and how often it has looked.
    since: float = 0.0
    looks: int = 0


def _nowhere(uid: str, _turn: Turn) -> None:
    raise AssertionError(f"nobody gives the binding of {uid} a lane")


class Bindings:
    """The one that writes what takes or frees capacity; `tell` posts what the engine must hear."""

    def __init__(
        self,
        sender: Sender,
        tell: Callable[[events.Event], None],
        epoch: Callable[[], int],
        moment: Callable[[], datetime],
    ) -> None:
        self._sender = sender
        self._volume_writes = VolumeWrites(sender)
        self.claim_writes = ClaimWrites(sender)
        #: Bindings that wait for claims, by pod uid, and when to look at those again; `again` gives them a lane.
        self._waiting: dict[str, Turn] = {}
        self._looks = Timers(self._look_again)
        self.again: Callable[[str, Turn], None] = _nowhere
        self._moment = moment
        self._tell = tell
        self._epoch = epoch
        #: Failures in a row by pod uid: they make the next one be told later.
        self._failures: dict[str, int] = {}
        #: What will be told, by pod uid; it waits here and not in a lane, which others need.
        self._late: dict[str, events.Event] = {}
        self._timers = Timers(self._due)
        #: Since the start: bindings that succeeded, were refused, and needed a look.
        self.bound = self.refused = self.unknown = 0

    async def run(self) -> None:
        """Tell what is told late, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._timers.run)
            tasks.start_soon(self._looks.run)

    async def bind(self, order: Bind, decided_at: float) -> None:
        """Do the order's steps one by one, then bind; a failed step means that no binding is sent."""
        await self._go_on(order, decided_at, Progress())

    async def _steps(self, order: Bind, decided_at: float, progress: "Progress") -> bool:
        """Whether all are done; else the binding is off, or goes on later: nobody holds a lane only to wait."""
        for step in order.before[len(progress.done) :]:
            try:
                if not await self._do(order, step, progress):
                    self._go_on_later(order, decided_at, progress)
                    return False
            except Fenced:
                return False
            except (ApiError, TransportError, NoSuchStep) as error:
                await self._volume_writes.take_back(progress.done)
                # Of the one that failed nobody knows what the server did.
                await self.claim_writes.take_back([*progress.done, step])
                self._tell_late(order.uid, events.StepFailed(order.uid, step.name, str(error)))
                return False
            progress.done.append(step)
        return True

    async def _do(self, order: Bind, step: Step, progress: "Progress") -> bool:
        if step.kind == "lock":
            await self._lock(step)
        elif step.kind == "devices":
            await self.claim_writes.do(step)
        elif step.kind != "volume":
            await self._sender.send(requests.step_request(order, step))
        elif is_wait(step):
            progress.since = progress.since or anyio.current_time()
            return await self._volume_writes.is_bound(step, anyio.current_time() - progress.since)
        else:
            await self._volume_writes.do(step)
        return True

    def _go_on_later(self, order: Bind, decided_at: float, progress: "Progress") -> None:
        self._waiting[order.uid] = partial(self._go_on, order, decided_at, progress)
        self._looks.within(order.uid, look_again_s(progress.looks))
        progress.looks += 1

    async def _go_on(self, order: Bind, decided_at: float, progress: "Progress") -> None:
        if await self._steps(order, decided_at, progress):
            await self._bind(order)
            BIND_SECONDS.observe(time.perf_counter() - decided_at)

    def _look_again(self, uid: str) -> None:
        turn = self._waiting.pop(uid, None)
        if turn is not None:
            self.again(uid, turn)

    def drop_waits(self) -> None:
        """A new engine decides anew about pods whose claims are not bound yet."""
        for uid in self._waiting:
            self._looks.forget(uid)
        self._waiting.clear()

    async def _lock(self, step: Step) -> None:
        """Wait a little for a node that is locked. Raises NoSuchStep if it stays so, and what sending raises."""
        for attempt in range(1, ATTEMPTS + 1):
            body = await self._sender.send(get_object(NODE, step.value))
            request = requests.lock_request(step, body, self._moment())
            try:
                if request is not None:
                    await self._sender.send(request)
                    return
            except ApiError as error:
                if error.status != 409:
                    raise
            await anyio.sleep(doubled(attempt))
        raise NoSuchStep(f"node {step.value} is locked by another binding ({step.name})")

    async def _bind(self, order: Bind) -> None:
        request = requests.bind_request(order, self._epoch())
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._sender.send(request)
            except Fenced:
                # Another replica decides now; this engine's books no longer matter.
                return
            except (ApiError, TransportError) as error:
                if not await self._try_again(order, error, last=attempt == ATTEMPTS):
                    return
                await anyio.sleep(_wait_s(attempt, error))
            else:
                self._succeeded(order)
                return

    async def _try_again(self, order: Bind, error: ApiError | TransportError, *, last: bool) -> bool:
        """Settle what is settled; True if the same binding should be sent once more.

        Sending it again is safe: it carries the uid, and the server binds a pod once.
        """
        if isinstance(error, NotFound | Invalid):
            self._refuse(order, error, permanent=True)
            return False
        found = Found.FREE if _surely_not_done(error) else await self._look(order)
        if found is Found.OURS:
            self._succeeded(order)
        elif found is Found.GONE:
            self._refuse(order, error, permanent=True)
        elif found is Found.FREE and not last and _may_pass(error):
            return True
        else:
            # Told late: by then the watch has shown a pod that somebody else bound, and the news changes nothing.
            self._refuse(order, error, permanent=False)
        return False

    async def _look(self, order: Bind) -> Found:
        """Read the pod until the server answers; nothing is freed on a guess."""
        self.unknown += 1
        UNKNOWN_OUTCOMES.inc()
        attempt = 0
        while True:
            attempt += 1
            try:
                body = await self._sender.send(get_object(POD, order.name, order.namespace))
            except NotFound:
                return Found.GONE
            except (ApiError, TransportError) as error:
                await anyio.sleep(_wait_s(attempt, error))
            else:
                if (found := judge(order, body)) is not None:
                    return found
                await anyio.sleep(doubled(attempt))

    def _succeeded(self, order: Bind) -> None:
        self.bound += 1
        BINDS.inc()
        if self._failures:
            self._failures.pop(order.uid, None)

    def _refuse(self, order: Bind, error: Exception, *, permanent: bool) -> None:
        self.refused += 1
        BIND_FAILURES.labels(error.reason if isinstance(error, ApiError) else "no answer").inc()
        fact = events.BindFailed(order.uid, order.node, str(error), permanent)
        if permanent:
            self._failures.pop(order.uid, None)
            self._tell(fact)
        else:
            self._tell_late(order.uid, fact)

    def _tell_late(self, uid: str, fact: events.Event) -> None:
        if len(self._failures) > REMEMBERED_FAILURES:
            self._failures.clear()
        self._failures[uid] = failures = self._failures.get(uid, 0) + 1
        self._late[uid] = fact
        self._timers.within(uid, doubled(failures))

    def _due(self, uid: str) -> None:
        self._tell(self._late.pop(uid))

    async def evict(self, order: Evict) -> None:
        """Say on the pod why, then ask for its end; one that is gone already is a success.

        First the condition: whoever sees the pod end must know then that it was not its own doing.
        """
        try:
            await self._sender.send(requests.disruption_request(order, self._moment()))
            await self._sender.send(requests.evict_request(order))
        except (NotFound, Fenced):
            return
        except (ApiError, TransportError) as error:
            self._tell_late(order.uid, events.EvictFailed(order.uid, str(error)))
            if isinstance(error, ApiError) and not isinstance(error, ServerError):
                await self._take_back(order)

    async def _take_back(self, order: Evict) -> None:
        """The pod stays: if it fails later, that is its own doing again. Best effort."""
        try:
            await self._sender.send(requests.disruption_request(order, self._moment(), going=False))
        except (ApiError, TransportError, Fenced):
            return

    async def release(self, order: Release) -> None:
        """Take devices back from a claim, if really none of its pods has a node; the watch says when it is done."""
        try:
            for uid, name in order.pods:
                if not await self._is_unbound(uid, order.claim.partition("/")[0], name):
                    raise NoSuchStep(f"pod {name} has a node, or is gone")
            await self.claim_writes.release(order)
        except Fenced:
            return
        except (ApiError, TransportError, NoSuchStep) as error:
            self._tell_late(f"claim/{order.claim}", events.ReleaseFailed(order.claim, str(error)))

    async def _is_unbound(self, uid: str, namespace: str, name: str) -> bool:
        try:
            pod = _pods.plain(await self._sender.send(get_object(POD, name, namespace)))
        except Malformed as error:
            raise NoSuchStep(f"pod {name} cannot be read: {error}") from error
        return pod.metadata.uid == uid and not pod.spec.node_name

    async def ungate(self, order: Ungate) -> None:
        """Take the queue's gate off a pod; one that has none any more is as it should be."""
        try:
            await self._sender.send(requests.ungate_request(order))
        except (NotFound, Fenced):
            return
        except (ApiError, TransportError) as error:
            self._tell_late(order.uid, events.StepFailed(order.uid, names.QUEUE_ALLOCATION_GATE, str(error)))

    async def nominate(self, order: Nominate) -> None:
        """Write whose room is being made; losing it costs a restarted scheduler only its memory of that."""
        try:
            await self._sender.send(requests.nominate_request(order))
        except (ApiError, TransportError, Fenced):
            return


def judge(order: Bind, body: bytes) -> Found | None:
    """Where the binding of `order` stands, given the pod as the server shows it; None for what is no pod."""
    try:
        pod = _pods.plain(body)
    except Malformed:
        return None
    if pod.metadata.uid != order.uid or pod.status.phase in ("Succeeded", "Failed"):
        return Found.GONE
    if not pod.spec.node_name:
        return Found.GONE if pod.metadata.deletion_timestamp is not None else Found.FREE
    return Found.OURS if pod.spec.node_name == order.node else Found.ELSEWHERE


def _surely_not_done(error: ApiError | TransportError) -> bool:
    """The server said no, or never heard us: no need to look. (A 409 may hide our own earlier success.)"""
    if isinstance(error, TransportError):
        return not error.sent
    return not isinstance(error, ServerError) and error.status != 409


def _may_pass(error: ApiError | TransportError) -> bool:
    return isinstance(error, TransportError | ServerError | Throttled)


def _wait_s(attempt: int, error: ApiError | TransportError) -> float:
    asked = (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
    return min(LAST_WAIT_S, max(asked, doubled(attempt)))


def doubled(times: int) -> float:
    """The wait after `times` failures in a row, in seconds."""
    return min(LAST_WAIT_S, FIRST_WAIT_S * float(2 ** min(times, 16)))
