"""Volcano's predicates plugin: which nodes a pod may be on. Readiness, pod counts and ports are always checked."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.contract import NodeFilter
from flowbatch.policy.nodefit import Schedulable, Selector, Taints
from flowbatch.policy.plugins.parts import Parts


def read(arguments: Arguments) -> Parts:
    """`predicate.<X>Enable` switches single checks off; caching is always on, whatever `predicate.CacheEnable` says."""
    arguments.flag("predicate.CacheEnable", default=True)
    filters: list[NodeFilter] = [Schedulable()]
    if arguments.flag("predicate.NodeAffinityEnable", default=True):
        filters.append(Selector())
    arguments.flag("predicate.NodePortsEnable", default=True)
    if arguments.flag("predicate.TaintTolerationEnable", default=True):
        filters.append(Taints())
    return Parts(filters=tuple(filters))
