"""What one pod asks for, in Kubernetes' own quantities and without a float on the way.

A number is kept as its exact text ("0.5" cpu becomes "500m"); a float with no such text (0.1 + 0.2) stays as it is and
`validate()` refuses it with the value that was probably meant.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from flowbatch_dsl.frozen import Map, freeze
from flowbatch_dsl.origin import caller, remember

Amount = str | int | float

GPU = "nvidia.com/gpu"


class Resources(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """`Resources(cpu=2, memory="4Gi", gpu=1)`: requests of each pod of a task.

    cpu in cores, memory in bytes, gpu in devices (`nvidia.com/gpu`). `extra` holds any other resource by its full name;
    names with a slash are extended resources and get an equal limit, as Kubernetes demands. `shm` mounts that much
    memory at /dev/shm, which the data loaders of deep-learning frameworks need.
    """

    cpu: Amount | None = None
    memory: Amount | None = None
    gpu: Amount | None = None
    extra: Mapping[str, Amount] = {}
    shm: Amount | None = None

    def __post_init__(self) -> None:
        remember(self, caller())
        for field in ("cpu", "memory", "gpu", "shm"):
            force_setattr(self, field, exact(getattr(self, field), millis=field == "cpu"))
        if isinstance(self.extra, Mapping):
            force_setattr(self, "extra", freeze(Map((name, exact(value)) for name, value in self.extra.items())))

    def requests(self) -> dict[str, Amount]:
        """All of it by resource name, as in a container's `resources.requests`."""
        named = {"cpu": self.cpu, "memory": self.memory, GPU: self.gpu}
        return {name: value for name, value in named.items() if value is not None} | dict(self.extra)


def exact(value: Any, *, millis: bool = False) -> Any:
    """`value` as quantity text where that loses nothing; else `value` itself, for `validate()` to refuse."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float) or not math.isfinite(value * 1000):
        return value
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    thousandths = round(value * 1000)
    return f"{thousandths}m" if millis and repr(thousandths / 1000) == repr(value) else value
