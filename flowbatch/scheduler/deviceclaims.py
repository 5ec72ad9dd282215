"""Claims to devices, their classes and pools: wire objects in, facts out; and how a pod asks for its claims.

Selectors are evaluated here, once for each device; the engine is told which device passes which. What this scheduler
does not give (admin access, shares of devices, partitions) is refused by name, or not offered.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from flowbatch.api.core import Pod, PodResourceClaim
from flowbatch.api.resource import (
    Device,
    DeviceClass,
    DeviceRequest,
    DeviceSelector,
    ExactDeviceRequest,
    ResourceClaim,
    ResourceClaimSpec,
    ResourceSlice,
)
from flowbatch.engine import events
from flowbatch.model.claimasks import Alike, ClaimAsk, ClaimContent, ClaimRequest, Given, PoolDevice, Wish
from flowbatch.model.ids import NodeName, PodUid
from flowbatch.model.resources import device_axis
from flowbatch.scheduler.selectors import Selectors
from flowbatch.scheduler.volumes import selector_terms

#: Distinct contents remembered; past it the memory starts afresh.
REMEMBERED: Final = 4_096

_encode = msgspec.json.Encoder().encode


class Contents:
    """Reads what claims ask for, equal claims once; selectors are mentioned on the way."""

    def __init__(self, selectors: Selectors) -> None:
        self._selectors = selectors
        self._known: dict[bytes, ClaimContent] = {}

    def of(self, spec: ResourceClaimSpec) -> ClaimContent:
        """What a claim asks for, with the first thing in it that cannot be given."""
        key = _encode((spec.devices.requests, spec.devices.constraints))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[key] = self._read(spec)
        return known

    def _read(self, spec: ResourceClaimSpec) -> ClaimContent:
        requests = tuple(
            ClaimRequest(each.name, tuple(_wish(name, asked) for name, asked in alternatives(each)))
            for each in spec.devices.requests
        )
        alike = tuple(Alike(each.match_attribute, each.requests) for each in spec.devices.constraints)
        return ClaimContent(requests, alike, next(self._problems(spec), ""))

    def _problems(self, spec: ResourceClaimSpec) -> Iterator[str]:
        for each in spec.devices.requests:
            found = list(alternatives(each))
            if not found:
                yield f'request "{each.name}" asks for nothing that this scheduler knows'
            for _, asked in found:
                yield from (f'request "{each.name}": {problem}' for problem in self._troubles(asked))
        for constraint in spec.devices.constraints:
            if constraint.distinct_attribute or not constraint.match_attribute:
                yield "only constraints with matchAttribute are known to this scheduler"

    def _troubles(self, asked: ExactDeviceRequest) -> Iterator[str]:
        if asked.admin_access:
            yield "this scheduler gives no admin access"
        if asked.capacity is not None:
            yield "this scheduler gives whole devices, no capacity of them"
        if asked.allocation_mode not in ("", "ExactCount", "All"):
            yield f'allocationMode "{asked.allocation_mode}" is not known'
        yield from self.problems(asked.selectors)

    def problems(self, selectors: Iterable[DeviceSelector]) -> Iterator[str]:
        """What is wrong with some selectors; all of them are mentioned."""
        for each in selectors:
            if each.cel is None:
                yield "a selector without a CEL expression is not known"
            elif problem := self._selectors.mention(each.cel.expression):
                yield problem


def alternatives(request: DeviceRequest) -> Iterator[tuple[str, ExactDeviceRequest]]:
    """(name of the subrequest, what it asks for); an exact request has no name besides its own."""
    if request.exactly is not None:
        yield "", request.exactly
    else:
        yield from ((each.name, each) for each in request.first_available)


def _wish(name: str, asked: ExactDeviceRequest) -> Wish:
    return Wish(
        device_class=asked.device_class_name,
        count=0 if asked.allocation_mode == "All" else max(1, asked.count),
        selectors=_texts(asked.selectors),
        tolerations=tuple((each.key, each.operator or "Equal", each.value, each.effect) for each in asked.tolerations),
        name=name,
    )


def _texts(selectors: Iterable[DeviceSelector]) -> tuple[str, ...]:
    return tuple(each.cel.expression for each in selectors if each.cel is not None)


# -- facts


def class_fact(each: DeviceClass, contents: Contents) -> events.DeviceClassSeen:
    """A class; its selectors are mentioned."""
    selectors = each.spec.selectors
    return events.DeviceClassSeen(each.metadata.name, _texts(selectors), next(contents.problems(selectors), ""))


def slice_fact(each: ResourceSlice, selectors: Selectors) -> events.DeviceSliceSeen:
    """A slice, with what each of its devices passes."""
    spec = each.spec
    offered = () if spec.per_device_node_selection else spec.devices
    return events.DeviceSliceSeen(
        name=each.metadata.name,
        driver=spec.driver,
        pool=spec.pool.name,
        generation=spec.pool.generation,
        slices=spec.pool.resource_slice_count,
        node=NodeName(spec.node_name),
        terms=selector_terms(spec.node_selector) if spec.node_selector is not None else (),
        devices=tuple(
            PoolDevice(
                name=device.name,
                attributes=_attributes(spec.driver, device),
                passes=selectors.passed(each, device),
                taints=tuple((taint.key, taint.value, taint.effect) for taint in device.taints),
            )
            for device in offered
            if is_whole(device)
        ),
    )


def is_whole(device: Device) -> bool:
    """It is given to one claim as it is: it shares nothing, is not given in parts, and needs nothing to be ready."""
    shared = device.consumes_counters or device.allow_multiple_allocations
    return not (shared or device.binds_to_node or device.binding_conditions)


def _attributes(driver: str, device: Device) -> tuple[tuple[str, str], ...]:
    """Under full names, values told apart by their types."""
    found: dict[str, str] = {}
    for name, value in device.attributes.items():
        typed = (("s", value.string), ("i", value.whole), ("b", value.truth), ("v", value.version))
        for kind, each in typed:
            if each is not None:
                found[name if "/" in name else f"{driver}/{name}"] = f"{kind}:{each}"
    return tuple(sorted(found.items()))


def claim_fact(claim: ResourceClaim, contents: Contents) -> events.DeviceClaimSeen:
    """A claim, with what it was given and who may use it."""
    meta, allocation = claim.metadata, claim.status.allocation
    given: tuple[Given, ...] | None = None
    terms: tuple[events.Term, ...] = ()
    if allocation is not None:
        # Whoever has admin access takes nothing from others.
        results = [each for each in allocation.devices.results if not each.admin_access]
        given = tuple(Given(each.request, each.driver, each.pool, each.device) for each in results)
        terms = selector_terms(allocation.node_selector) if allocation.node_selector is not None else ()
    return events.DeviceClaimSeen(
        id=meta.key,
        uid=meta.uid,
        content=contents.of(claim.spec),
        given=given,
        terms=terms,
        reserved=tuple(PodUid(each.uid) for each in claim.status.reserved_for),
        deleting=meta.deletion_timestamp is not None,
        own=any(owner.kind == "Pod" and owner.controller for owner in meta.owner_references),
    )


# -- pods


class Asked(NamedTuple):
    """How one pod asks for its claims, and which those are; nothing where it has none."""

    asks: tuple[ClaimAsk, ...]
    ids: tuple[str, ...]


class Known(NamedTuple):
    """Where claims are found, and whether a template exists (None: nobody can tell), both by key."""

    claim: Callable[[str], ResourceClaim | None]
    template: Callable[[str], bool | None]


def asked_by(pod: Pod, known: Known, contents: Contents) -> Asked:
    """Each claim once, in the order of the pod's own list."""
    found: dict[str, ClaimAsk] = {}
    for place, entry in enumerate(pod.spec.resource_claims):
        if entry.resource_claim_name:
            claim = f"{pod.metadata.namespace}/{entry.resource_claim_name}"
            found[claim] = ClaimAsk(claim=claim, shared=True)
        else:
            own = _own(pod, entry, known, contents)
            if own is not None:
                claim, ask = own
                found[claim or f"\0{place}"] = ask
    return Asked(tuple(found.values()), tuple("" if each.startswith("\0") else each for each in found))


def _own(pod: Pod, entry: PodResourceClaim, known: Known, contents: Contents) -> tuple[str, ClaimAsk] | None:
    """The claim that was made for one entry; None where none is needed."""
    namespace = pod.metadata.namespace
    said = next((each for each in pod.status.resource_claim_statuses if each.name == entry.name), None)
    if said is None:
        template = entry.resource_claim_template_name
        there = known.template(f"{namespace}/{template}")
        why = "" if there is not False else f': resourceclaimtemplate "{template}" not found'
        return "", ClaimAsk(missing=f'resource claim "{entry.name}" is not made yet{why}')
    if not said.resource_claim_name:
        return None
    key = f"{namespace}/{said.resource_claim_name}"
    claim = known.claim(key)
    if claim is None:
        return key, ClaimAsk(claim=key)
    if not any(owner.uid == pod.metadata.uid for owner in claim.metadata.owner_references):
        return "", ClaimAsk(missing=f'resourceclaim "{said.resource_claim_name}" was not made for this pod')
    if claim.status.allocation is not None and not pod.spec.node_name:
        return key, ClaimAsk(claim=key)
    return key, ClaimAsk(contents.of(claim.spec))


def with_claims(fact: events.PodSeen, pod: Pod, known: Known, contents: Contents) -> events.PodSeen:
    """The pod, asking for its claims. Queues count the devices of its own ones with it."""
    asked = asked_by(pod, known, contents)
    counted: dict[str, int] = {}
    for key, ask in zip(asked.ids, asked.asks, strict=True):
        claim = known.claim(key) if key and not ask.shared else None
        for name, count in contents.of(claim.spec).counted if claim is not None else ():
            counted[device_axis(name)] = counted.get(device_axis(name), 0) + count
    shape = _claiming(fact.shape, asked.asks, tuple(sorted(counted.items())))
    return msgspec.structs.replace(fact, shape=shape, device_claims=asked.ids)


@lru_cache(maxsize=4096)
def _claiming(
    shape: events.ShapeSpec, asks: tuple[ClaimAsk, ...], counted: tuple[tuple[str, int], ...]
) -> events.ShapeSpec:
    """`shape` with claims; equal ones are one object."""
    requests = tuple(sorted((*shape.requests, *counted)))
    return msgspec.structs.replace(shape, device_claims=asks, requests=requests)
