"""Tentative decisions as an undo log, never a copy.

While a Trial is open its placements, evictions and reservations are real in the table and in the sums, so every policy
sees them; leaving the block without `keep()` undoes them in reverse order. What is only identity (which task, which
node) happens at `keep()`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np

from flowbatch.model.asks import DeviceShare
from flowbatch.model.gangs import Berth, Gang, Reservation, Task
from flowbatch.model.ids import Row
from flowbatch.model.lifecycle import Stimulus, TaskState
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState
from flowbatch.model.table import Ints


class Trial:
    """One attempt. Use as a context manager; finishing it twice is harmless."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._undo: list[Callable[[], None]] = []
        #: Tasks of one shape, the row of each, and the shared devices of each where the shape asks for some.
        self._placed: list[tuple[Sequence[Task], Ints, Ints | None]] = []
        #: Sets of cpus of all those, in the same order; nothing where they have none of their own.
        self._cpus: list[list[int]] = []
        self._reserved: dict[str, tuple[Gang, list[Reservation]]] = {}
        self._evicted: list[Task] = []
        self._unclaimed: list[Gang] = []
        self._left: list[tuple[Gang, Berth]] = []
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()

    def mark(self) -> int:
        """A point to come back to with `undo(mark)`."""
        return len(self._undo)

    def undo(self, mark: int = 0) -> None:
        """Take back everything since `mark`, last first."""
        if self._open:
            while len(self._undo) > mark:
                self._undo.pop()()

    def place(self, gang: Gang, shape: Shape, tasks: Sequence[Task], rows: Ints, counts: Ints) -> None:
        """Take room for `tasks`, all of `shape`: `counts` of them on each of `rows`."""
        state, count = self._state, len(tasks)
        picks = state.devices.take_rows(shape, rows, counts) if shape.spec.devices else None
        cpus = state.numa.take_rows(shape, rows, counts)
        state.table.take_rows(rows, counts, shape.request)
        state.charge(gang, shape, count)
        placed = (tasks, np.repeat(rows, counts), picks)
        self._placed.append(placed)
        self._cpus.append(cpus)
        ports = shape.spec.ports
        self._hold_ports(ports, placed[1], 1)
        stake = shape.stake
        if stake is not None:
            stake.move_rows(rows, counts)
        claims = shape.spec.claims
        for row in placed[1].tolist() if claims else ():
            state.volumes.take(claims, state.node_at[Row(row)])
        if shape.spec.device_claims:
            self._claim_devices(shape, tasks, placed[1])
        loans = state.windows.placed(gang, tasks, placed[1]) if state.windows.by_gang else ()
        groups = state.group_use
        if groups is not None:
            groups.move(gang, shape.request, rows.tolist(), counts.tolist())

        def back() -> None:
            if groups is not None:
                groups.move(gang, shape.request, rows.tolist(), counts.tolist(), -1)
            for window, uid in loans:
                window.settle(uid)
            if shape.spec.device_claims:
                self._give_devices(tasks, placed[1])
            for row in placed[1].tolist() if claims else ():
                state.volumes.give(claims, Row(row))
            if stake is not None:
                stake.move_rows(rows, -counts)
            self._hold_ports(ports, placed[1], -1)
            self._placed.pop()
            self._cpus.pop()
            state.charge(gang, shape, -count)
            state.table.take_rows(rows, counts, shape.request, -1)
            if picks is not None:
                state.devices.give_rows(shape, placed[1], picks)
            state.numa.give_rows(placed[1], cpus)

        self._undo.append(back)

    def _hold_ports(self, ports: tuple[tuple[str, str, int], ...], rows: Ints, sign: int) -> None:
        for row in rows.tolist() if ports else ():
            self._state.ports.take(Row(row), ports, sign)

    def _claim_devices(self, shape: Shape, tasks: Sequence[Task], rows: Ints) -> None:
        """Of members to come nobody knows their claims yet: those hold no devices."""
        state = self._state
        for task, row in zip(tasks, rows.tolist(), strict=False):
            state.device_claims.take(task.fact.device_claims, shape.spec.device_claims, state.node_at[Row(row)])
            state.use_claims(task, 1)

    def _give_devices(self, tasks: Sequence[Task], rows: Ints) -> None:
        for task, row in reversed(list(zip(tasks, rows.tolist(), strict=False))):
            self._state.use_claims(task, -1)
            self._state.device_claims.give(task.fact.device_claims, Row(row))

    def reserve(self, gang: Gang, reservation: Reservation) -> None:
        """Hold room for members of `gang` that have no pods yet."""
        self._reserve(gang, reservation, 1)

    def unreserve(self, gang: Gang) -> None:
        """Give up the room held for `gang` so far, to place it anew within this trial."""
        for reservation in gang.reservations:
            self._reserve(gang, reservation, -1)

    def unclaim(self, gang: Gang) -> None:
        """Lift what is claimed for `gang`, so that it is tried on that room too."""
        state = self._state
        if not gang.claims:
            return
        state.book_claims(gang, -1)
        self._unclaimed.append(gang)

        def back() -> None:
            self._unclaimed.pop()
            state.book_claims(gang, 1)

        self._undo.append(back)

    def leave_berth(self, gang: Gang, berth: Berth) -> None:
        """Lift one place that is kept for a member of `gang`, so that it can be taken, or given up."""
        state = self._state
        state.book_berth(gang, berth, -1)
        self._left.append((gang, berth))

        def back() -> None:
            self._left.pop()
            state.book_berth(gang, berth, 1)

        self._undo.append(back)

    def _reserve(self, gang: Gang, reservation: Reservation, sign: int) -> None:
        state = self._state
        _, held = self._reserved.setdefault(gang.id, (gang, list(gang.reservations)))

        def book(direction: int) -> None:
            state.table.reserve_rows(reservation.rows, reservation.counts, reservation.shape.request, direction)
            state.charge_reserved(gang, reservation, direction)
            state.reserve_devices(reservation, direction)
            state.reserve_cpus(reservation, direction)
            if direction > 0:
                held.append(reservation)
            else:
                held.remove(reservation)

        book(sign)
        self._undo.append(lambda: book(-sign))

    def evict(self, task: Task) -> None:
        """Suppose that `task` is told to go: its room is counted as being released."""
        state, before = self._state, task.state
        assert before in (TaskState.BOUND, TaskState.RUNNING), task.story
        state.move(task, Stimulus.EVICT)
        self._evicted.append(task)
        self._suppose_gone(task, -1)

        def back() -> None:
            self._evicted.pop()
            self._suppose_gone(task, 1)
            state.move(task, Stimulus.SPARED)
            if before is TaskState.RUNNING:
                state.move(task, Stimulus.SEEN_RUNNING)

        self._undo.append(back)

    def suppose_left(self, tasks: Iterable[Task]) -> None:
        """Suppose that tasks which are leaving have left their devices and cpus, and their group of nodes."""
        pieces, held = self._state.pieces, [task for task in tasks if task.node is not None]

        def suppose(sign: int) -> None:
            for task in held:
                pieces.suppose_gone(task, sign)
                if task.node is not None:
                    self._count_in_group(task, task.node.row, -sign)

        suppose(1)
        self._undo.append(lambda: suppose(-1))

    def pieces_back(self, tasks: Sequence[Task]) -> bool:
        """Let tasks that were supposed gone have their devices and cpus again, if nobody else has them by now."""
        pieces, good = self._state.pieces, True
        for task in tasks:
            pieces.suppose_gone(task, -1)
            good = good and pieces.bear(task)

        def back() -> None:
            for task in tasks:
                pieces.suppose_gone(task)

        if good:
            self._undo.append(back)
        else:
            back()
        return good

    def rows_of(self, gang: Gang) -> list[Ints]:
        """Rows that members of `gang` would go to."""
        return [rows for tasks, rows, _ in self._placed if tasks and tasks[0].gang is gang]

    def _suppose_gone(self, task: Task, sign: int) -> None:
        """To others it is as if `task` were not there, while the trial is open; sign 1 ends that."""
        if task.shape.stake is not None and task.node is not None:
            task.shape.stake.suppose(task.node.row, sign)
            self._state.volumes.suppose(task.shape.spec.claims, task.node.row, sign)
        self._state.pieces.suppose_gone(task, -sign)
        if task.node is not None:
            self._count_in_group(task, task.node.row, sign)

    def _count_in_group(self, task: Task, row: Row, sign: int) -> None:
        groups = self._state.group_use
        if groups is not None and task.gang is not None:
            groups.move(task.gang, task.shape.request, (row,), (1,), sign)

    @property
    def placing(self) -> bool:
        """Somebody would go somewhere."""
        return bool(self._placed)

    def preview(self) -> list[tuple[Task, Node]]:
        """Who would go where, in the order of placement."""
        node_at = self._state.node_at
        return [
            (task, node_at[row])
            for tasks, rows, _ in self._placed
            for task, row in zip(tasks, rows.tolist(), strict=True)
        ]

    def keep(self, stimulus: Stimulus = Stimulus.PLACE) -> list[tuple[Task, Node]]:
        """Make it real. Returns who went where, in the order of placement."""
        assert self._open, "a trial is kept once"
        self._open = False
        state = self._state
        for gang, held in self._reserved.values():
            self._adopt(gang, held)
        for gang in self._unclaimed:
            state.settle_unclaimed(gang)
        for gang, berth in self._left:
            state.settle_berth(gang, berth)
        for task in self._evicted:
            self._suppose_gone(task, 1)
        result: list[tuple[Task, Node]] = []
        node_at = state.node_at
        for (tasks, rows, picks), sets in zip(self._placed, self._cpus, strict=True):
            ported = bool(tasks) and bool(tasks[0].shape.spec.ports)
            taken, cpus = self._taken(tasks, rows, picks), iter(sets)
            for task, row in zip(tasks, rows.tolist(), strict=True):
                node = node_at[row]
                if ported:
                    # `settle_placed` takes them again, task by task.
                    state.ports.take(row, task.shape.spec.ports, -1)
                state.settle_placed(task, node, stimulus, next(taken, ()), next(cpus, 0))
                result.append((task, node))
        self._undo.clear()
        return result

    def _taken(self, tasks: Sequence[Task], rows: Ints, picks: Ints | None) -> Iterator[tuple[DeviceShare, ...]]:
        """The devices of each task, by name; nothing at all where the shape asks for none."""
        devices = self._state.devices
        for task, row, columns in zip(tasks, rows.tolist(), picks.tolist(), strict=True) if picks is not None else ():
            yield devices.shares(Row(row), task.shape, columns)

    def _adopt(self, gang: Gang, held: list[Reservation]) -> None:
        shapes = self._state.shapes
        for reservation in held:
            shapes.share(reservation.shape)
        let_go = [reservation for reservation in gang.reservations if reservation not in held]
        for reservation in gang.reservations:
            shapes.release(reservation.shape)
        gang.reservations = tuple(held)
        if let_go:
            self._state.ease(gang.queue)
            self._state.changes.shares = True
        for reservation in let_go:
            for row in reservation.rows.tolist():
                self._state.changes.freed[Row(row)] = None
