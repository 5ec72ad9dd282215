"""Volcano's proportion plugin: the cluster is divided between queues by weight."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.gates import QueueOpen, QueueRoom
from flowbatch.policy.ordering import LeastServed, QueuePriority
from flowbatch.policy.plugins.parts import Parts
from flowbatch.policy.share import Capability, FairShare, Proportion


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(
        queue_order=(QueuePriority(), LeastServed()),
        enqueue=(QueueOpen(), QueueRoom()),
        limits=(Capability(), FairShare()),
        shares=Proportion(),
    )
