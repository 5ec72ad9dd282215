"""One replica leads, by a Lease; written here because the library's elector lets two lead (python.md 1.3).

The rules that make it safe:

- Expiry is judged by our own monotonic clock, from the moment we *saw* the lease change, never by the times in it.
- A renewal counts from before its request was sent. Writers stop `renew_deadline_s` after it, rivals begin no sooner
  than `lease_s` after it, and each write must end within the difference; the client's `WriteGate` enforces both.
- Every change of the lease carries the resourceVersion that was read, so of two rivals one gets a conflict.
- Leading ends when `lead()` ends, in whatever way, and `lead()` is cancelled when leading ends.
"""

import asyncio
import math
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import msgspec

from flowbatch.api.kinds import LEASE
from flowbatch.api.meta import JsonObject
from flowbatch.api.timestamps import format_micro_time
from flowbatch.errors import FlowbatchError
from flowbatch.kube import request as build
from flowbatch.kube.client import Client
from flowbatch.kube.errors import ApiError, NotFound, TransportError
from flowbatch.kube.request import Request


class LeaderLost(FlowbatchError):  # the name says what happened, not who erred
    """This replica led and must not any more; its program should end, and start over as a follower."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """client-go's defaults. A leader stops by itself well before a rival may begin."""

    lease_s: float = 15.0
    renew_deadline_s: float = 10.0
    retry_s: float = 2.0

    def __post_init__(self) -> None:
        if not self.retry_s * 1.2 < self.renew_deadline_s < self.lease_s:
            raise ValueError("an election needs retry_s * 1.2 < renew_deadline_s < lease_s")

    @property
    def write_s(self) -> float:
        """How long a write may take: it must be over before a rival can lead."""
        return (self.lease_s - self.renew_deadline_s) * 0.8


class Elector:
    """Campaigns for one Lease. `client.gate` is open exactly while this replica may write."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        timing: LeaseTiming | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._namespace, self._name = client, namespace, name
        #: Made unique: two replicas that were given one name must not take each other for themselves.
        self.identity = f"{identity}_{uuid.uuid4().hex[:8]}"
        self.leading = False
        #: Who held the lease when it was last read.
        self.holder = ""
        self._timing = timing or LeaseTiming()
        self._monotonic = monotonic
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = monotonic()
        self._renewed_at = float("-inf")
        self._overtaken = False
        client.gate.shut(f"this replica does not hold the lease {namespace}/{name}")

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, then run `lead` while holding it. Returns when `lead` does; raises what it raises.

        Raises LeaderLost when the lease could not be renewed in time; `lead` has been cancelled by then.
        """
        while not await self._try():  # noqa: ASYNC110  (there is nothing to wait for: the other replica is far away)
            await asyncio.sleep(self._pause_s())
        self.leading = True
        leading = anyio.CancelScope()
        renewal = asyncio.create_task(self._renew())
        renewal.add_done_callback(lambda _: leading.cancel())
        try:
            with leading:
                await lead()
        finally:
            renewal.cancel()
            still_ours, self.leading = self.leading, False
            self._client.gate.shut(f"this replica holds the lease {self._namespace}/{self._name} no more")
            if still_ours:
                with anyio.CancelScope(shield=True):
                    await self._release()
        if not still_ours:
            raise LeaderLost(f"lost the lease {self._namespace}/{self._name}, held by {self.holder or 'nobody'}")

    async def _renew(self) -> None:
        """Renew until that fails for too long; returning ends `lead`."""
        try:
            while not self._overtaken and (left_s := self._left_s()) > 0:
                await asyncio.sleep(min(self._pause_s(), left_s))
                with anyio.move_on_after(max(0.0, self._left_s())):
                    await self._try()
        finally:
            self.leading = False
            self._client.gate.shut(f"this replica lost the lease {self._namespace}/{self._name}")

    def _left_s(self) -> float:
        return self._renewed_at + self._timing.renew_deadline_s - self._monotonic()

    def _pause_s(self) -> float:
        return self._timing.retry_s * random.uniform(1.0, 1.2)  # noqa: S311  (spreads rivals; no secret)

    # One attempt ---------------------------------------------------------------------------------------------------

    async def _try(self) -> bool:
        """Take or renew the lease. Trouble of any kind is False: only the deadline decides what it means."""
        started = self._monotonic()
        try:
            lease = await self._read()
            if lease is not None and not self._may_take(lease):
                return False
            epoch = await self._write(lease)
        except (ApiError, TransportError):
            return False
        self._renewed_at = started
        self.holder = self.identity
        until = started + self._timing.renew_deadline_s
        self._client.gate.open(epoch, until, self._timing.write_s)
        return True

    def _may_take(self, lease: JsonObject) -> bool:
        spec = lease.get("spec") or {}
        self.holder = spec.get("holderIdentity") or ""
        mark = (self.holder, lease["metadata"].get("resourceVersion", ""))
        now = self._monotonic()
        if mark != self._seen:
            self._seen, self._seen_at = mark, now
        if self.holder in ("", self.identity):
            return True
        self._overtaken = self.leading
        return now - self._seen_at >= (spec.get("leaseDurationSeconds") or self._timing.lease_s) and not self.leading

    async def _write(self, lease: JsonObject | None) -> int:
        """Put our name into the lease; gives the epoch, which rises with every change of holder."""
        if lease is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
            spec = self._claim({}, transitions=1)
            await self._call(build.create_object(LEASE, {**lease, "spec": spec}, self._namespace))
            return 1
        old = lease.get("spec") or {}
        changes_hands = old.get("holderIdentity") != self.identity or not self.leading
        transitions = (old.get("leaseTransitions") or 0) + changes_hands
        spec = self._claim(old, transitions)
        await self._call(build.replace_object(LEASE, self._name, {**lease, "spec": spec}, self._namespace))
        return int(transitions)

    def _claim(self, old: JsonObject, transitions: int) -> JsonObject:
        # The times are for people and other programs; nothing here reads them.
        now = format_micro_time(datetime.now(UTC))  # noqa: TID251  (see above)
        return {
            **old,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._timing.lease_s),
            "acquireTime": old.get("acquireTime", now) if self.leading else now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    async def _release(self) -> None:
        """Leave the lease without a holder, so that a successor need not wait for its end."""
        try:
            lease = await self._read()
            if lease is None or lease["spec"].get("holderIdentity") != self.identity:
                return
            spec = {**lease["spec"], "holderIdentity": ""}
            await self._call(build.replace_object(LEASE, self._name, {**lease, "spec": spec}, self._namespace))
            self.holder = ""
        except (ApiError, TransportError):
            return

    async def _read(self) -> JsonObject | None:
        try:
            found: JsonObject = msgspec.json.decode(
                await self._call(build.get_object(LEASE, self._name, self._namespace)), type=dict
            )
        except NotFound:
            return None
        except msgspec.MsgspecError as problem:
            raise TransportError(f"the answer is no Lease: {problem}") from None
        return found

    async def _call(self, request: Request) -> bytes:
        # Urgent: the lease waits behind no bind, and passes no gate, being what opens it.
        return await self._client.send(request, timeout_s=self._timing.retry_s, urgent=True)
