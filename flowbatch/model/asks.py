"""Shared devices and cpus of one's own as values: what a node offers, what a pod asks for, and what it holds."""

import msgspec

#: All of a device's compute.
WHOLE = 1000
#: Pods that may share a device that does not say how many.
SLOTS = 100


class MigGroup(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """One way to cut a GPU: the memory of every instance, in MiB, in the order of their places."""

    name: str
    places: tuple[int, ...] = ()


class Device(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """One device of a node. Its place in the node's list is its index; `id` is what annotations call it.

    `kind` separates worlds that never mix ("gpu": Volcano's gpu-memory and gpu-number; "vgpu": HAMi's). `memory` is in
    MiB; compute is always a thousand thousandths. `mode` is how it is cut ("hami-core", "mig").
    """

    id: str
    kind: str = "gpu"
    memory: int = 0
    slots: int = SLOTS
    model: str = ""
    mode: str = ""
    healthy: bool = True
    #: Ways to cut it in hardware; empty: it is shared by amounts.
    groups: tuple[MigGroup, ...] = ()


class DeviceAsk(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """`count` different devices, and of each so many thousandths of its compute and so much memory (MiB or percent).

    `whole`: with nobody else on them. Models match if they contain one of `models` and none of `unwanted`, whatever the
    case of letters; an empty `mode` takes any. Asks of one pod (its containers') may end on the same device.
    """

    kind: str = "gpu"
    count: int = 1
    milli: int = 0
    memory: int = 0
    percent: int = 0
    whole: bool = False
    models: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    mode: str = ""

    def accepts(self, kind: str, model: str, mode: str) -> bool:
        """Whether a device of this description would do, free or not."""
        if kind != self.kind or (self.mode and mode != self.mode):
            return False
        name = model.upper()
        if self.models and not any(each.upper() in name for each in self.models):
            return False
        return not any(each.upper() in name for each in self.unwanted)


class DeviceShare(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """What one pod holds of one device; an instance of one that is cut is named `id[group-place]`."""

    id: str
    milli: int = 0
    memory: int = 0


class NumaAsk(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, cache_hash=True):
    """What a Guaranteed pod asks of its node's topology manager.

    `policy` is the only one that will do ("" for any), `cpus` how many each container has for itself, where some.
    """

    policy: str = ""
    cpus: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """Cpus of its own."""
        return sum(self.cpus)
