"""Volcano's task-topology plugin: which tasks of a job should share nodes, and which should not."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.tasktopology import BucketScore, SideBySide


def read(arguments: Arguments) -> Parts:
    """`task-topology.weight`."""
    weight = arguments.number("task-topology.weight", 1)
    return Parts(buckets=SideBySide(), scores=(BucketScore(2 * weight),) if weight else ())
