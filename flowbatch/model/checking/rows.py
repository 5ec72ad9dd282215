"""What is on nodes: capacity, use, reservations, claims, loans, ports, devices and cpus, from nodes, tasks, gangs."""

import numpy as np

from flowbatch.model.asks import WHOLE, DeviceShare
from flowbatch.model.checking.same import same
from flowbatch.model.cpusets import members, readable
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.groupuse import GroupUse
from flowbatch.model.ids import Row
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.mig import spot_of
from flowbatch.model.resources import EVERYWHERE, PODS, Sums, add
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Ints


def check_table(state: ClusterState, wrong: list[str]) -> None:
    """Every row's sums, ports, loans, devices and cpus."""
    table = state.table
    table.fit_axes()
    capacity, used, releasing, reserved, claimed = _recount(state, wrong)
    size, axes = table.size, len(state.axes)
    for name, kept, found in (
        ("capacity", table.capacity, capacity),
        ("releasing", table.releasing, releasing),
        ("reserved", table.reserved, reserved),
        ("claimed", table.claimed, claimed),
        ("free", table.free, capacity - used - reserved),
    ):
        if not np.array_equal(kept[:axes, :size], found):
            wrong.append(f"{name} differs on rows {np.unique(np.nonzero(kept[:axes, :size] != found)[1]).tolist()}")
    firm = np.zeros_like(claimed)
    for gang in state.gangs.values():
        _add_firm(state, gang, firm, wrong)
        _add_berths(gang, firm)
    if not np.array_equal(table.firm[:axes, :size], firm):
        wrong.append(f"firm differs on rows {np.unique(np.nonzero(table.firm[:axes, :size] != firm)[1]).tolist()}")
    over = (capacity - used - reserved < 0).any(axis=0)
    if not np.array_equal(table.over[:size], over):
        wrong.append(f"over differs on rows {np.flatnonzero(table.over[:size] != over).tolist()}")
    same(wrong, "ports", state.ports.content(), _ports(state))
    _check_windows(state, wrong)
    if state.group_use is not None and not state.group_use.stale:
        counted = GroupUse(state)
        counted.refresh()
        same(wrong, "held of node groups", state.group_use.content(), counted.content())
    same(wrong, "devices", state.devices.content(), _devices(state))
    same(wrong, "cpus", state.numa.content(), _cpus(state))
    same(wrong, "rows with an old state of their cpus", list(state.numa.stale()), [])


def _check_windows(state: ClusterState, wrong: list[str]) -> None:
    """What is on loan of a reservation is held on its rows by those that have it."""
    for gang_id, window in state.windows.by_gang.items():
        found = np.zeros_like(window.loaned)
        columns = {row: column for column, row in enumerate(window.rows.tolist())}
        for uid in window.loans:
            task = state.tasks.get(uid)
            if task is None or task.node is None or task.node.row not in columns:
                wrong.append(f"{uid} has no place but a loan of {gang_id}")
                continue
            for axis, amount in task.shape.request:
                if axis in window.axes:
                    found[window.axes.index(axis), columns[task.node.row]] += amount
        if not np.array_equal(found, window.loaned):
            wrong.append(f"loans of {gang_id} differ")


def _recount(state: ClusterState, wrong: list[str]) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """Capacity, use, releasing, reserved and claimed of all rows, from nodes, tasks and gangs."""
    table = state.table
    shape = (len(state.axes), table.size)
    used, releasing, reserved = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    capacity, claimed = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for node in state.nodes.values():
        if node.fact is not None:
            for axis, amount in state.axes.sums(node.fact.allocatable).items():
                capacity[axis, node.row] = amount
            if capacity[PODS, node.row]:
                capacity[state.axes.unplaced, node.row] = EVERYWHERE
        same(wrong, f"ready of {node.name}", bool(table.ready[node.row]), node.usable)
        for task in node.tasks.values():
            for axis, amount in task.shape.request:
                used[axis, node.row] += amount
                if task.state is TaskState.RELEASING:
                    releasing[axis, node.row] += amount
    for gang in state.gangs.values():
        _add_up(gang.reservations, reserved)
        _add_up(gang.claims, claimed)
        _add_berths(gang, claimed)
    kept = sum(len(gang.claims) + len(gang.berths) for gang in state.gangs.values())
    same(wrong, "claims", table.claims, kept)
    return capacity, used, releasing, reserved, claimed


def _add_firm(state: ClusterState, gang: Gang, firm: Ints, wrong: list[str]) -> None:
    """What is claimed for a gang, less what those still hold who are to leave for it."""
    awaited = [task for task in state.leaving.values() if gang.claims and task.beneficiary == gang.id]
    rows = dict.fromkeys(row for claim in gang.claims for row in claim.rows.tolist())
    mine = {task.uid: task for task in awaited if task.node is not None and task.node.row in rows}
    same(wrong, f"awaits of {gang.id}", gang.awaits, mine)
    for row in rows:
        sums: Sums = {}
        owed: Sums = {}
        for claim in gang.claims:
            for at, count in zip(claim.rows.tolist(), claim.counts.tolist(), strict=True):
                add(sums, claim.shape.request, count if at == row else 0)
        for task in mine.values():
            add(owed, task.shape.request, int(task.node is not None and task.node.row == row))
        for axis, amount in sums.items():
            firm[axis, row] += max(0, amount - owed.get(axis, 0))


def _add_up(reservations: tuple[Reservation, ...], column: Ints) -> None:
    for reservation in reservations:
        for row, count in zip(reservation.rows.tolist(), reservation.counts.tolist(), strict=True):
            for axis, amount in reservation.shape.request:
                column[axis, row] += amount * count


def _add_berths(gang: Gang, column: Ints) -> None:
    for berth in gang.berths:
        for axis, amount in berth.shape.request:
            column[axis, berth.row] += amount


def _ports(state: ClusterState) -> list[tuple[str, int, int, str, int]]:
    counts: dict[tuple[str, int, int, str], int] = {}
    for task in state.tasks.values():
        for protocol, address, port in task.shape.spec.ports if task.node else ():
            assert task.node is not None
            key = (protocol, port, int(task.node.row), address)
            counts[key] = counts.get(key, 0) + 1
    return sorted((*key, count) for key, count in counts.items())


def _devices(state: ClusterState) -> dict[Row, list[tuple[object, ...]]]:
    """Every device anew, from nodes, tasks and reservations."""
    held: dict[tuple[Row, str], list[DeviceShare]] = {}
    for node in state.nodes.values():
        for share in [share for task in node.tasks.values() for share in task.devices]:
            held.setdefault((node.row, share.id.partition("[")[0]), []).append(share)
    for gang in state.gangs.values():
        for each in gang.reservations:
            rows = np.repeat(each.rows, each.counts).tolist() if each.picks is not None else []
            for row, columns in zip(rows, each.picks.tolist() if each.picks is not None else [], strict=True):
                for share in state.devices.shares(Row(row), each.shape, columns):
                    held.setdefault((Row(row), share.id.partition("[")[0]), []).append(share)
    content: dict[Row, list[tuple[object, ...]]] = {}
    for node in sorted(state.nodes.values(), key=lambda node: node.row):
        for device in node.fact.devices if node.fact is not None else ():
            shares = held.get((node.row, device.id), [])
            left = (WHOLE - sum(share.milli for share in shares), device.memory - sum(share.memory for share in shares))
            spots = (spot_of(device.groups, share.id.partition("[")[2].rstrip("]")) for share in shares)
            used = tuple(sorted(spot for spot in spots if spot is not None))
            content.setdefault(node.row, []).append((*left, device.slots - len(shares), len(shares), used))
    return content


def _cpus(state: ClusterState) -> dict[Row, tuple[int, int, int]]:
    """The free cpus of every node that aligns them anew, one cpu after the other."""
    kept: dict[Row, list[int]] = {}
    for gang in state.gangs.values():
        for each in gang.reservations:
            for row, cpus in zip(np.repeat(each.rows, each.counts).tolist(), each.cpus or (), strict=bool(each.cpus)):
                kept.setdefault(Row(row), []).append(cpus)
    content: dict[Row, tuple[int, int, int]] = {}
    for node in sorted(state.nodes.values(), key=lambda node: node.row):
        fact, layout = state.numa.facts.get(node.name), state.numa.layout(node.row)
        if fact is None or layout is None:
            continue
        told = {name: dict.fromkeys(members(readable(text))) for name, text in fact.told}
        held = {cpu: True for cpus in kept.get(node.row, ()) for cpu in members(cpus)}
        unknown = 0
        for task in node.tasks.values():
            ask, key = task.shape.spec.numa, f"{task.fact.namespace}/{task.fact.name}"
            if ask is not None:
                own = told.get(task.fact.uid) or told.get(key) or dict.fromkeys(members(_own(task)))
                held.update(dict.fromkeys(own, True))
                unknown += 0 if own else ask.total
        usable = [cpu for cpu in members(layout.all) if not layout.reserved >> cpu & 1]
        said = dict.fromkeys(members(readable(fact.free)))
        explained = {cpu: True for each in told.values() for cpu in each} | held
        taken = sum(cpu not in said and cpu not in explained for cpu in usable)
        free = sum(1 << cpu for cpu in usable if cpu in said and cpu not in held)
        content[node.row] = (len(layout.numa), free, max(0, unknown - taken))
    return content


def _own(task: Task) -> int:
    return readable(task.fact.cpus) or task.chosen
