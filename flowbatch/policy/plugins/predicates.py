"""Volcano's predicates plugin: which nodes a pod may be on. Readiness, pod counts and ports are always checked."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.contract import NodeFilter, StepSource
from flowbatch.policy.deviceclaims import DeviceClaimFit, DeviceClaimSteps
from flowbatch.policy.nodefit import Schedulable, Selector, Taints
from flowbatch.policy.parts import Parts
from flowbatch.policy.podaffinity import PodAffinity
from flowbatch.policy.spread import TopologySpread
from flowbatch.policy.strategies import Proportional
from flowbatch.policy.volumes import VolumeFit, VolumeSteps

GIGABYTE = 1_000_000_000


def read(arguments: Arguments) -> Parts:
    """`predicate.<X>Enable` switches single checks off.

    Two have no effect: caching is always on, and host ports are the engine's own business, like capacity.
    """
    arguments.flag("predicate.CacheEnable", default=True)
    arguments.flag("predicate.NodePortsEnable", default=True)
    filters: list[NodeFilter] = [Schedulable()]
    steps: list[StepSource] = []
    if arguments.flag("predicate.NodeAffinityEnable", default=True):
        filters.append(Selector())
    if arguments.flag("predicate.TaintTolerationEnable", default=True):
        filters.append(Taints())
    if arguments.flag("predicate.PodAffinityEnable", default=True):
        filters.append(PodAffinity())
    if arguments.flag("predicate.PodTopologySpreadEnable", default=True):
        filters.append(TopologySpread())
    if arguments.flag("predicate.DynamicResourceAllocationEnable", default=False):
        filters.append(DeviceClaimFit())
        steps.append(DeviceClaimSteps())
    volumes, binding = _volumes(arguments)
    kept = _proportions(arguments)
    return Parts(filters=(*filters, *volumes), steps=(*steps, *binding), caps=(Proportional(kept),) if kept else ())


def _volumes(arguments: Arguments) -> tuple[tuple[VolumeFit, ...], tuple[VolumeSteps, ...]]:
    """Three switches, and how long a binding waits for its claims."""
    binding = arguments.flag("predicate.VolumeBindingEnable", default=True)
    zones = arguments.flag("predicate.VolumeZoneEnable", default=True)
    limits = arguments.flag("predicate.NodeVolumeLimitsEnable", default=True)
    timeout_s = arguments.whole("volumebinding.bindTimeoutSeconds", 600, most=86_400)
    fit = (VolumeFit(binding, zones, limits),) if binding or limits else ()
    return fit, (VolumeSteps(timeout_s),) if binding else ()


def _proportions(arguments: Arguments) -> tuple[tuple[str, int, int], ...]:
    """`predicate.resources` and `predicate.resources.<name>.cpu` (cores) and `.memory` (GB) for each idle one."""
    enabled = arguments.flag("predicate.ProportionalEnable", default=False)
    kept = tuple(
        (
            name,
            round(arguments.number(f"predicate.resources.{name}.cpu", 1, most=1e6) * 1000),
            round(arguments.number(f"predicate.resources.{name}.memory", 1, most=1e6) * GIGABYTE),
        )
        for name in arguments.words("predicate.resources")
    )
    return kept if enabled else ()
