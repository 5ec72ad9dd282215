"""Shared devices on the wire: what a node registers, what a pod's containers ask for, and what a bound pod says it has.

Volcano's GPU sharing: a node's `volcano.sh/gpu-memory` is spread over its `volcano.sh/gpu-number` cards; pods ask for
memory of one card, or for whole cards. HAMi's vGPU: the device plugin registers every card in a node annotation; each
container asks for so many cards and, of each, memory (or a part of it) and compute.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from flowbatch.api.core import Container, Node, PodSpec, ResourceRequirements
from flowbatch.api.quantity import amount
from flowbatch.engine import events
from flowbatch.model.asks import WHOLE, Device, DeviceAsk, DeviceShare, MigGroup
from flowbatch.model.ids import Amounts
from flowbatch.policy import deviceids
from flowbatch.policy.deviceids import GPU, VGPU

GPU_MEMORY: Final = "volcano.sh/gpu-memory"
GPU_NUMBER: Final = "volcano.sh/gpu-number"
GPU_UNHEALTHY: Final = "volcano.sh/gpu-unhealthy-ids"
VGPU_NUMBER: Final = "volcano.sh/vgpu-number"
VGPU_MEMORY: Final = "volcano.sh/vgpu-memory"
VGPU_PERCENT: Final = "volcano.sh/vgpu-memory-percentage"
VGPU_CORES: Final = "volcano.sh/vgpu-cores"
VGPU_REGISTER: Final = "volcano.sh/node-vgpu-register"
VGPU_HANDSHAKE: Final = "volcano.sh/node-vgpu-handshake"
#: Marks of a pod that narrow down which cards would do.
VGPU_MODE: Final = "volcano.sh/vgpu-mode"
USE_TYPE: Final = "nvidia.com/use-gputype"
NO_USE_TYPE: Final = "nvidia.com/nouse-gputype"
MARKS: Final = (VGPU_MODE, USE_TYPE, NO_USE_TYPE)
#: More cards than this on one node are a mistake in somebody's annotation.
MOST_DEVICES: Final = 256
MOST_MIB: Final = 1 << 40
HAMI_CORE, MIG = "hami-core", "mig"
#: Ways to cut a card of some model.
GroupsOf = Callable[[str], tuple[MigGroup, ...]]


def uncut(_model: str) -> tuple[MigGroup, ...]:
    """Nobody knows how to cut anything."""
    return ()


# -- pods


def asks(spec: PodSpec) -> tuple[DeviceAsk, ...]:
    """What a pod asks for of devices. Raises QuantityError."""
    memory, cards = (_of_pod(spec, name) for name in (GPU_MEMORY, GPU_NUMBER))
    found: list[DeviceAsk] = []
    if memory:
        found.append(DeviceAsk(GPU, memory=memory))
    if cards:
        found.append(DeviceAsk(GPU, count=min(cards, MOST_DEVICES + 1), whole=True))
    found.extend(ask for ask in map(_of_container, spec.containers) if ask is not None)
    return tuple(found)


def of_declared(quantities: Mapping[str, str | int | float]) -> tuple[DeviceAsk, ...]:
    """What a member will ask for of which only the sums are known, as if it had one container. Raises QuantityError."""
    if not any(name in quantities for name in (GPU_MEMORY, GPU_NUMBER, VGPU_NUMBER, VGPU_MEMORY)):
        return ()
    return asks(PodSpec(containers=(Container(resources=ResourceRequirements(limits=dict(quantities))),)))


def _of_pod(spec: PodSpec, name: str) -> int:
    """Running containers add up; an init container runs alone."""
    running = sum(_limit(each, name) for each in spec.containers)
    return max(running, max((_limit(each, name) for each in spec.init_containers), default=0))


def _limit(container: Container, name: str) -> int:
    """Extended resources are limits; where only a request is given, that counts."""
    resources = container.resources
    value = resources.limits.get(name, resources.requests.get(name))
    return 0 if value is None else min(max(0, amount(value)), MOST_MIB)


def _of_container(container: Container) -> DeviceAsk | None:
    number, memory, percent, cores = (
        _limit(container, name) for name in (VGPU_NUMBER, VGPU_MEMORY, VGPU_PERCENT, VGPU_CORES)
    )
    if not number and not memory:
        return None
    return DeviceAsk(
        VGPU,
        count=max(1, min(number, MOST_DEVICES + 1)),
        milli=min(cores, 100) * WHOLE // 100,
        memory=memory,
        percent=0 if memory else min(percent or 100, 100),
        whole=cores >= 100,
    )


def requests(named: Amounts, wanted: tuple[DeviceAsk, ...]) -> Amounts:
    """A pod's requests as sums: of each card means of all of them, and parts of an unknown card are left out."""
    vgpu = [ask for ask in wanted if ask.kind == VGPU]
    if not vgpu:
        return named
    sums = {name: units for name, units in named if name not in (VGPU_NUMBER, VGPU_MEMORY, VGPU_PERCENT, VGPU_CORES)}
    sums[VGPU_NUMBER] = sum(ask.count for ask in vgpu)
    sums[VGPU_MEMORY] = sum(ask.count * ask.memory for ask in vgpu)
    sums[VGPU_CORES] = sum(ask.count * (100 if ask.whole else ask.milli * 100 // WHOLE) for ask in vgpu)
    return tuple(sorted((name, units) for name, units in sums.items() if units))


def marks(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Those of a pod's annotations that say which cards would do, in the order of MARKS."""
    return tuple(annotations.get(key, "") for key in MARKS)


@lru_cache(maxsize=4096)
def suited(shape: events.ShapeSpec, said: tuple[str, ...]) -> events.ShapeSpec:
    """`shape` with its vGPU asks narrowed down to cards that would do; equal ones are one object."""
    if not any(said):
        return shape
    mode, use, avoid = said
    narrow = {"mode": mode, "models": _words(use), "unwanted": () if use else _words(avoid)}
    narrowed = (msgspec.structs.replace(ask, **narrow) if ask.kind == VGPU else ask for ask in shape.devices)
    return msgspec.structs.replace(shape, devices=tuple(narrowed))


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def held(shape: events.ShapeSpec, annotations: Mapping[str, str]) -> tuple[DeviceShare, ...]:
    """What a bound pod says it has."""
    return deviceids.read(shape.devices, annotations)


# -- nodes


def of_node(node: Node, capacity: Amounts, groups_of: GroupsOf) -> tuple[Device, ...]:
    """The cards of a node: registered ones, or as many as its resources say. Nonsense is no card."""
    notes = node.metadata.annotations
    if VGPU_REGISTER in notes:
        gone = "Deleted" in notes.get(VGPU_HANDSHAKE, "")
        return () if gone else _registered(notes[VGPU_REGISTER], groups_of)
    has = dict(capacity)
    cards, memory = has.get(GPU_NUMBER, 0), has.get(GPU_MEMORY, 0)
    if not 0 < cards <= MOST_DEVICES:
        return ()
    sick = dict.fromkeys(_words(notes.get(GPU_UNHEALTHY, "")))
    return tuple(Device(str(index), GPU, memory // cards, healthy=str(index) not in sick) for index in range(cards))


def _registered(text: str, groups_of: GroupsOf) -> tuple[Device, ...]:
    """`id,slots,MiB,type,healthy[,mode]` for each card, with colons between.

    A card to be cut of which nobody knows how is shared by amounts, as in Volcano.
    """
    devices: dict[str, Device] = {}
    for item in text.split(":")[:MOST_DEVICES]:
        fields = [field.strip() for field in item.split(",")]
        if len(fields) < 5 or not fields[0] or not (fields[1].isdecimal() and fields[2].isdecimal()):
            continue
        slots, memory = min(int(fields[1]), 10_000), min(int(fields[2]), MOST_MIB)
        mode = fields[5] if len(fields) > 5 and fields[5] else HAMI_CORE
        healthy = fields[4].lower() in ("true", "t", "1")
        groups = groups_of(fields[3]) if mode == MIG else ()
        if mode == MIG and not groups:
            mode = HAMI_CORE
        devices[fields[0]] = Device(fields[0], VGPU, memory, slots, fields[3], mode, healthy, groups)
    return tuple(devices.values())


def with_vgpus(capacity: Amounts, devices: Iterable[Device]) -> Amounts:
    """What a node has in sums: registered cards count even where its kubelet does not report them all."""
    vgpus = [device for device in devices if device.kind == VGPU and device.healthy]
    if not vgpus:
        return capacity
    has = dict(capacity)
    for name, units in (
        (VGPU_NUMBER, sum(device.slots for device in vgpus)),
        (VGPU_MEMORY, sum(device.memory for device in vgpus)),
        (VGPU_CORES, 100 * len(vgpus)),
    ):
        has[name] = max(has.get(name, 0), units)
    return tuple(sorted(has.items()))
