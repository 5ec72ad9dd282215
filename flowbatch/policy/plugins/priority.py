"""Volcano's priority plugin: gangs and tasks of higher priority come first."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.ordering import Priority
from flowbatch.policy.parts import Parts
from flowbatch.policy.victims import LowerPriority


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(gang_order=(Priority(),), preemptable=(LowerPriority(),))
