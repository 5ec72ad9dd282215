"""Volcano's gang plugin: gangs below their minimum come first, and none gives of it. All or nothing is the engine's."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.ordering import UnreadyFirst
from flowbatch.policy.parts import Parts
from flowbatch.policy.victims import Surplus


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(gang_order=(UnreadyFirst(),), preemptable=(Surplus(),), reclaimable=(Surplus(),))
