"""Gives devices to claims before their pods are bound: writes the allocation, and for whom the claim is reserved.

Every write can be repeated: an allocation never changes into another one (the API server refuses that), and a pod is
in the list of users once, by its uid. So an answer that never came is resolved by writing again. What was written is
taken back when a later step fails, unless others use the claim by then.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import anyio
import msgspec

from flowbatch.api.kinds import RESOURCE_CLAIM
from flowbatch.api.meta import JsonObject
from flowbatch.api.resource import DeviceClass, ResourceClaim
from flowbatch.engine.decisions import Release, Step
from flowbatch.kube.errors import ApiError, Fenced, NotFound, ServerError, Throttled, TransportError
from flowbatch.kube.request import PatchContent, Request, get_object, patch_object
from flowbatch.kube.watch import EventDecoder, Malformed
from flowbatch.policy.deviceclaims import DevicesGiven
from flowbatch.scheduler.requests import NoSuchStep

#: Keeps a claim that has devices until they are given back.
PROTECTION: Final = "resource.kubernetes.io/delete-protection"
#: How often a write is sent before its step fails, and the wait between.
ATTEMPTS: Final = 4
WAIT_S: Final = 0.1

#: (key, operator, values) each.
Tests = Sequence[tuple[str, str, tuple[str, ...]]]

_claims = EventDecoder(RESOURCE_CLAIM)
_steps = msgspec.json.Decoder(DevicesGiven)


class Sender(Protocol):
    """The part of `kube.Client` that writes need."""

    async def send(self, request: Request) -> bytes:
        """Send and return the body. Raises ApiError, TransportError or Fenced."""
        ...


def _unknown(_key: str) -> None:
    return None


class ClaimWrites:
    """Does the steps of kind "devices".

    `class_of` finds a class, whose configuration goes along with its devices; `claim_of` a claim as it was last seen:
    what is asked for never changes, and everything else is the server's to judge.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.class_of: Callable[[str], DeviceClass | None] = _unknown
        self.claim_of: Callable[[str], ResourceClaim | None] = _unknown

    async def do(self, step: Step) -> None:
        """Write what the step says. Raises NoSuchStep where it makes no sense, and what sending raises."""
        said = _read(step)
        if said.elsewhere:
            raise NoSuchStep(f"resourceclaim {said.claim} has devices that the node does not reach")
        claim = self.claim_of(said.claim)
        if claim is None or said.uid not in ("", claim.metadata.uid):
            claim = await self._look(said)
        if claim is None:
            raise NoSuchStep(f"resourceclaim {said.claim} is gone")
        said = msgspec.structs.replace(said, uid=claim.metadata.uid)
        if said.given is not None and PROTECTION not in claim.metadata.finalizers:
            await self._write(protect_request(said))
        written = await self._write(reserve_request(said, claim, self.class_of))
        if written is not None and written.status.allocation is None:
            raise NoSuchStep(f"resourceclaim {said.claim} has no devices any more")

    async def _write(self, request: Request) -> ResourceClaim | None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _decoded(await self._sender.send(request))
            except (ServerError, Throttled, TransportError):
                if attempt == ATTEMPTS:
                    raise
                await anyio.sleep(WAIT_S * attempt)
        return None

    async def _look(self, said: DevicesGiven) -> ResourceClaim | None:
        namespace, _, name = said.claim.partition("/")
        try:
            found = _decoded(await self._sender.send(get_object(RESOURCE_CLAIM, name, namespace)))
        except NotFound:
            return None
        return found if found is not None and said.uid in ("", found.metadata.uid) else None

    async def take_back(self, steps: Sequence[Step]) -> None:
        """Undo these, last first, as far as they were done; what cannot be undone now is left to whoever finds it."""
        for step in reversed(steps):
            if step.kind == "devices":
                try:
                    await self._take_back(_read(step))
                except (ApiError, TransportError, Fenced, NoSuchStep):
                    continue

    async def release(self, order: Release) -> None:
        """Take back what a claim was given, unless others use it than the order says. Raises NoSuchStep then."""
        said = DevicesGiven(order.claim, order.uid, "", "")
        claim = await self._look(said)
        expected = {uid: None for uid, _ in order.pods}
        if claim is None or any(each.uid not in expected for each in claim.status.reserved_for):
            raise NoSuchStep(f"resourceclaim {order.claim} is gone, or used by others")
        await self._sender.send(release_request(said, claim))
        await self._sender.send(unprotect_request(said))

    async def _take_back(self, said: DevicesGiven) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            claim = await self._look(said)
            if claim is None or not any(each.uid == said.pod_uid for each in claim.status.reserved_for):
                return
            try:
                last = len(claim.status.reserved_for) == 1 and said.given is not None
                await self._sender.send(release_request(said, claim) if last else leave_request(said))
            except ApiError as error:
                if error.status != 409:
                    raise
                # Somebody else came or went meanwhile.
                await anyio.sleep(WAIT_S * attempt)
            else:
                if last:
                    await self._sender.send(unprotect_request(said))
                return


def _read(step: Step) -> DevicesGiven:
    """What a step says; raises NoSuchStep where somebody's policy has made it up."""
    try:
        return _steps.decode(step.value)
    except msgspec.MsgspecError as error:
        raise NoSuchStep(f"this scheduler knows no such devices step: {step.name}: {error}") from error


def _decoded(body: bytes) -> ResourceClaim | None:
    try:
        return _claims.plain(body)
    except Malformed:
        return None


# -- requests


def _patch(said: DevicesGiven, body: JsonObject, *, status: bool, content: PatchContent = "strategic") -> Request:
    namespace, _, name = said.claim.partition("/")
    body["metadata"] = {**({"uid": said.uid} if said.uid else {}), **body.get("metadata", {})}
    return patch_object(
        RESOURCE_CLAIM, name, body, namespace, subresource="status" if status else None, content=content
    )


def protect_request(said: DevicesGiven) -> Request:
    """Nobody's deletion takes the claim away while it has devices. Lists of finalizers merge."""
    return _patch(said, {"metadata": {"finalizers": [PROTECTION]}}, status=False)


def reserve_request(said: DevicesGiven, claim: ResourceClaim, class_of: Callable[[str], DeviceClass | None]) -> Request:
    """The pod may use the claim, which has these devices. Lists of users merge by uid."""
    status: JsonObject = {"reservedFor": [{"resource": "pods", "name": said.pod, "uid": said.pod_uid}]}
    if said.given is not None:
        status["allocation"] = allocation(said, claim, class_of)
    return _patch(said, {"status": status}, status=True)


def allocation(said: DevicesGiven, claim: ResourceClaim, class_of: Callable[[str], DeviceClass | None]) -> JsonObject:
    """What is given, what drivers must know about it, and where it can be used."""
    results = [
        {"request": request, "driver": driver, "pool": pool, "device": device}
        for request, driver, pool, device in said.given or ()
    ]
    devices: JsonObject = {"results": results}
    config = list(_config(said, claim, class_of))
    if config:
        devices["config"] = config
    found: JsonObject = {"devices": devices}
    if said.nodes:
        found["nodeSelector"] = {"nodeSelectorTerms": [_term(each.labels, each.fields) for each in said.nodes]}
    return found


def _term(labels: Tests, fields: Tests) -> JsonObject:
    parts = (("matchExpressions", labels), ("matchFields", fields))
    return {name: [_test(*each) for each in tests] for name, tests in parts if tests}


def _test(key: str, operator: str, values: tuple[str, ...]) -> JsonObject:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def _config(
    said: DevicesGiven, claim: ResourceClaim, class_of: Callable[[str], DeviceClass | None]
) -> list[JsonObject]:
    """First what classes say, each with its requests, then what the claim says of requests that got something."""
    chosen = dict.fromkeys(request for request, *_ in said.given or ())
    by_class: dict[str, list[str]] = {}
    for each in claim.spec.devices.requests:
        wanted = [("", each.exactly)] if each.exactly is not None else [(sub.name, sub) for sub in each.first_available]
        for name, asked in wanted:
            full = f"{each.name}/{name}" if name else each.name
            if full in chosen and asked is not None:
                by_class.setdefault(asked.device_class_name, []).append(full)
    found: list[JsonObject] = []
    for name, requests in by_class.items():
        known = class_of(name)
        whom = {"requests": requests} if len(requests) < len(claim.spec.devices.requests) else {}
        found += [{"source": "FromClass", **whom, **each} for each in (known.spec.config if known is not None else ())]
    for config in claim.spec.devices.config:
        meant = config.get("requests") or ()
        if not meant or any(each in chosen or any(full.startswith(f"{each}/") for full in chosen) for each in meant):
            found.append({"source": "FromClaim", **config})
    return found


def leave_request(said: DevicesGiven) -> Request:
    """The pod uses the claim no more; others do, or it had its devices before."""
    return _patch(said, {"status": {"reservedFor": [{"$patch": "delete", "uid": said.pod_uid}]}}, status=True)


def release_request(said: DevicesGiven, claim: ResourceClaim) -> Request:
    """Nobody uses the claim: its devices are free again, if nobody has come since `claim` was read."""
    version = {"resourceVersion": claim.metadata.resource_version}
    body: JsonObject = {"metadata": version, "status": {"allocation": None, "reservedFor": None}}
    return _patch(said, body, status=True, content="merge")


def unprotect_request(said: DevicesGiven) -> Request:
    """Without devices it needs no protection."""
    return _patch(said, {"metadata": {"$deleteFromPrimitiveList/finalizers": [PROTECTION]}}, status=False)
