"""Volcano's deviceshare plugin: how shared devices are ranked. That they are never given twice is the engine's."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.devicescores import DevicePack, DeviceSpread, NodeLock
from flowbatch.policy.fragmentation import Fragmentation
from flowbatch.policy.parts import Parts

PREFIX = "deviceshare."
KINDS = ("GPUSharing", "GPUNumber", "VGPU")
ASCEND = ("AscendVNPUEnable", "AscendMindClusterVNPUEnable", "AscendHAMiVNPUEnable")


def read(arguments: Arguments) -> Parts:
    """Switches of kinds, `SchedulePolicy` with `ScheduleWeight`, `NodeLockEnable`, and where MIG geometries stand.

    A kind needs no switch here: nodes that register devices share them, whatever the kind. Contradictions are still
    mistakes, and so is a kind that flowbatch does not know.
    """
    sharing, number, vgpu = (
        arguments.flag(f"{PREFIX}{name}", default=False)
        for name in ("GPUSharingEnable", "GPUNumberEnable", "VGPUEnable")
    )
    if sharing and number:
        arguments.problem(f"{PREFIX}GPUNumberEnable", "cannot be true together with GPUSharingEnable")
    if vgpu and (sharing or number):
        arguments.problem(f"{PREFIX}VGPUEnable", "cannot be true together with GPUSharingEnable or GPUNumberEnable")
    for name in ASCEND:
        if arguments.flag(f"{PREFIX}{name}", default=False):
            arguments.problem(f"{PREFIX}{name}", "flowbatch does not know Ascend devices", hint="leave it out")
    name, namespace = (arguments.text(f"{PREFIX}KnownGeometriesCM{what}") for what in ("Name", "Namespace"))
    locked = arguments.flag(f"{PREFIX}NodeLockEnable", default=False)
    order = _order(arguments)
    return Parts(
        scores=(order,) if order is not None and order.weight else (),
        devices=order,
        geometries=(name, namespace) if name or namespace else None,
        steps=(NodeLock(),) if locked else (),
    )


def _order(arguments: Arguments) -> DevicePack | DeviceSpread | Fragmentation | None:
    """`ScheduleWeight` is zero unless said, as in Volcano: then only the choice of a device follows the policy."""
    weight = arguments.number(f"{PREFIX}ScheduleWeight", 0)
    match arguments.text(f"{PREFIX}SchedulePolicy", among=("binpack", "spread", "fragmentation")):
        case "binpack":
            return DevicePack(weight)
        case "spread":
            return DeviceSpread(weight)
        case "fragmentation":
            return Fragmentation(weight)
        case _:
            return None
