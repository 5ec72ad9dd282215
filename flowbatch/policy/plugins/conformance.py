"""Volcano's conformance plugin: what keeps the cluster itself alive is never evicted."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.victims import Conformance


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(preemptable=(Conformance(),), reclaimable=(Conformance(),))
