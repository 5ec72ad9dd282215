"""Gangs that have waited too long for room are promised a window, and nobody may take it from them.

At most so many of one queue at a time, and who has a promise keeps it until it starts, is gone or waits for something
else than room. From its promise on, only pods that say they will be gone before the window start on its nodes; from the
window on, nobody does. So it waits at most for the pods that stood on its nodes then.
"""

from collections.abc import Iterator

from flowbatch.engine.candidates import EVICTABLE
from flowbatch.engine.ground import Ground
from flowbatch.engine.standing import Demand, demand
from flowbatch.engine.timeline import Timeline
from flowbatch.engine.wishes import Wishes, counts, predictable
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsDevices, NeedsPeers, NeedsTopology, NeedsVolume
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import GangId, Instant, Row
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Ints
from flowbatch.model.windows import Window, ends_at


class Reservations:
    """Makes, moves and drops windows. Without `policy.reserving` it does nothing."""

    def __init__(self, ground: Ground, wishes: Wishes) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = ground.policy
        self._guard = ground.guard
        self._fits = ground.fits
        self._wishes = wishes
        self._counters = ground.counters
        self._timeline = Timeline(ground.state)
        #: What each gang with a window asked for when it was made.
        self._asked: dict[GangId, Demand] = {}
        #: Rows of its window that were open then to those of its shapes that have to do with others.
        self._open_to: dict[GangId, list[tuple[Shape, Ints]]] = {}
        for gang_id in list(ground.state.windows.by_gang):
            self.drop(gang_id)

    def due(self, gang: Gang) -> Instant | None:
        """From when on room is kept for it; None for never."""
        found = [self._guard.call(each, each.due, None, gang, self._view) for each in self._policy.reserving]
        return min((at for at in found if at is not None), default=None)

    def consider(self, gang: Gang, what: Demand, blocker: Blocker) -> bool:
        """It found no room. Whether a window has just been promised to it."""
        if not _is_room(blocker) or what.surplus or gang.repairing or not predictable(what):
            self.drop(gang.id)
            return False
        due = self.due(gang)
        if due is None or due > self._view.now or gang.id in self._state.windows.by_gang or self._crowded(gang):
            return False
        return self._make(gang, what, closed=False)

    def _crowded(self, gang: Gang) -> bool:
        windows = self._state.windows.by_gang.values()
        return sum(window.gang.queue is gang.queue for window in windows) >= self._policy.reservations_per_queue

    def _make(self, gang: Gang, what: Demand, *, closed: bool) -> bool:
        self._counters.windows_sought += 1
        with self._fits.seen_by(gang):
            plans = self._wishes.plans(gang, what)
        window = self._timeline.find(gang, plans, self._view.now) if plans else None
        if window is None:
            return False
        window.closed = closed
        self._asked[gang.id] = what
        with self._fits.seen_by(gang):
            social = [shape for shape, _ in counts(what) if shape.stake is not None]
            self._open_to[gang.id] = [(shape, window.rows[self._wishes.admits(shape)[window.rows]]) for shape in social]
        self._state.windows.by_gang[gang.id] = window
        return True

    def drop(self, gang_id: GangId) -> None:
        """Nothing is kept for it any more: those who were kept out are told."""
        window = self._state.windows.by_gang.pop(gang_id, None)
        self._asked.pop(gang_id, None)
        self._open_to.pop(gang_id, None)
        if window is not None:
            self._state.changes.freed.update((Row(row), None) for row in window.rows.tolist())

    def recall(self, gang_id: GangId) -> None:
        """Something about a gang has changed: a window that is not what it asks for any more is dropped."""
        window = self._state.windows.by_gang.get(gang_id)
        if window is None:
            return
        gang = self._state.gangs.get(gang_id)
        same = gang is not None and gang is window.gang and gang.admitted and gang.fact is not None
        what = demand(gang) if gang is not None and same else None
        asked = counts(what) if isinstance(what, Demand) and not what.surplus else []
        if asked != counts(self._asked[gang_id]):
            self.drop(gang_id)

    def review(self) -> None:
        """Windows that cannot be kept are made anew; those whose window has come are closed."""
        for gang_id, window in list(self._state.windows.by_gang.items()):
            if self._broken(window):
                asked = self._asked[gang_id]
                self.drop(gang_id)
                self._make(window.gang, asked, closed=window.closed)
            elif window.until is not None and window.until <= self._view.now:
                window.closed = True
                self._state.changes.gangs[gang_id] = window.gang

    def overdue(self) -> list[tuple[Task, GangId]]:
        """Pods that hold up a gang whose window has opened, though they said they would be gone; where that matters."""
        if not self._policy.evict_overdue:
            return []
        return [
            (task, gang_id)
            for gang_id, window in self._state.windows.by_gang.items()
            for task, end in self._late(window)
            if end <= self._view.now
        ]

    def _late(self, window: Window) -> Iterator[tuple[Task, Instant]]:
        """Who is still there though the window has opened, with the end that he said; nobody who said nothing."""
        for uid in window.loans if window.closed else ():
            task = self._state.tasks[uid]
            end = ends_at(task, self._view.now)
            if end is not None and task.state in EVICTABLE and task.fact.preemptable:
                yield task, end

    def _broken(self, window: Window) -> bool:
        table = self._state.table
        gone = not table.open_rows()[window.rows].all()
        if gone or bool((window.spare(table) < 0).any()):
            return True
        return self._kept_out(window) or (window.pieces and self._shared(window))

    def _kept_out(self, window: Window) -> bool:
        """Somebody has come who keeps its pods from a row of it that was open to them."""
        with self._fits.seen_by(window.gang):
            return any(not self._wishes.admits(shape)[rows].all() for shape, rows in self._open_to[window.gang.id])

    def _shared(self, window: Window) -> bool:
        """Somebody has devices or cpus of his own there who is not expected to be gone."""
        nodes = [self._state.node_at[Row(row)] for row in window.rows.tolist()]
        tasks = [task for node in nodes for task in node.tasks.values() if task.uid not in window.loans]
        return any(self._state.pieces.counted(task) for task in tasks)

    def wake_at(self) -> Instant | None:
        """When the next window opens."""
        windows = self._state.windows.by_gang.values()
        due = [window.until for window in windows if window.until is not None and not window.closed]
        if self._policy.evict_overdue:
            due += [end for window in windows for _, end in self._late(window) if end > self._view.now]
        return min(due, default=None)


def _is_room(blocker: Blocker) -> bool:
    """Those who end make a difference."""
    if isinstance(blocker, NeedsPeers):
        return not isinstance(blocker, NeedsVolume | NeedsDevices)
    return isinstance(blocker, NeedsCapacity | NeedsTopology) and not blocker.hopeless
