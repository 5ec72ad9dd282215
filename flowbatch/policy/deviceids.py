"""Which devices a pod has, as its annotations say it: written before the binding, read back after a restart.

Two dialects. Volcano's GPU sharing names indices: `volcano.sh/gpu-index: "0,1"`. HAMi's vGPU names each device and what
is taken of it: `volcano.sh/vgpu-ids-new: "GPU-a,NVIDIA,4096,50:;GPU-b,NVIDIA,4096,50:"`, one list for each container
that asks, with a colon after every device.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from flowbatch.model.asks import WHOLE, DeviceAsk, DeviceShare
from flowbatch.model.ids import Instant, NodeName

GPU: Final = "gpu"
VGPU: Final = "vgpu"
GPU_INDEX: Final = "volcano.sh/gpu-index"
PREDICATE_TIME: Final = "volcano.sh/predicate-time"
VGPU_IDS: Final = "volcano.sh/vgpu-ids-new"
VGPU_TO_ALLOCATE: Final = "volcano.sh/devices-to-allocate"
VGPU_NODE: Final = "volcano.sh/vgpu-node"
VGPU_TIME: Final = "volcano.sh/vgpu-time"
BIND_PHASE: Final = "volcano.sh/bind-phase"
BIND_TIME: Final = "volcano.sh/bind-time"


def written(asks: Sequence[DeviceAsk], shares: Sequence[DeviceShare], node: NodeName, now: Instant) -> dict[str, str]:
    """Annotations of a pod that asks for `asks` and holds `shares`, which are in the order of its asks."""
    if not shares:
        return {}
    if asks[0].kind != VGPU:
        return {GPU_INDEX: ",".join(share.id for share in shares), PREDICATE_TIME: str(now * 1_000_000)}
    left = iter(shares)
    lists = ("".join(f"{_vgpu(next(left))}:" for _ in range(ask.count)) for ask in asks)
    ids, seconds = ";".join(lists), str(now // 1000)
    return {
        VGPU_NODE: node,
        VGPU_TIME: seconds,
        VGPU_IDS: ids,
        VGPU_TO_ALLOCATE: ids,
        BIND_PHASE: "allocating",
        BIND_TIME: seconds,
    }


def _vgpu(share: DeviceShare) -> str:
    return f"{share.id},NVIDIA,{share.memory},{share.milli * 100 // WHOLE}"


def read(asks: Sequence[DeviceAsk], annotations: Mapping[str, str]) -> tuple[DeviceShare, ...]:
    """What a pod holds by its annotations; nothing where they make no sense."""
    if not asks:
        return ()
    if asks[0].kind == VGPU:
        return _read_vgpu(annotations.get(VGPU_IDS, ""))
    ids = [each.strip() for each in annotations.get(GPU_INDEX, "").split(",") if each.strip()]
    parts = [ask for ask in asks for _ in range(ask.count)]
    if len(ids) != len(parts) or not all(each.isascii() and each.isdigit() for each in ids):
        return ()
    return tuple(DeviceShare(each, _milli(ask), ask.memory) for each, ask in zip(ids, parts, strict=True))


def _milli(ask: DeviceAsk) -> int:
    return WHOLE if ask.whole else ask.milli


def _read_vgpu(text: str) -> tuple[DeviceShare, ...]:
    shares: list[DeviceShare] = []
    for item in text.replace(";", ":").split(":"):
        fields = item.split(",")
        if len(fields) >= 4 and fields[2].isdecimal() and fields[3].isdecimal():
            shares.append(DeviceShare(fields[0], int(fields[3]) * WHOLE // 100, int(fields[2])))
        elif item:
            return ()
    return tuple(shares)
