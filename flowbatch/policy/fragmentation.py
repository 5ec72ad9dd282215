"""Place shares of devices so that what is left over is still of use to the pods that usually come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from flowbatch.model.asks import WHOLE, DeviceAsk
from flowbatch.model.devices import Bank, fullest
from flowbatch.model.ids import ShapeId
from flowbatch.model.shapes import Shape, ShapeSpec
from flowbatch.model.table import Bools, Floats, Ints
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import ColumnFilter, Extra, Rows, Trend
from flowbatch.policy.nodefit import Schedulable, Selector, Taints
from flowbatch.policy.usable import CPU, MEMORY, Kind, Place, Tables, part_of

#: Kinds of pods looked at; with more, those that ask for least in all are left out.
MOST_KINDS = 1024
#: Losses are thousandths of devices; so many of them move the score by most of its way.
SCALE = 1000.0
#: More than can be lost.
FAR: Final = 1e12
#: What keeps a shape off a node for good.
FILTERS: Final[tuple[ColumnFilter, ...]] = (Schedulable(), Selector(), Taints())


@dataclass(frozen=True)
class Outlook:
    """What is expected to come, as tables, and how much cpu should stay with a thousandth of a device."""

    tables: Tables
    cpu_per_device: float


@dataclass(frozen=True)
class Fragmentation:
    """The node, and the device on it, whose free devices lose least of their use (Weng et al., ATC 2023).

    Four things are added to the paper's method. `scarcity`: shapes that only few of all devices would do for weigh
    more, by all devices over those that would do, to this power, so that others keep off nodes that some must have.
    `strand`: cpu stays where free devices are, `margin` times as much as usually goes with a device, because one
    without cpu is of use to nobody; it weighs little and decides among places that are equal otherwise. `memory`: what
    shapes ask of a node's memory is looked at too. And what comes is learnt from the pods that have been seen.
    """

    weight: float = 1.0
    scarcity: float = 2.0
    strand: float = 0.1
    margin: float = 2.0
    memory: bool = True
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Near one where a place costs little of what is of use, near zero where it costs much."""
        index: Ints = np.arange(view.table.size)[rows] if isinstance(rows, slice) else rows
        outlook = self._outlook(view) if view.devices else None
        if outlook is None:
            return np.zeros(index.size)
        cpu, memory = (_free(name, shape, index, extra, view) for name in (CPU, MEMORY))
        asked = dict(shape.spec.requests)
        cpu_left, memory_left = cpu - asked.get(CPU, 0), memory - asked.get(MEMORY, 0)
        left = self._left(shape, index, extra, view)
        before, after = outlook.tables.at(index, cpu, memory), outlook.tables.at(index, cpu_left, memory_left)
        loss = before.of(left)
        if self.strand:
            free, taken = left.sum(axis=1), sum(ask.count * part for ask, part in _parts(shape, view))
            stranded = _stranded(free - taken, cpu_left, outlook) - _stranded(free, cpu, outlook)
            loss += self.strand * stranded
        loss -= self._usable(shape, left, after, index, extra, view)
        result: Floats = 1.0 / (1.0 + np.exp(np.clip(loss / SCALE, -30.0, 30.0)))
        return result

    def _left(self, shape: Shape, index: Ints, extra: Extra, view: ClusterView) -> Ints:
        """Free parts of devices, given `extra` pods of the shape there."""
        if not shape.spec.devices or (isinstance(extra, int) and not extra):
            return view.devices.parts(index)
        return view.devices.after(shape, view.devices.bank(index), extra).parts()

    def _usable(self, shape: Shape, left: Ints, after: Place, index: Ints, extra: Extra, view: ClusterView) -> Floats:
        """What is of use once the shape has the devices that cost least; anything where it does not fit."""
        asks = _parts(shape, view)
        if not asks:
            return after.of(left)
        ask, part = asks[0]
        if len(asks) == 1 and part == WHOLE:
            # Whole ones are alike: the first so many go.
            whole = left == WHOLE
            return after.of(np.where(whole & (whole.cumsum(axis=1) <= ask.count), 0, left))
        if len(asks) == 1 and ask.count == 1:
            here, lost = _lost(after, left, part)
            here -= np.where(left >= part, lost, FAR).min(axis=1, initial=FAR)
            return here
        bank = view.devices.after(shape, view.devices.bank(index), extra)
        view.devices.place(shape, bank)
        return after.of(bank.parts())

    def key(self, shape: Shape, ask: DeviceAsk, bank: Bank, view: ClusterView) -> Floats:
        """Devices of one node: the one whose share leaves most of use; among equals the fullest."""
        outlook, part = self._outlook(view), _part(ask, view)
        if outlook is None or ask.count > 1 or part == WHOLE:
            return fullest(shape, ask, bank)
        cpu, memory = (_free(name, shape, bank.rows, 1, view) for name in (CPU, MEMORY))
        _, lost = _lost(outlook.tables.at(bank.rows, cpu, memory), bank.parts(), part)
        return lost

    # -- what is expected

    def expected(self, view: ClusterView) -> Mapping[ShapeSpec, float]:
        """Shapes that ask for devices, by how often they come."""
        return view.census.counts

    def _outlook(self, view: ClusterView) -> Outlook | None:
        census, size = view.census, view.table.size
        ready = int(np.count_nonzero(view.table.ready[:size]))
        version = (census.epoch, view.columns.version, view.devices.version, size, ready)
        return census.derived(self, version, lambda: self._look(view))

    def _look(self, view: ClusterView) -> Outlook | None:
        device_memory = view.devices.largest_memory
        counted = self.expected(view)
        if not counted or not view.table.size:
            return None
        weighed = [(spec, count, Kind.of(spec, device_memory, memory=self.memory)) for spec, count in counted.items()]
        weighed.sort(key=lambda each: -each[1] * each[2].count * each[2].part)
        del weighed[MOST_KINDS:]
        kinds = [kind for _, _, kind in weighed]
        often: Floats = np.array([count for _, count, _ in weighed], np.float64)
        admits, pools = self._pools([spec for spec, _, _ in weighed], view)
        weights = self._weights(often, admits, pools, view) if self.scarcity else often
        tables = Tables(kinds, weights / weights.sum(), admits, pools, view.devices.width)
        asked = sum(count * kind.count * kind.part for _, count, kind in weighed)
        cpu = sum(count * kind.cpu for _, count, kind in weighed)
        return Outlook(tables, self.margin * cpu / max(asked, 1.0))

    def _weights(self, often: Floats, admits: Bools, pools: Ints, view: ClusterView) -> Floats:
        """How often each kind comes, and more for those that only few of all devices would do for."""
        there = (view.devices.bank(np.arange(view.table.size)).kind > 0).sum(axis=1)
        by_pool = np.bincount(pools, weights=there, minlength=admits.shape[0])
        suited = by_pool @ admits
        result: Floats = often * (by_pool.sum() / np.maximum(suited, 1.0)) ** self.scarcity
        return result

    def _pools(self, specs: Sequence[ShapeSpec], view: ClusterView) -> tuple[Bools, Ints]:
        """Sets of nodes that admit the same of these specs: [pool, spec], and the pool of each row."""
        masks: list[Bools] = []
        known: dict[object, int] = {}
        which: list[int] = []
        for spec in specs:
            static = (spec.selector, spec.required, spec.tolerations, _wanted(spec))
            if static not in known:
                known[static] = len(masks)
                masks.append(self._mask(spec, view))
            which.append(known[static])
        distinct, pools = np.unique(np.stack(masks, axis=1), axis=0, return_inverse=True)
        return distinct.astype(np.bool_)[:, which], pools.reshape(-1).astype(np.int64)

    def _mask(self, spec: ShapeSpec, view: ClusterView) -> Bools:
        size = view.table.size
        bank = view.devices.bank(np.arange(size))
        mask: Bools = view.table.ready[:size].copy()
        for ask in spec.devices:
            mask &= view.devices.eligible(ask, bank).any(axis=1)
        shape = Shape(ShapeId(-1), spec, request=(), best_effort=False)
        for each in FILTERS:
            for refused, _ in each.refusals(shape, view):
                mask &= ~refused
        return mask


def _wanted(spec: ShapeSpec) -> tuple[object, ...]:
    """Which devices would do at all."""
    return tuple((ask.kind, ask.models, ask.unwanted, ask.mode) for ask in spec.devices)


def _lost(place: Place, left: Ints, part: int) -> tuple[Floats, Floats]:
    """What is of use on each row, and what of it each device would lose, its node included, by giving `part`."""
    each = place.each(left)
    whole = left == WHOLE
    count = whole.sum(axis=1)
    many = place.whole(count)
    here = each.sum(axis=1) + many
    each -= place.each(np.maximum(left - part, 0))
    # One whole device fewer, where it was one.
    each += whole * (many - place.whole(np.maximum(count - 1, 0)))[:, None]
    return here, each


def _parts(shape: Shape, view: ClusterView) -> list[tuple[DeviceAsk, int]]:
    return [(ask, _part(ask, view)) for ask in shape.spec.devices]


def _part(ask: DeviceAsk, view: ClusterView) -> int:
    return part_of(ask, view.devices.largest_memory)


def _stranded(left: Ints, cpu: Ints, outlook: Outlook) -> Floats:
    """Thousandths of free devices that would have no cpu left if all pods were of the usual mixture."""
    per = outlook.cpu_per_device
    result: Floats = np.maximum(left - np.maximum(cpu, 0) / per, 0.0) if per else np.zeros(cpu.size)
    return result


def _column(name: str, view: ClusterView) -> Ints:
    axis = view.axes.find(name)
    assert axis is not None, name
    column: Ints = view.table.free[axis]
    return column


def _free(name: str, shape: Shape, rows: Ints, extra: Extra, view: ClusterView) -> Ints:
    """Free units on each of `rows`, given `extra` more of the shape there."""
    result: Ints = _column(name, view).take(rows) - extra * dict(shape.spec.requests).get(name, 0)
    return result
