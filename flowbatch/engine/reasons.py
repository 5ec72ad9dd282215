"""Counts of why nodes do not take a shape, in kube-scheduler's words, and amounts as people write them."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from flowbatch.engine.fits import Fits
from flowbatch.model.asks import WHOLE, DeviceAsk
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import Amounts, Row, ShapeId
from flowbatch.model.resources import PODS
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Bools
from flowbatch.model.windows import Window


def format_amount(name: str, units: int) -> str:
    """One resource as people write it: "3 cpu", "2.5 cpu", "4Gi memory", "1 nvidia.com/gpu"."""
    resource = name.removeprefix("requests.").removeprefix("limits.")
    if resource == "cpu":
        whole, rest = divmod(units, 1000)
        return f"{whole}{f'.{rest:03d}'.rstrip('0') if rest else ''} {name}"
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        for suffix, size in (("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
            if units >= size:
                tenths = -(-units * 10 // size)
                return f"{tenths // 10}{f'.{tenths % 10}' if tenths % 10 else ''}{suffix} {name}"
    return f"{units} {name}"


def format_amounts(amounts: Amounts) -> str:
    """Several, joined."""
    return ", ".join(format_amount(name, units) for name, units in amounts) or "nothing"


def opening(window: Window) -> str:
    """When its room is taken up: "from 2026-01-02T03:04:05Z on", or as soon as there is enough."""
    if window.until is None:
        return "as they become free"
    moment = datetime.fromtimestamp(window.until / 1000, UTC)
    return f"from {moment.strftime('%Y-%m-%dT%H:%M:%SZ')} on"


def device_words(shape: Shape) -> str:
    """What a shape asks for of devices: "2 whole gpu", "0.46 of a gpu", "4Gi of a vgpu"."""
    return ", ".join(_ask_words(ask) for ask in shape.spec.devices)


def cpu_words(shape: Shape) -> str:
    """What a shape asks for of cpus of its own: "4 exclusive cpus", "2 + 2 exclusive cpus" for two containers."""
    counts = shape.spec.numa.cpus if shape.spec.numa is not None else ()
    return f"{' + '.join(map(str, counts))} exclusive cpu{'s' if counts != (1,) else ''}"


def _ask_words(ask: DeviceAsk) -> str:
    if ask.whole:
        return f"{ask.count} whole {ask.kind}"
    parts = [f"{ask.milli / WHOLE:g}"] if ask.milli else []
    if ask.percent:
        parts.append(f"{ask.percent} % of the memory")
    elif ask.memory:
        parts.append(format_amount("memory", ask.memory << 20).removesuffix(" memory"))
    return f"{' and '.join(parts) or 'a place'} of {f'each of {ask.count}' if ask.count > 1 else 'a'} {ask.kind}"


class Reasons:
    """Counts why nodes do not take a shape. Good for one moment: built anew for each cycle that needs it."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._state = state
        self._fits = fits
        self._texts: dict[tuple[ShapeId, str], str] = {}

    def text(self, shape: Shape, gang: Gang) -> str:
        """ "0/12 nodes are available: 8 Insufficient cpu, 4 node(s) had untolerated taint {k: v}." """
        key = shape.id, gang.id if self._fits.momentary or self._state.windows else ""
        known = self._texts.get(key)
        if known is None:
            with self._fits.seen_by(gang):
                known = self._texts[key] = self._count(shape, gang)
        return known

    def _count(self, shape: Shape, gang: Gang) -> str:
        state, table = self._state, self._state.table
        exists = self._known()
        counts: dict[str, int] = {}
        left = exists.copy()
        self._note(counts, "node(s) were not ready", left & ~table.ready[: table.size])
        left &= table.ready[: table.size]
        for rows, reason in self._fits.refusals(shape):
            self._note(counts, reason, left & rows)
            left &= ~rows
        self._note(counts, "node(s) use more than they have", left & table.over[: table.size])
        left &= ~table.over[: table.size]
        available = left.copy()
        for axis, amount in shape.request:
            lacking = left & (table.offer(axis) < amount)
            self._note(counts, "Too many pods" if axis == PODS else f"Insufficient {state.axes.names[axis]}", lacking)
            available &= ~lacking
        if shape.spec.devices and available.any():
            lacking = available & (state.devices.limit(shape, available.astype(np.int64)) == 0)
            self._note(counts, f"node(s) didn't have devices with enough left for {device_words(shape)}", lacking)
            available &= ~lacking
        if shape.spec.device_claims and available.any():
            lacking = available & (state.device_claims.limit(shape, available.astype(np.int64)) == 0)
            self._note(counts, self._devices_lacking(shape, lacking), lacking)
            available &= ~lacking
        if shape.spec.numa is not None and state.numa.concerns(shape) and available.any():
            for policy, rows in self._misaligned(shape, available):
                self._note(counts, f"node(s) couldn't align {cpu_words(shape)} under {policy}", rows)
                available &= ~rows
        if shape.spec.ports:
            taken = np.zeros(table.size, np.bool_)
            taken[state.ports.taken(shape.spec.ports)] = True
            self._note(counts, "node(s) didn't have free ports for the requested pod ports", available & taken)
            available &= ~taken
        for rows, window in self._state.windows.closed_rows(gang, shape, available) if self._state.windows else ():
            self._note(counts, f"node(s) are reserved {opening(window)} for gang {window.gang.id}", available & rows)
            available &= ~rows
        for rows, reason in self._fits.capped(shape, available):
            self._note(counts, reason, available & rows)
            available &= ~rows
        reasons = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
        head = f"{int(available.sum())}/{int(exists.sum())} nodes are available"
        return f"{head}: {reasons}." if reasons else f"{head}."

    def _devices_lacking(self, shape: Shape, lacking: Bools) -> str:
        """What a pod claims there, and how much of it the best of these nodes has free."""
        claims = self._state.device_claims
        asked = claims.open(shape)
        wishes = [request.wishes[0] for content in asked for request in content.requests]
        words = ", ".join(f"{wish.count or 'all'} of class {wish.device_class}" for wish in wishes)
        if len(wishes) != 1:
            return f"node(s) didn't have free devices for {words}"
        most, name = 0, ""
        for row in np.flatnonzero(lacking).tolist():
            node = self._state.node_at[Row(row)]
            free = sum(claims.pools.eligible(wishes[0], each) for each in claims.rooms.offer(node).free)
            if free > most:
                most, name = free, node.name
        return f"node(s) didn't have free devices for {words} (most: {most}{f' on {name}' if name else ''})"

    def _misaligned(self, shape: Shape, available: Bools) -> Iterator[tuple[str, Bools]]:
        """Rows, by policy, whose topology managers would turn one more away."""
        lacking = available & (self._state.numa.limit(shape, available.astype(np.int64)) == 0)
        column = self._state.columns.cpus
        for policy in column.values[1:]:
            if policy is not None and lacking.any():
                yield policy, lacking & column.where(policy, lacking.size)

    def _known(self) -> Bools:
        return self._fits.known()

    @staticmethod
    def _note(counts: dict[str, int], reason: str, rows: Bools) -> None:
        number = int(rows.sum())
        if number:
            counts[reason] = counts.get(reason, 0) + number
