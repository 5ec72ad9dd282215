"""Scores and orders of shared devices as Volcano's deviceshare plugin has them, and its lock of a node."""

from dataclasses import dataclass, field

import numpy as np

from flowbatch.model.asks import WHOLE, DeviceAsk
from flowbatch.model.devices import COLUMN_BITS, Bank, Picks, fullest
from flowbatch.model.gangs import Task
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.steps import Step
from flowbatch.model.table import Floats
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Rows, Trend
from flowbatch.policy.deviceids import VGPU


def _placed(shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> tuple[Bank, Picks] | None:
    """The devices of `rows` with one more pod of the shape on them, and which it took; None where it wants none."""
    if not shape.spec.devices or not view.devices:
        return None
    index = np.arange(view.table.size)[rows] if isinstance(rows, slice) else rows
    bank = view.devices.after(shape, view.devices.bank(index), extra)
    _, picks = view.devices.place(shape, bank)
    return bank, picks & ((1 << COLUMN_BITS) - 1)


def _none(rows: Rows, view: ClusterView) -> Floats:
    return np.zeros(view.table.size)[rows]


@dataclass(frozen=True)
class DevicePack:
    """Devices that are fuller with the pod on them (Volcano: deviceshare, SchedulePolicy binpack)."""

    weight: float = 1.0
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """Mean of the used part of the devices it takes: of their memory, or of their compute where they name none."""
        placed = _placed(shape, rows, extra, view)
        if placed is None:
            return _none(rows, view)
        bank, picks = placed
        idle = np.where(bank.most_memory > 0, bank.memory / np.maximum(bank.most_memory, 1), bank.milli / WHOLE)
        used: Floats = np.take_along_axis(1.0 - np.clip(idle, 0.0, 1.0), picks, axis=1).mean(axis=1)
        return used

    def key(self, shape: Shape, ask: DeviceAsk, bank: Bank, view: ClusterView) -> Floats:
        """The fullest first."""
        return fullest(shape, ask, bank)


@dataclass(frozen=True)
class DeviceSpread:
    """Devices that nobody else is on (Volcano: deviceshare, SchedulePolicy spread)."""

    weight: float = 1.0
    trend: Trend = field(default="any", init=False)

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """The part of the devices it takes that it has for itself."""
        placed = _placed(shape, rows, extra, view)
        if placed is None:
            return _none(rows, view)
        bank, picks = placed
        alone: Floats = (np.take_along_axis(bank.sharers, picks, axis=1) == 1).mean(axis=1)
        return alone

    def key(self, shape: Shape, ask: DeviceAsk, bank: Bank, view: ClusterView) -> Floats:
        """The one with fewest pods first, then the emptiest."""
        result: Floats = bank.sharers * 10.0 * WHOLE - fullest(shape, ask, bank)
        return result


@dataclass(frozen=True)
class NodeLock:
    """One binding at a time per node: its device plugin takes the lock off when it has handed the devices out."""

    def steps(self, task: Task, node: Node, view: ClusterView) -> tuple[Step, ...]:
        """The lock, for pods that get devices."""
        asks = task.shape.spec.devices
        return (Step("lock", "hamivgpu" if asks[0].kind == VGPU else "gpu", node.name),) if asks else ()
