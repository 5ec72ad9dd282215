"""Volcano's drf plugin: the gang with the smaller dominant share of the cluster comes first, in a tree also queues."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.hierarchy import HierarchicalShare
from flowbatch.policy.ordering import DominantShare
from flowbatch.policy.parts import Parts
from flowbatch.policy.victims import SmallerShare


def read(arguments: Arguments) -> Parts:
    """It has no arguments. With `enableHierarchy` queues are ordered by their annotations."""
    return Parts(
        gang_order=(DominantShare(),),
        preemptable=(SmallerShare(),),
        queue_order=(HierarchicalShare(),) if arguments.hierarchy else (),
    )
