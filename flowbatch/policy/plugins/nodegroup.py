"""Volcano's nodegroup plugin: queues by groups of nodes."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.nodegroup import GroupAffinity, GroupLimits, GroupPreference
from flowbatch.policy.parts import Parts


def read(arguments: Arguments) -> Parts:
    """`strict` (true), and `enableHierarchy` beside the arguments: queues inherit from the nearest one above them."""
    inherit = arguments.hierarchy
    return Parts(
        filters=(GroupAffinity(arguments.flag("strict", default=True), inherit),),
        caps=(GroupLimits(),),
        scores=(GroupPreference(inherit),),
    )
