"""Volcano's capacity plugin: queues that say themselves what they deserve, in a tree with `enableHierarchy`."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.capacity import Deserved, DeservedOrder, LeafOnly
from flowbatch.policy.gates import QueueOpen, QueueRoom
from flowbatch.policy.lending import Borrowing
from flowbatch.policy.ordering import QueuePriority
from flowbatch.policy.owners import OwnerJobs, OwnerShare
from flowbatch.policy.parts import Parts
from flowbatch.policy.promises import GangRoom
from flowbatch.policy.share import Capability
from flowbatch.policy.victims import OverShare


def read(arguments: Arguments) -> Parts:
    """`ancestorReclaimLevel` (0), and the two switches for quotas of device claims."""
    tree = arguments.hierarchy
    leaf = (LeafOnly(),) if tree else ()
    level = arguments.whole("ancestorReclaimLevel", 0)
    arguments.flag("capacity.DynamicResourceAllocationEnable", default=True)
    arguments.flag("capacity.DRAConsumableCapacityEnable", default=True)
    return Parts(
        queue_order=(QueuePriority(), DeservedOrder(tree)),
        enqueue=(QueueOpen(), *leaf, QueueRoom(), OwnerJobs(), GangRoom()),
        admission=(*leaf, OwnerJobs()),
        limits=(Capability(),),
        reclaimable=(OverShare(),),
        gang_limits=(Borrowing(), OwnerShare()),
        shares=Deserved(tree, level),
    )
