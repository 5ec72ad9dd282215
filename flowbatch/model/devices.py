"""Devices that pods share, one by one: what of each GPU is free, beside the node's columns.

A node's sum says nothing about a share of one device: 0.4 free on each of two GPUs is no 0.8. So free compute, memory
and places are kept per device, in arrays [row, device]; a shape's asks are matched against them, tentative placements
take from them, and a kept one names the devices it took. What a bound pod holds is read from the pod itself, so a
restarted scheduler knows it again. Arrays exist only once a node has devices; without any this costs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flowbatch.model.asks import WHOLE, Device, DeviceAsk, DeviceShare
from flowbatch.model.ids import Row
from flowbatch.model.mig import Cut, Cuts, memory_at, spot_name
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Floats, Ints

#: Which devices one pod took: columns, in the order of its asks. [pod, device]
Picks = NDArray[np.int64]
#: (shape, ask, devices) -> a number for each device, smaller is better; where it may not be is not looked at.
DeviceOrder = Callable[[Shape, DeviceAsk, "Bank"], Floats]

COLUMNS = ("milli", "memory", "slots", "sharers", "most_memory", "most_slots", "kind", "cut")
#: Picks are columns, and above these bits the spot of an instance where the device is cut.
COLUMN_BITS = 16


@dataclass(slots=True)
class Bank:
    """The devices of some rows, as arrays [row, device]: a copy to try things on, or views of the books themselves."""

    rows: Ints
    #: Free thousandths of compute, MiB of memory and places for pods.
    milli: Ints
    memory: Ints
    slots: Ints
    #: Pods on it.
    sharers: Ints
    most_memory: Ints
    most_slots: Ints
    #: 0: no device; else what `DeviceTable.kinds` has there.
    kind: Ints
    #: 0: shared by amounts; else its state in `DeviceTable.cuts`.
    cut: Ints

    def only(self, which: Bools) -> "Bank":
        """A copy of some of its rows."""
        return Bank(self.rows[which], *(getattr(self, name)[which] for name in COLUMNS))

    def parts(self) -> Ints:
        """The free part of each device in thousandths, by whatever is scarcer on it; a thousand is a whole one."""
        left = self.milli
        if self.most_memory.any():
            left = np.minimum(left, self.memory * WHOLE // np.maximum(self.most_memory, 1))
        result: Ints = np.where((self.kind > 0) & (self.slots > 0), left, 0).clip(0, WHOLE)
        return result

    def memory_of(self, ask: DeviceAsk) -> Ints | int:
        """MiB that `ask` would take of each device."""
        return self.most_memory * ask.percent // 100 if ask.percent else ask.memory

    def take(self, where: tuple[Ints, Ints], ask: DeviceAsk, memory: Ints | int) -> None:
        """One pod more for `ask` on each of these (row, device)."""
        self.milli[where] -= WHOLE if ask.whole else ask.milli
        self.memory[where] -= memory
        self.slots[where] -= 1
        self.sharers[where] += 1


class DeviceTable:
    """Shared devices of all nodes. Rows are the node table's."""

    def __init__(self) -> None:
        empty = np.zeros((0, 0), np.int64)
        self._bank = Bank(np.zeros(0, np.int64), *(empty.copy() for _ in COLUMNS))
        self._parts: Ints = empty
        #: Device ids of a row, by column.
        self._ids: dict[Row, dict[str, int]] = {}
        self._devices: dict[Row, tuple[Device, ...]] = {}
        #: Distinct (kind, model, mode) of healthy devices; index 0 is "none".
        self.kinds: list[tuple[str, str, str]] = [("", "", "")]
        self.cuts = Cuts()
        #: How a policy ranks the devices of a node for one pod.
        self.order: DeviceOrder = fullest
        #: Grows whenever devices of a node come, change or go.
        self.version = 0
        #: MiB of the largest device there ever was.
        self.largest_memory = 0

    def __bool__(self) -> bool:
        return bool(self._devices)

    @property
    def width(self) -> int:
        """Devices of the node that has most."""
        return int(self._bank.milli.shape[1])

    def of(self, row: Row) -> tuple[Device, ...]:
        """The devices of one node."""
        return self._devices.get(row, ())

    def all(self) -> Bank:
        """Every row there is, not copied: read only."""
        return self._bank

    def bank(self, rows: Ints) -> Bank:
        """A copy of these rows."""
        self._reach(int(rows.max(initial=-1)) + 1)
        return Bank(rows, *(getattr(self._bank, name).take(rows, axis=0) for name in COLUMNS))

    def parts(self, rows: Ints) -> Ints:
        """`Bank.parts` of these rows, kept up to date rather than worked out."""
        self._reach(int(rows.max(initial=-1)) + 1)
        result: Ints = self._parts.take(rows, axis=0)
        return result

    # -- nodes

    def set(self, row: Row, devices: tuple[Device, ...], held: Sequence[tuple[DeviceShare, ...]]) -> None:
        """A node's devices as they now are, and what the pods on it hold of them."""
        if not devices and row not in self._devices:
            return
        self.version += 1
        self._reach(row + 1, len(devices))
        for name in COLUMNS:
            getattr(self._bank, name)[row] = 0
        self._parts[row] = 0
        self._devices.pop(row, None)
        self._ids.pop(row, None)
        if not devices:
            return
        self.largest_memory = max(self.largest_memory, *(device.memory for device in devices))
        self._devices[row] = devices
        self._ids[row] = {device.id: column for column, device in enumerate(devices)}
        bank = self._bank
        for column, device in enumerate(devices):
            bank.milli[row, column] = WHOLE
            bank.memory[row, column] = bank.most_memory[row, column] = device.memory
            bank.slots[row, column] = bank.most_slots[row, column] = device.slots
            bank.kind[row, column] = self._kind(device) if device.healthy else 0
            bank.cut[row, column] = self.cuts.number(Cut(device.groups)) if device.groups else 0
        for shares in held:
            self.hold(row, shares)
        self._recount(np.array([row]))

    def _kind(self, device: Device) -> int:
        what = (device.kind, device.model, device.mode)
        if what not in self.kinds:
            self.kinds.append(what)
        return self.kinds.index(what)

    def _reach(self, rows: int, width: int = 0) -> None:
        """Have so many rows and columns at least."""
        size, most = self._bank.milli.shape
        if rows <= size and width <= most:
            return
        rows, width = max(rows, 2 * size if rows > size else size), max(width, most)
        more = ((0, rows - size), (0, width - most))
        self._bank = Bank(np.arange(rows), *(np.pad(getattr(self._bank, name), more) for name in COLUMNS))
        self._parts = np.pad(self._parts, more)

    # -- who holds what

    def hold(self, row: Row, shares: tuple[DeviceShare, ...], sign: int = 1) -> None:
        """A pod on `row` holds `shares`, fit or not; sign -1 gives them back. Unknown devices are skipped."""
        known, bank = self._ids.get(row), self._bank
        if known is None or not shares:
            return
        for share in shares:
            name, _, instance = share.id.partition("[")
            column = known.get(name)
            if column is not None:
                if instance:
                    number = int(bank.cut[row, column])
                    bank.cut[row, column] = self.cuts.moved(number, instance.rstrip("]"), sign)
                bank.milli[row, column] -= sign * share.milli
                bank.memory[row, column] -= sign * share.memory
                bank.slots[row, column] -= sign
                bank.sharers[row, column] += sign
        self._recount(np.array([row]))

    def _recount(self, rows: Ints) -> None:
        self._parts[rows] = self.bank(rows).parts()

    def over(self, row: Row) -> bool:
        """More is held of one of the row's devices than it has."""
        if row not in self._devices:
            return False
        bank = self._bank
        return bool((bank.milli[row] < 0).any() or (bank.memory[row] < 0).any())

    def bears(self, row: Row, shares: tuple[DeviceShare, ...]) -> bool:
        """The row's devices are not overcommitted, and nobody with `shares` is on one that another has for himself."""
        known, bank = self._ids.get(row, {}), self._bank
        columns = [(known.get(share.id.partition("[")[0]), share) for share in shares]
        alone = (
            column is not None and not share.milli and not bank.milli[row, column] and bank.sharers[row, column] > 1
            for column, share in columns
        )
        return not self.over(row) and not any(alone)

    def shares(self, row: Row, shape: Shape, columns: Sequence[int]) -> tuple[DeviceShare, ...]:
        """What one pod of `shape` holds that took these columns."""
        devices, result = self._devices[row], []
        asks = [ask for ask in shape.spec.devices for _ in range(ask.count)]
        for ask, pick in zip(asks, columns, strict=True):
            spot, column = divmod(pick, 1 << COLUMN_BITS)
            device = devices[column]
            memory = device.memory * ask.percent // 100 if ask.percent else ask.memory
            name = device.id
            if spot:
                name, memory = f"{name}[{spot_name(device.groups, spot)}]", memory_at(device.groups, spot)
            result.append(DeviceShare(name, WHOLE if ask.whole else ask.milli, memory))
        return tuple(result)

    # -- room

    def eligible(self, ask: DeviceAsk, bank: Bank) -> Bools:
        """Devices of the kind and model that `ask` wants, free or not."""
        verdicts = np.array([False, *(ask.accepts(*what) for what in self.kinds[1:])], np.bool_)
        result: Bools = verdicts.take(bank.kind)
        return result

    def fits(self, ask: DeviceAsk, bank: Bank) -> Bools:
        """Devices that could take one pod's `ask` now."""
        ok = self.eligible(ask, bank) & (bank.slots > 0) & (bank.memory >= bank.memory_of(ask))
        if bank.cut.any():
            ok &= (bank.cut == 0) | (self.cuts.gifts(bank.cut, bank.memory_of(ask))[0] > 0)
        if ask.whole:
            ok &= bank.sharers == 0
        else:
            # Nobody goes where all compute is taken, however little is asked.
            ok &= bank.milli >= max(1, ask.milli)
        return ok

    def copies(self, shape: Shape, rows: Ints, *, empty: bool = False) -> Ints:
        """How many pods of `shape` the devices of each of `rows` can take; `empty`: if nobody were on them."""
        asks = shape.spec.devices
        alone = len(asks) == 1 and (asks[0].count == 1 or asks[0].whole)
        if alone and not empty and 2 * rows.size > self._bank.rows.size:
            # Most rows: looking at all of them in place is cheaper than copying some.
            self._reach(int(rows.max(initial=-1)) + 1)
            everywhere: Ints = self._each(asks[0], self._bank).sum(axis=1).take(rows) // asks[0].count
            return everywhere
        bank = self.bank(rows)
        if empty:
            self._clear(bank)
        if alone:
            here: Ints = self._each(asks[0], bank).sum(axis=1) // asks[0].count
            return here
        return self._tried(shape, bank)

    def limit(self, shape: Shape, copies: Ints, *, empty: bool = False) -> Ints:
        """`copies` by row, where devices do not allow for fewer."""
        result: Ints = np.zeros(copies.size, np.int64)
        rows = np.flatnonzero(copies) if self._devices else result
        if self._devices and rows.size:
            result[rows] = np.minimum(copies[rows], self.copies(shape, rows, empty=empty))
        return result

    def _clear(self, bank: Bank) -> None:
        bank.milli = np.where(bank.kind > 0, WHOLE, 0)
        bank.memory = bank.most_memory.copy()
        bank.slots = bank.most_slots.copy()
        bank.sharers = np.zeros_like(bank.sharers)
        for number in np.unique(bank.cut).tolist():
            bank.cut[bank.cut == number] = self.cuts.cleared(number)

    def _each(self, ask: DeviceAsk, bank: Bank) -> Ints:
        """How often `ask` fits on each device."""
        ok = self.fits(ask, bank)
        if ask.whole:
            return ok.astype(np.int64)
        most = bank.slots
        if ask.milli:
            most = np.minimum(most, bank.milli // ask.milli)
        memory = bank.memory_of(ask)
        if isinstance(memory, np.ndarray):
            most = np.minimum(most, bank.memory // np.maximum(memory, 1))
        elif memory:
            most = np.minimum(most, bank.memory // memory)
        if bank.cut.any():
            most = np.where(bank.cut > 0, np.minimum(bank.slots, self.cuts.gifts(bank.cut, memory)[0]), most)
        return np.where(ok, most, 0)

    def _tried(self, shape: Shape, bank: Bank) -> Ints:
        """By placing one after the other on a copy: the only way where asks compete with each other."""
        copies: Ints = np.zeros(bank.rows.size, np.int64)
        left = np.arange(bank.rows.size)
        while left.size:
            fitting, _ = self.place(shape, bank)
            copies[left[fitting]] += 1
            if fitting.all():
                continue
            left, bank = left[fitting], bank.only(fitting)
        return copies

    def place(self, shape: Shape, bank: Bank) -> tuple[Bools, Picks]:
        """One more pod of `shape` on every row of `bank` that can take it: which rows, and the devices of each.

        Rows that cannot are left in an undefined state; the caller drops them.
        """
        good: Bools = np.ones(bank.rows.size, np.bool_)
        picks: list[Ints] = []
        for ask in shape.spec.devices:
            ok = self.fits(ask, bank)
            good &= ok.sum(axis=1) >= ask.count
            keys = np.where(ok, self.order(shape, ask, bank), np.inf)
            best = keys.argmin(axis=1)[:, None] if ask.count == 1 else np.argsort(keys, axis=1, kind="stable")
            columns = np.sort(best[:, : ask.count], axis=1).T
            picks.extend(self._take(bank, column, ask) for column in columns)
        return good, np.stack(picks, axis=1)

    def _take(self, bank: Bank, column: Ints, ask: DeviceAsk) -> Ints:
        """One device of each row is taken; returns the picks."""
        where = (np.arange(bank.rows.size), column)
        asked = bank.memory_of(ask)
        memory = asked[where] if isinstance(asked, np.ndarray) else asked
        picks = column
        if bank.cut.any():
            state = bank.cut[where]
            _, spots, instance, after = self.cuts.gifts(state, memory)
            memory = np.where(state > 0, instance, memory)
            bank.cut[where] = np.where(state > 0, after, 0)
            picks = column | (np.where(state > 0, spots, 0) << COLUMN_BITS)
        bank.take(where, ask, memory)
        return picks

    def after(self, shape: Shape, bank: Bank, extra: int | Ints) -> Bank:
        """`bank` with `extra` pods of `shape` on each row in addition; rows where they do not fit are as they come."""
        counts = np.broadcast_to(np.asarray(extra), bank.rows.shape)
        for level in range(int(counts.max(initial=0))):
            more = counts > level
            part = bank.only(more)
            self.place(shape, part)
            for name in COLUMNS:
                getattr(bank, name)[more] = getattr(part, name)
        return bank

    def take_rows(self, shape: Shape, rows: Ints, counts: Ints) -> Picks:
        """Take devices for `counts` pods of `shape` on each of `rows` (all different); they must fit.

        The picks are in the order of `np.repeat(rows, counts)`.
        """
        first = np.cumsum(counts) - counts
        wide = sum(ask.count for ask in shape.spec.devices)
        result: Picks = np.zeros((int(counts.sum()), wide), np.int64)
        for level in range(int(counts.max(initial=0))):
            more = counts > level
            bank = self.bank(rows[more])
            good, picks = self.place(shape, bank)
            assert good.all(), f"{shape.spec.devices} on rows {rows[more][~good].tolist()}"
            result[first[more] + level] = picks
            self._write(bank)
        return result

    def _write(self, bank: Bank) -> None:
        for name in ("milli", "memory", "slots", "sharers", "cut"):
            getattr(self._bank, name)[bank.rows] = getattr(bank, name)
        self._parts[bank.rows] = bank.parts()

    def give_rows(self, shape: Shape, rows: Ints, picks: Picks, sign: int = -1) -> None:
        """Give back what `take_rows` took; `rows` one for each pod. Sign 1 takes exactly the same again."""
        for row, columns in zip(rows.tolist(), picks.tolist(), strict=True):
            self.hold(Row(row), self.shares(Row(row), shape, columns), sign)

    def content(self) -> dict[Row, list[tuple[object, ...]]]:
        """(milli, memory, slots, sharers, spots in use) of every device, for checks and digests."""
        bank = self._bank
        names = ("milli", "memory", "slots", "sharers")
        return {
            row: [
                (*(int(getattr(bank, name)[row, column]) for name in names), self.cuts.used(int(bank.cut[row, column])))
                for column in range(len(devices))
            ]
            for row, devices in sorted(self._devices.items())
        }


def fullest(_shape: Shape, _ask: DeviceAsk, bank: Bank) -> Floats:
    """Best fit: the device with the least left, by compute, then by memory."""
    memory = bank.memory / np.maximum(bank.most_memory, 1)
    result: Floats = bank.milli + memory
    return result
