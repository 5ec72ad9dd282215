"""What the going of pods costs, and what it gives back."""

from collections.abc import Sequence

from flowbatch.engine.candidates import Unit
from flowbatch.model.ports import collides
from flowbatch.model.resources import Sums
from flowbatch.model.shapes import Shape
from flowbatch.policy.contract import Ceiling

#: Whole gangs and pods for each member that gains by it, with priority between them; then start and row.
Cost = tuple[float, int, float, int, int]


def cost_of(units: Sequence[Unit], row: int, gain: int = 1) -> Cost:
    """What it costs to have all of `units` go for a place on `row`, where so many members gain by it."""
    if not units:
        return (0, 0, 0, 0, row)
    return (
        sum(unit.whole for unit in units) / gain,
        max(unit.key[1] for unit in units),
        sum(len(unit.tasks) for unit in units) / gain,
        max(unit.key[3] for unit in units),
        row,
    )


def relieves(unit: Unit, ceiling: Ceiling, short: Sums) -> bool:
    """Its going gives back something that the limit lacks."""
    return counts_in(unit, ceiling) and any(axis in short for given in unit.gives.values() for axis in given)


def counts_in(unit: Unit, ceiling: Ceiling) -> bool:
    """What it holds counts against this limit."""
    home = unit.tasks[0].gang.queue if unit.tasks[0].gang else None
    if home is None or ceiling.owner:
        return False
    return home is ceiling.queue if ceiling.own else ceiling.queue in home.path


def take_off(lack: Sums, given: Sums) -> None:
    """What is given is lacked no more."""
    for axis, amount in given.items():
        if axis in lack:
            lack[axis] -= amount
            if lack[axis] <= 0:
                del lack[axis]


def collide(one: Shape, other: Shape) -> bool:
    """Both want a host port that only one of them can have."""
    return any(
        mine[0] == theirs[0] and mine[2] == theirs[2] and collides(mine[1], theirs[1])
        for mine in one.spec.ports
        for theirs in other.spec.ports
    )
