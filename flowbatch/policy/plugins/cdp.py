"""Volcano's cdp plugin: a pod with `volcano.sh/cooldown-time` is let work that long before it may be evicted."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.victims import Cooldown


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(preemptable=(Cooldown(),), reclaimable=(Cooldown(),))
