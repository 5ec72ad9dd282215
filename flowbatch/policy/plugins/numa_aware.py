"""Volcano's numa-aware plugin: pods go where their nodes' topology managers will take them."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.numa import FewNumaNodes, NumaAlignment
from flowbatch.policy.parts import Parts


def read(arguments: Arguments) -> Parts:
    """`weight`: how much it counts that a pod's cpus come from few NUMA nodes; 1 where nothing is said."""
    weight = arguments.number("weight", 1)
    return Parts(filters=(NumaAlignment(),), scores=(FewNumaNodes(weight),) if weight else ())
