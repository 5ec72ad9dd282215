"""Volcano's usage plugin: nodes that are measured to be busy get nothing, idle ones come first."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.nodeusage import LowUsage, UsageLimit
from flowbatch.policy.parts import Parts


def read(arguments: Arguments) -> Parts:
    """`usage.weight`, `cpu.weight`, `memory.weight`, and `thresholds` with `cpu` and `mem` in percent.

    Where measurements come from stands beside the tiers, in `metrics`.
    """
    weight = arguments.number("usage.weight", 5)
    score = LowUsage(weight, arguments.number("cpu.weight", 1), arguments.number("memory.weight", 1))
    limits = arguments.inner("thresholds")
    limit = UsageLimit(limits.number("cpu", 80, most=100), limits.number("mem", 80, most=100))
    limits.close()
    return Parts(filters=(limit,), scores=(score,) if weight else ())
