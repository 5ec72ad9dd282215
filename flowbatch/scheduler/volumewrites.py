"""Binds claims before their pods are bound: gives volumes away, has others made, and waits until both sides agree.

What has been written is taken back, last first, when a later step fails: somebody else may then have the volume.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from flowbatch.api.core import PersistentVolumeClaim
from flowbatch.api.kinds import PERSISTENT_VOLUME_CLAIM
from flowbatch.engine.decisions import Step
from flowbatch.kube.errors import ApiError, Fenced, TransportError
from flowbatch.kube.request import Request, get_object
from flowbatch.kube.watch import EventDecoder, Malformed
from flowbatch.scheduler.requests import NoSuchStep
from flowbatch.scheduler.volumes import VolumeStep, step_requests, undo_request

#: How often a claim is looked at while it is being bound.
FIRST_LOOK_S, LAST_LOOK_S = 0.05, 2.0

_claims = EventDecoder(PERSISTENT_VOLUME_CLAIM)
_steps = msgspec.json.Decoder(VolumeStep)


class Sender(Protocol):
    """The part of `kube.Client` that writes need."""

    async def send(self, request: Request) -> bytes:
        """Send and return the body. Raises ApiError, TransportError or Fenced."""
        ...


def _read(step: Step) -> VolumeStep:
    """What a step says; raises NoSuchStep where somebody's policy has made it up."""
    try:
        said = _steps.decode(step.value)
    except msgspec.MsgspecError as error:
        raise NoSuchStep(f"this scheduler knows no such volume step: {step.name}: {error}") from error
    if not said.bound and not (said.claim and (said.volume or said.node)):
        raise NoSuchStep(f"this scheduler knows no such volume step: {step.name}")
    return said


def is_wait(step: Step) -> bool:
    """It only waits for what the steps before it began. Raises NoSuchStep where it makes no sense."""
    return step.kind == "volume" and bool(_read(step).bound)


def look_again_s(looks: int) -> float:
    """How long to wait before a claim is looked at once more."""
    return min(LAST_LOOK_S, FIRST_LOOK_S * float(2 ** min(looks, 16)))


class VolumeWrites:
    """Does the steps of kind "volume"."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def do(self, step: Step) -> None:
        """Write what the step says. Raises NoSuchStep where it makes no sense, and what sending raises."""
        await self._sender.send(step_requests(_read(step)))

    async def is_bound(self, step: Step, waited_s: float) -> bool:
        """Whether what the step waits for has happened. Raises NoSuchStep where it will not, or not in time."""
        said = _read(step)
        for claim_id in said.bound:
            claim = await self._look(claim_id)
            if claim is not None and claim.status.phase == "Lost":
                raise NoSuchStep(f"claim {claim_id} has lost its volume")
            if claim is None or claim.status.phase != "Bound":
                if waited_s >= said.seconds:
                    raise NoSuchStep(f"claim {claim_id} was not bound within {said.seconds} s")
                return False
        return True

    async def _look(self, claim_id: str) -> PersistentVolumeClaim | None:
        namespace, _, name = claim_id.partition("/")
        body = await self._sender.send(get_object(PERSISTENT_VOLUME_CLAIM, name, namespace))
        try:
            return _claims.plain(body)
        except Malformed:
            return None

    async def take_back(self, done: Sequence[Step]) -> None:
        """Undo what was done, last first; what is bound by now stays, and what cannot be undone is left alone."""
        for step in reversed(done):
            if step.kind != "volume":
                continue
            said = _read(step)
            try:
                claim = await self._look(said.claim) if said.claim else None
                if claim is not None and claim.status.phase != "Bound":
                    await self._sender.send(undo_request(said))
            except (ApiError, TransportError, Fenced):
                continue
