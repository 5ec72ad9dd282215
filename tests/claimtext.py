"""Devices, classes and claims in few words, for tests of the engine.

`slices("n1: a b c model=A")` is a ResourceSlice of node n1 with three devices; `*` as its node makes all nodes reach
them. `ask("2 gpu")` is a claim to two devices of class gpu, `ask("all gpu | 1 cpu")` one with an alternative.
"""

from collections.abc import Iterable

import msgspec

from flowbatch.engine.events import (
    DeviceClaimSeen,
    DeviceClassSeen,
    DeviceSliceSeen,
    Event,
    LabelTest,
    PodSeen,
)
from flowbatch.model.claimasks import Alike, ClaimAsk, ClaimContent, ClaimRequest, Given, PoolDevice, Wish
from tests.textcluster import facts

DRIVER = "d.example"


def devices(words: Iterable[str]) -> tuple[PoolDevice, ...]:
    """Names, then `key=value` for all of them; each passes "any", and each `key=value` as a selector."""
    words = list(words)
    marks = [word for word in words if "=" in word]
    attributes = tuple(sorted((f"{DRIVER}/{mark.partition('=')[0]}", mark.partition("=")[2]) for mark in marks))
    return tuple(PoolDevice(word, attributes, ("any", *marks)) for word in words if "=" not in word)


def slices(*lines: str, driver: str = DRIVER) -> list[Event]:
    """One slice a line: "node: names marks; names marks". `zone:a` is no node but a label of those that reach it."""
    found: list[Event] = []
    for line in lines:
        where, _, text = line.partition(" ")
        where = where.removesuffix(":")
        there = tuple(each for part in text.split(";") for each in devices(part.split()))
        key, _, value = where.partition(":")
        terms = ((LabelTest(key, "In", (value,)),),) if value else ()
        node = "" if value or where == "*" else where
        found.append(DeviceSliceSeen(f"slice-{where}", driver, f"pool-{where}", node=node, terms=terms, devices=there))
    return found


def device_class(name: str = "gpu", *selectors: str) -> DeviceClassSeen:
    return DeviceClassSeen(name, selectors or ("any",))


def ask(*requests: str, alike: str = "") -> ClaimContent:
    """Each request: alternatives with `|` between, each "count class selector..."."""
    found = []
    for place, text in enumerate(requests):
        alternatives = text.split("|")
        wishes = tuple(_wish(each, f"a{n}" if len(alternatives) > 1 else "") for n, each in enumerate(alternatives))
        found.append(ClaimRequest(f"r{place}", wishes))
    return ClaimContent(tuple(found), (Alike(f"{DRIVER}/{alike}"),) if alike else ())


def _wish(text: str, name: str) -> Wish:
    count, device_class, *selectors = text.split()
    return Wish(device_class, 0 if count == "all" else int(count), tuple(selectors), name=name)


def claim(
    name: str, content: ClaimContent, given: str | None = None, node: str = "", **more: object
) -> DeviceClaimSeen:
    """`given` names devices as "pool/device"."""
    named = None if given is None else tuple(Given("r0", DRIVER, *each.split("/")) for each in given.split())
    terms = ((LabelTest("metadata.name", "In", (node,), field=True),),) if node else ()
    return DeviceClaimSeen(f"ns/{name}", f"uid-{name}", content, named, terms, **more)  # type: ignore[arg-type]


def owning(line: str, content: ClaimContent, *, shared: str = "") -> list[Event]:
    """A gang whose pods have a claim of their own each, and the claims; and one that they share, if that is named."""
    found: list[Event] = []
    for event in facts(line):
        if isinstance(event, PodSeen):
            own = f"{event.name}-gpu"
            asks, ids = (ClaimAsk(content),), (f"ns/{own}",)
            requests = (*event.shape.requests, *((f"deviceclass/{name}", n) for name, n in content.counted))
            if shared:
                asks, ids = (*asks, ClaimAsk(claim=f"ns/{shared}", shared=True)), (*ids, f"ns/{shared}")
            shape = msgspec.structs.replace(event.shape, device_claims=asks, requests=tuple(sorted(requests)))
            found += [claim(own, content, own=True), msgspec.structs.replace(event, shape=shape, device_claims=ids)]
        else:
            found.append(event)
    return found


def sharing(line: str, *names: str) -> list[Event]:
    """A gang whose pods all use these claims."""
    found: list[Event] = []
    for event in facts(line):
        if isinstance(event, PodSeen):
            asks = tuple(ClaimAsk(claim=f"ns/{name}", shared=True) for name in names)
            shape = msgspec.structs.replace(event.shape, device_claims=asks)
            ids = tuple(f"ns/{name}" for name in names)
            event = msgspec.structs.replace(event, shape=shape, device_claims=ids)
        found.append(event)
    return found
