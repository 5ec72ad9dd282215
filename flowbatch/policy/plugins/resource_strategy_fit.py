"""Volcano's resource-strategy-fit plugin: pack some resources, spread others, keep scarce ones for who needs them."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.contract import NodeScore
from flowbatch.policy.parts import Parts
from flowbatch.policy.strategies import LEAST, MOST, Proportional, ResourceStrategies, ScarceAvoidance, Strategy

#: `proportional` counts memory in such units for each scarce one; a Volcano number of 8 means 8 GB.
GIGABYTE = 1_000_000_000


def read(arguments: Arguments) -> Parts:
    """`resourceStrategyFitWeight`, `resources.<name>.{type,weight}`, `sra` and `proportional`, each with `enable`.

    `sra` has `resources`, `weight`, `resourceWeight.<name>`; `proportional` has `resources` and
    `resourceProportion.<name>.cpu` (cores) and `.memory` (GB) per unit.
    """
    weight = arguments.number("resourceStrategyFitWeight", 10)
    scores: list[NodeScore] = []
    strategies = _strategies(arguments.inner("resources"))
    if weight:
        scores.append(ResourceStrategies(weight, strategies) if strategies else ResourceStrategies(weight))
    scarce = _scarce(arguments.inner("sra"))
    if scarce is not None:
        scores.append(scarce)
    kept = _proportional(arguments.inner("proportional"))
    return Parts(scores=tuple(scores), caps=(kept,) if kept is not None else ())


def _strategies(resources: Arguments) -> tuple[Strategy, ...]:
    found: list[Strategy] = []
    for name in list(resources.prefixed("")):
        if "*" in name[:-1] or name == "*":
            resources.problem(name, "may have one * and only at its end", name)
        one = resources.inner(name)
        found.append(Strategy(name, one.text("type", LEAST, among=(LEAST, MOST)), one.number("weight", 1)))
        one.close()
    return tuple(sorted(found, key=lambda each: each.resource))


def _scarce(arguments: Arguments) -> ScarceAvoidance | None:
    enabled = arguments.flag("enable", default=False)
    weight = arguments.number("weight", 10)
    weights = arguments.inner("resourceWeight")
    scarce = tuple((name, weights.number(name, 1)) for name in arguments.words("resources"))
    weights.close()
    arguments.close()
    return ScarceAvoidance(weight, scarce) if enabled and scarce and weight else None


def _proportional(arguments: Arguments) -> Proportional | None:
    enabled = arguments.flag("enable", default=False)
    proportions = arguments.inner("resourceProportion")
    kept = tuple(
        (
            name,
            round(proportions.number(f"{name}.cpu", 1, most=1e6) * 1000),
            round(proportions.number(f"{name}.memory", 1, most=1e6) * GIGABYTE),
        )
        for name in arguments.words("resources")
    )
    proportions.close()
    arguments.close()
    return Proportional(kept) if enabled and kept else None
