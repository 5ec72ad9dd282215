"""Volcano's proportion plugin: the cluster is divided between queues by weight."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.gates import QueueOpen, QueueRoom
from flowbatch.policy.lending import Borrowing
from flowbatch.policy.ordering import LeastServed, QueuePriority
from flowbatch.policy.owners import OwnerJobs, OwnerShare
from flowbatch.policy.parts import Parts
from flowbatch.policy.promises import GangRoom
from flowbatch.policy.share import Capability, FairShare, Proportion
from flowbatch.policy.victims import OverShare


def read(arguments: Arguments) -> Parts:
    """It has no arguments. With `enableHierarchy` what a queue gets is divided between its children."""
    return Parts(
        queue_order=(QueuePriority(), LeastServed()),
        enqueue=(QueueOpen(), QueueRoom(), OwnerJobs(), GangRoom()),
        admission=(OwnerJobs(),),
        limits=(Capability(), FairShare()),
        reclaimable=(OverShare(),),
        gang_limits=(Borrowing(), OwnerShare()),
        shares=Proportion(tree=arguments.hierarchy),
    )
