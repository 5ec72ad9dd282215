"""Volcano's pdb plugin: no eviction that a PodDisruptionBudget would refuse."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.victims import WithinBudget


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(preemptable=(WithinBudget(),), reclaimable=(WithinBudget(),))
