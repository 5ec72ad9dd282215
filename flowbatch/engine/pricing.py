"""Who must go for one more on a row, and what that costs."""

from collections.abc import Sequence

import numpy as np

from flowbatch.engine.candidates import Unit
from flowbatch.engine.costs import Cost, cost_of, take_off
from flowbatch.engine.outlook import Outlook
from flowbatch.model.gangs import Task
from flowbatch.model.resources import Sums, add
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState


class Pricing:
    """Looks at one row after the other, under one outlook."""

    def __init__(self, state: ClusterState, outlook: Outlook, by_row: dict[int, list[Unit]]) -> None:
        self._state = state
        self._outlook = outlook
        #: Who may go, cheapest first; the search strikes off and adds.
        self._by_row = by_row

    def cost(self, row: int, shape: Shape, count: int) -> Cost | None:
        """Of one more on `row`, where `count` are still to be placed; None where nobody's going would do."""
        units = self.enough(row, shape)
        return None if units is None else self.price(units, row, shape, count)

    def enough(self, row: int, shape: Shape) -> list[Unit] | None:
        """The cheapest units whose going makes room for one more on `row`; None where that is not possible."""
        lack = {
            axis: short
            for axis, amount in shape.request
            if (short := amount - int(self._outlook.future[axis][row])) > 0
        }
        units = self._by_row.get(row, [])
        chosen: list[Unit] = []
        if shape.spec.ports:
            if row in self._outlook.ported:
                return None
            holders = self._outlook.holders(row, shape)
            chosen = [unit for unit in units if unit.there and any(task in unit.tasks for task in holders)]
            if any(not any(task in unit.tasks for unit in chosen) for task in holders):
                return None
        pinned = len(chosen)
        for unit in chosen:
            take_off(lack, unit.gives[row])
        for unit in units:
            if not lack:
                break
            if unit.there and unit not in chosen[:pinned] and any(axis in lack for axis in unit.gives[row]):
                chosen.append(unit)
                take_off(lack, unit.gives[row])
        if lack or (self._state.pieces.count(shape) and not self._free_pieces(row, shape, units, chosen)):
            return None
        if shape.spec.device_claims and not self._free_claims(row, shape, units, chosen):
            return None
        return self._thin(row, shape, chosen, pinned)

    def price(self, units: Sequence[Unit], row: int, shape: Shape, count: int) -> Cost:
        """What one more on `row` costs, where `count` are still to be placed: a whole gang makes room elsewhere too."""
        gain = self._gain(units, shape, count) if any(unit.whole for unit in units) else 1
        return cost_of(units, row, max(1, gain))

    def _gain(self, units: Sequence[Unit], shape: Shape, count: int) -> int:
        gives: dict[int, Sums] = {}
        for unit in units:
            for row, given in unit.gives.items():
                add(gives.setdefault(row, {}), given.items())
        gain = 0
        for row, given in gives.items():
            room = [
                (int(self._outlook.future[axis][row]), given.get(axis, 0), amount) for axis, amount in shape.request
            ]
            before = min(free // amount for free, _, amount in room)
            gain += min((free + more) // amount for free, more, amount in room) - max(0, before)
            if gain >= count:
                return count
        return gain

    def _free_pieces(self, row: int, shape: Shape, units: Sequence[Unit], chosen: list[Unit]) -> bool:
        """Add those to `chosen` who must go besides, until the row has devices and cpus for one more, if ever."""
        for unit in units:
            if self._pieces_fit(row, shape, chosen):
                return True
            if unit.there and unit not in chosen and self._holders(row, unit):
                chosen.append(unit)
        return self._pieces_fit(row, shape, chosen)

    def _free_claims(self, row: int, shape: Shape, units: Sequence[Unit], chosen: list[Unit]) -> bool:
        """The same for devices that are claimed."""
        for unit in units:
            if self._claims_fit(row, shape, chosen):
                return True
            if unit.there and unit not in chosen and any(task.fact.device_claims for task in unit.tasks):
                chosen.append(unit)
        return self._claims_fit(row, shape, chosen)

    def _claims_fit(self, row: int, shape: Shape, gone: Sequence[Unit]) -> bool:
        """One more finds devices on the row once these units, and the claims that they alone use, are gone."""
        claims = self._state.device_claims
        users = [task.fact.device_claims for unit in gone if unit.there for task in unit.tasks]
        for each in users:
            claims.suppose(each, -1)
        fits = bool(claims.limit_at(shape, np.array([row]), np.ones(1, np.int64))[0])
        for each in users:
            claims.suppose(each, 1)
        return fits

    def _holders(self, row: int, unit: Unit) -> list[Task]:
        """Who of a unit has devices or cpus of his own on the row."""
        tasks = (task for task in unit.tasks if self._state.pieces.counted(task))
        return [task for task in tasks if task.node is not None and task.node.row == row]

    def _pieces_fit(self, row: int, shape: Shape, gone: Sequence[Unit]) -> bool:
        """The row has devices and cpus for one more once these units are gone."""
        pieces = self._state.pieces
        tasks = [task for unit in gone if unit.there for task in self._holders(row, unit)]
        for task in tasks:
            pieces.suppose_gone(task)
        fits = bool(pieces.count_at(shape, np.array([row]), np.ones(1, np.int64))[0])
        for task in tasks:
            pieces.suppose_gone(task, -1)
        return fits

    def _thin(self, row: int, shape: Shape, chosen: list[Unit], pinned: int) -> list[Unit]:
        """Without those that turn out not to be needed, the dearest first."""
        spare: Sums = {axis: int(self._outlook.future[axis][row]) - amount for axis, amount in shape.request}
        for unit in chosen:
            for axis in spare:
                spare[axis] += unit.gives[row].get(axis, 0)
        counted = self._state.pieces.count(shape)
        kept: list[Unit] = []
        gone: list[Unit] = []
        for unit in reversed(chosen[pinned:]):
            given = unit.gives[row]
            picky = counted or shape.spec.device_claims
            left = [other for other in chosen if other is not unit and other not in gone] if picky else []
            useless = not counted or self._pieces_fit(row, shape, left)
            useless = useless and (not shape.spec.device_claims or self._claims_fit(row, shape, left))
            if useless and all(spare[axis] >= given.get(axis, 0) for axis in spare):
                gone.append(unit)
                for axis in spare:
                    spare[axis] -= given.get(axis, 0)
            else:
                kept.append(unit)
        return [*chosen[:pinned], *reversed(kept)]
