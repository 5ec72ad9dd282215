"""Every sum recomputed from tasks and gangs. A difference is a bug in the engine and raises with all it knows."""

import numpy as np

from flowbatch.errors import FlowbatchError
from flowbatch.model.asks import WHOLE, DeviceShare
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.groupuse import GroupUse
from flowbatch.model.ids import BudgetId, PodUid, Row
from flowbatch.model.lifecycle import FINISHED, HOLDS_CAPACITY, TaskState
from flowbatch.model.mig import spot_of
from flowbatch.model.owners import Accounts
from flowbatch.model.peers import Group
from flowbatch.model.queues import QueueTree
from flowbatch.model.resources import Sums, add
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Ints
from flowbatch.model.tallies import Tally
from flowbatch.model.topology import Topology

#: Sums of a queue that follow from its gangs.
QUEUE_SUMS = (
    "own",
    "allocated",
    "reserved",
    "inqueue",
    "elastic",
    "wanted",
    "own_leaving",
    "leaving",
    "own_claimed",
    "claimed",
)


class InvariantBroken(FlowbatchError):
    """The books do not add up; the message lists every difference."""


def check(state: ClusterState) -> None:
    """Raise InvariantBroken if any number differs from what the tasks say."""
    wrong: list[str] = []
    _check_tasks(state, wrong)
    _check_table(state, wrong)
    _check_gangs(state, wrong)
    _check_queues(state, wrong)
    _check_topology(state, wrong)
    _check_tree(state, wrong)
    _check_accounts(state, wrong)
    leaving = [uid for uid, task in state.tasks.items() if task.state is TaskState.RELEASING and task.node is not None]
    _same(wrong, "leaving", sorted(state.leaving), sorted(leaving))
    _same(wrong, "charged to budgets", state.budgets.content(), _charged(state))
    _check_peers(state, wrong)
    _check_volumes(state, wrong)
    if wrong:
        raise InvariantBroken("; ".join(wrong))


def _charged(state: ClusterState) -> dict[PodUid, list[BudgetId]]:
    """Told to go and not seen leaving, by the budgets that select them."""
    going = [task.fact for task in state.leaving.values() if not task.fact.deleting]
    budgets = {fact.uid: sorted(each.id for each in state.budgets.covering(fact)) for fact in going}
    return {uid: ids for uid, ids in budgets.items() if ids}


def _same(wrong: list[str], what: str, kept: object, found: object) -> None:
    if kept != found:
        wrong.append(f"{what}: kept {kept}, found {found}")


def _check_tasks(state: ClusterState, wrong: list[str]) -> None:
    for uid, task in state.tasks.items():
        if uid != task.fact.uid:
            wrong.append(f"uid {uid} is of {task.story}")
        if task.node is not None:
            if task.state not in HOLDS_CAPACITY:
                wrong.append(f"holds a node without right: {task.story}")
            _same(wrong, f"node knows {uid}", task.node.tasks.get(uid), task)
        elif task.state in HOLDS_CAPACITY and task.state is not TaskState.RELEASING:
            wrong.append(f"holds no node: {task.story}")
    for node in state.nodes.values():
        _same(wrong, f"row of {node.name}", state.node_at.get(node.row), node)
        for uid in node.tasks:
            _same(wrong, f"node {node.name} has unknown {uid}", uid in state.tasks, True)


def _check_table(state: ClusterState, wrong: list[str]) -> None:
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
    if not np.array_equal(table.firm[:axes, :size], firm):
        wrong.append(f"firm differs on rows {np.unique(np.nonzero(table.firm[:axes, :size] != firm)[1]).tolist()}")
    over = (capacity - used - reserved < 0).any(axis=0)
    if not np.array_equal(table.over[:size], over):
        wrong.append(f"over differs on rows {np.flatnonzero(table.over[:size] != over).tolist()}")
    _same(wrong, "ports", state.ports.content(), _ports(state))
    _check_windows(state, wrong)
    if state.group_use is not None and not state.group_use.stale:
        counted = GroupUse(state)
        counted.refresh()
        _same(wrong, "held of node groups", state.group_use.content(), counted.content())
    _same(wrong, "devices", state.devices.content(), _devices(state))


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
        _same(wrong, f"ready of {node.name}", bool(table.ready[node.row]), node.usable)
        for task in node.tasks.values():
            for axis, amount in task.shape.request:
                used[axis, node.row] += amount
                if task.state is TaskState.RELEASING:
                    releasing[axis, node.row] += amount
    for gang in state.gangs.values():
        _add_up(gang.reservations, reserved)
        _add_up(gang.claims, claimed)
    _same(wrong, "claims", table.claims, sum(len(gang.claims) for gang in state.gangs.values()))
    return capacity, used, releasing, reserved, claimed


def _add_firm(state: ClusterState, gang: Gang, firm: Ints, wrong: list[str]) -> None:
    """What is claimed for a gang, less what those still hold who are to leave for it."""
    awaited = [task for task in state.leaving.values() if gang.claims and task.beneficiary == gang.id]
    rows = dict.fromkeys(row for claim in gang.claims for row in claim.rows.tolist())
    mine = {task.uid: task for task in awaited if task.node is not None and task.node.row in rows}
    _same(wrong, f"awaits of {gang.id}", gang.awaits, mine)
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


def _check_gangs(state: ClusterState, wrong: list[str]) -> None:
    for gang in state.gangs.values():
        if gang.idle:
            wrong.append(f"gang {gang.id} is kept for nobody")
        allocated: Sums = {}
        wanted: Sums = {}
        reserved: Sums = {}
        claimed: Sums = {}
        leaving: Sums = {}
        counts: dict[str, list[int]] = {name: [0] * len(TaskState) for name in gang.roles}
        gated: dict[str, int] = dict.fromkeys(gang.roles, 0)
        for task in gang.tasks.values():
            _count(task, gang, counts, gated, wrong)
            if task.node is not None:
                add(allocated, task.shape.request)
                if task.state is TaskState.RELEASING:
                    add(leaving, task.shape.request)
            if task.state is TaskState.PENDING and not task.fact.gated:
                add(wanted, task.shape.request)
        for reservation in gang.reservations:
            add(reserved, reservation.shape.request, reservation.total)
        for claim in gang.claims:
            add(claimed, claim.shape.request, claim.total)
        for name, role in gang.roles.items():
            _same(wrong, f"counts of {gang.id}/{name}", role.counts, counts[name])
            _same(wrong, f"gated of {gang.id}/{name}", role.gated, gated[name])
        _same(
            wrong,
            f"counts of {gang.id}",
            gang.counts,
            [sum(each) for each in zip(*counts.values(), strict=True)] or [0] * len(TaskState),
        )
        _same(wrong, f"gated of {gang.id}", gang.gated, sum(gated.values()))
        _same(wrong, f"allocated of {gang.id}", gang.allocated, allocated)
        _same(wrong, f"wanted of {gang.id}", gang.wanted, wanted)
        _same(wrong, f"reserved of {gang.id}", gang.reserved, reserved)
        _same(wrong, f"claimed of {gang.id}", gang.claimed, claimed)
        _same(wrong, f"leaving of {gang.id}", gang.leaving, leaving)


def _count(task: Task, gang: Gang, counts: dict[str, list[int]], gated: dict[str, int], wrong: list[str]) -> None:
    if task.gang is not gang:
        wrong.append(f"gang {gang.id} has {task.story}")
    counts[task.fact.task][task.state] += 1
    waits = task.state is TaskState.PENDING
    gated[task.fact.task] += int(waits and task.fact.gated)
    _same(wrong, f"pending has {task.uid}", task.uid in gang.pending, waits and not task.fact.gated)
    if task.state in FINISHED and task.node is not None:
        wrong.append(f"finished on a node: {task.story}")


def _check_queues(state: ClusterState, wrong: list[str]) -> None:
    used: Sums = {}
    inqueue: Sums = {}
    sums: dict[str, dict[str, Sums]] = {name: {kind: {} for kind in QUEUE_SUMS} for name in state.queues.by_name}
    for task in state.tasks.values():
        if task.node is not None:
            add(used, task.shape.request)
    for gang in state.gangs.values():
        add(used, gang.reserved.items())
        add(inqueue, gang.inqueue.items())
        for queue in gang.queue.path if gang.queue else ():
            add(sums[queue.name]["allocated"], gang.allocated.items())
            add(sums[queue.name]["reserved"], gang.reserved.items())
            add(sums[queue.name]["inqueue"], gang.inqueue.items())
            add(sums[queue.name]["elastic"], gang.elastic.items())
            add(sums[queue.name]["leaving"], gang.leaving.items())
            add(sums[queue.name]["claimed"], gang.claimed.items())
        if gang.queue:
            add(sums[gang.queue.name]["own"], gang.allocated.items())
            add(sums[gang.queue.name]["own"], gang.reserved.items())
            add(sums[gang.queue.name]["wanted"], gang.wanted.items())
            add(sums[gang.queue.name]["wanted"], gang.awaited.items())
            add(sums[gang.queue.name]["own_leaving"], gang.leaving.items())
            add(sums[gang.queue.name]["own_claimed"], gang.claimed.items())
            _same(wrong, f"queue of {gang.id}", gang.queue.gangs.get(gang.id), gang)
    _same(wrong, "used", state.used, used)
    _same(wrong, "inqueue", state.inqueue, inqueue)
    for name, queue in state.queues.by_name.items():
        for kind, found in sums[name].items():
            _same(wrong, f"{kind} of queue {name}", getattr(queue, kind), found)


def _check_tree(state: ClusterState, wrong: list[str]) -> None:
    """Paths, guarantees and quotas as a tree linked anew would have them; sums that are due are not looked at."""
    tree, anew = state.queues, QueueTree()
    for name, queue in tree.by_name.items():
        copy = anew.named(name)
        copy.fact, copy.guarantee, copy.deserved = queue.fact, queue.guarantee, queue.deserved
        copy.borrowing, copy.lending = queue.borrowing, queue.lending
        copy.accounts = queue.accounts
    anew.link()
    anew.tally()
    for name, queue in tree.by_name.items():
        found = anew.by_name[name]
        _same(wrong, f"orphaned of queue {name}", queue.orphaned, found.orphaned)
        _same(wrong, f"limits_owners of queue {name}", queue.limits_owners, found.limits_owners)
        for kind in ("path", "children"):
            kept, linked = getattr(queue, kind), getattr(found, kind)
            _same(wrong, f"{kind} of queue {name}", [each.name for each in kept], [each.name for each in linked])
        sums = ("assured", "pledged", "quota", "kept") if tree.bounded else ("assured", "pledged")
        for kind in sums if not state.changes.claims else ():
            _same(wrong, f"{kind} of queue {name}", getattr(queue, kind), getattr(found, kind))
    if state.changes.claims:
        return
    _same(wrong, "bounded axes", tree.bounded, anew.bounded)
    _same(wrong, "lenders", [each.name for each in tree.lenders], [each.name for each in anew.lenders])


def _check_accounts(state: ClusterState, wrong: list[str]) -> None:
    for name, queue in state.queues.by_name.items():
        if queue.accounts is None:
            continue
        assert queue.fact is not None
        found = Accounts.of(queue.fact.limits, state.axes, state.tracked_owners)
        for gang in state.gangs.values():
            if gang.queue is not None and queue in gang.queue.path:
                for held in (gang.allocated, gang.reserved):
                    found.charge(gang.id, gang.owners, held.items(), 1)
        _same(wrong, f"owners' sums of queue {name}", queue.accounts.held, found.held)
        _same(wrong, f"owners' jobs of queue {name}", queue.accounts.jobs, found.jobs)


def _check_volumes(state: ClusterState, wrong: list[str]) -> None:
    """Who uses which claim; promises only to claims in use."""
    users: dict[str, dict[int, int]] = {}
    for task in state.tasks.values():
        for claim in task.shape.spec.claims if task.node is not None else ():
            assert task.node is not None
            rows = users.setdefault(claim, {})
            rows[task.node.row] = rows.get(task.node.row, 0) + 1
    _same(wrong, "users of claims", state.volumes.users, users)
    for volume, claim in state.volumes.promised.items():
        choice = state.volumes.decided.get(claim)
        _same(wrong, f"promise of volume {volume}", choice.volume if choice is not None else "", volume)
    attached = sum(len(rows) for rows in users.values())
    _same(wrong, "attached volumes", sum(state.volumes.attached()), attached)


def _check_peers(state: ClusterState, wrong: list[str]) -> None:
    """Groups by their selectors, and every tally from the tasks that move it."""
    peers = state.peers
    for kind in peers.kinds():
        found = {id(group) for group in peers.expected_groups(kind)}
        _same(wrong, f"groups of {kind.namespace} {kind.labels}", {id(group) for group in kind.groups}, found)
        for task in kind.tasks.values():
            _same(wrong, f"kind of {task.story}", task.kind, kind)
            if kind.groups:
                _same(wrong, f"kind of the shape of {task.story}", task.shape.kind, kind)
    placed = [task for task in state.tasks.values() if task.node is not None]
    for group in peers.groups():
        there = [task for task in placed if task.kind in group.kinds]
        staying = [task for task in there if not task.leaving]
        for key, tally in group.members.items():
            _check_tally(f"members by {key} of {group.selectors}", tally, [(task, 1) for task in there], state, wrong)
        for key, tally in group.staying.items():
            _check_tally(f"staying by {key} of {group.selectors}", tally, [(task, 1) for task in staying], state, wrong)
        for kind_of, tallies in (("apart", group.guards), ("near", group.bonds), ("likes", group.pulls)):
            for key, tally in tallies.items():
                carriers = [(task, _weight(task, kind_of, key, group)) for task in placed]
                _check_tally(f"{kind_of} by {key} of {group.selectors}", tally, carriers, state, wrong)


def _weight(task: Task, kind_of: str, key: str, group: Group) -> int:
    """How much of a group's carried terms one task carries."""
    spec = task.shape.spec
    terms = spec.likes if kind_of == "likes" else [(1, term) for term in getattr(spec, kind_of)]
    return sum(weight for weight, term in terms if term.key == key and (term.pods,) == group.selectors)


def _check_tally(
    what: str, tally: Tally, carriers: list[tuple[Task, int]], state: ClusterState, wrong: list[str]
) -> None:
    by_row: dict[int, int] = {}
    by_domain: dict[str, int] = {}
    for task, weight in carriers:
        assert task.node is not None
        by_row[task.node.row] = by_row.get(task.node.row, 0) + weight
        domain = task.node.labels.get(tally.key)
        if domain is not None:
            by_domain[domain] = by_domain.get(domain, 0) + weight
    kept = {row: int(amount) for row, amount in enumerate(tally.by_row) if amount}
    _same(wrong, what, kept, {row: amount for row, amount in by_row.items() if amount})
    here = tally.here(state.table.size)
    for node in state.nodes.values():
        domain = node.labels.get(tally.key)
        _same(
            wrong,
            f"{what} on {node.name}",
            int(here[node.row]),
            by_domain.get(domain or "", 0) if domain is not None else 0,
        )
    _same(wrong, f"total {what}", tally.total, sum(by_domain.values()))


def _check_topology(state: ClusterState, wrong: list[str]) -> None:
    """Every domain as if all HyperNodes and nodes had just come."""
    kept = state.topology
    if kept.stale or not kept.by_name:
        return
    found = Topology(state.nodes)
    for domain in kept.by_name.values():
        found.observe(domain.fact)
    found.refresh()
    for name, domain in kept.by_name.items():
        same = found.by_name[name]
        _same(wrong, f"nodes of HyperNode {name}", sorted(domain.nodes.items()), sorted(same.nodes.items()))
        _same(wrong, f"rows of HyperNode {name}", domain.rows.tolist(), same.rows.tolist())
        _same(wrong, f"problem of HyperNode {name}", domain.problem, same.problem)
