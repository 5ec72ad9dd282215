"""Volcano's rescheduling plugin: strategies by which running pods are moved, asked by the shuffle action."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.rescheduling import CRITICAL, LowNodeUtilization, Percents


def read(arguments: Arguments) -> Parts:
    """`interval` ("5m"), `metricsPeriod`, and `strategies`: a list of `name` with `params`.

    Of `lowNodeUtilization`: `thresholds` and `targetThresholds` with `cpu`, `memory` and `pods` in percent, `nodeFit`,
    `thresholdPriority`. How long measurements are averaged is the source's business.
    """
    every_ms = arguments.duration_ms("interval", 300_000, least=1)
    arguments.duration_ms("metricsPeriod", 300_000, least=1)
    strategies = arguments.inners("strategies")
    if not strategies:
        return Parts(shufflers=(LowNodeUtilization(every_ms=every_ms),))
    found: list[LowNodeUtilization] = []
    for strategy in strategies:
        strategy.text("name", "lowNodeUtilization", among=("lowNodeUtilization",))
        params = strategy.inner("params")
        found.append(_low_node_utilization(params, every_ms))
        params.close()
        strategy.close()
    return Parts(shufflers=tuple(found))


def _low_node_utilization(params: Arguments, every_ms: int) -> LowNodeUtilization:
    params.text("thresholdPriorityClassName", "system-cluster-critical", among=("system-cluster-critical",))
    return LowNodeUtilization(
        thresholds=_percents(params.inner("thresholds")),
        targets=_percents(params.inner("targetThresholds")),
        below_priority=params.whole("thresholdPriority", CRITICAL, most=2 * CRITICAL),
        node_fit=params.flag("nodeFit", default=True),
        every_ms=every_ms,
    )


def _percents(arguments: Arguments) -> Percents:
    # Volcano reads the number of pods and compares it with nothing.
    arguments.number("pods", 100, most=100)
    percents = Percents(arguments.number("cpu", 100, most=100), arguments.number("memory", 100, most=100))
    arguments.close()
    return percents
