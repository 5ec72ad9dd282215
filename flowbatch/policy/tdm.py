"""Nodes that are ours only at some hours of the day (Volcano: tdm plugin, time division multiplexing).

A node with the label `volcano.sh/revocable-zone` takes pods only while its zone is open, and only pods that may be
evicted again; when the zone closes they go, as many at a time as their gang can bear. Hours are UTC.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Final

import numpy as np

from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Instant
from flowbatch.model.lifecycle import FINISHED, TaskState
from flowbatch.model.nodes import Node
from flowbatch.model.shapes import Shape
from flowbatch.model.table import Bools, Floats
from flowbatch.model.view import ClusterView
from flowbatch.policy.contract import Extra, Key, Rows, Trend

ZONE: Final = "volcano.sh/revocable-zone"
MINUTE_MS: Final = 60_000
DAY_MS: Final = 1440 * MINUTE_MS


@dataclass(frozen=True)
class Hours:
    """A zone is open from one minute of the day to another, over midnight where that is the earlier one."""

    start: int
    end: int

    def open_at(self, now: Instant) -> bool:
        """Whether it is open; equal ends mean the whole day."""
        minute = now % DAY_MS // MINUTE_MS
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def next_turn(self, now: Instant) -> Instant:
        """When it opens or closes next."""
        day = now - now % DAY_MS
        turns = (day + days * DAY_MS + minute * MINUTE_MS for days in (0, 1) for minute in (self.start, self.end))
        return Instant(min(turn for turn in turns if turn > now))


@dataclass(frozen=True)
class Zones:
    """Zones by name, with their hours."""

    hours: tuple[tuple[str, Hours], ...] = ()

    def open_at(self, zone: str, now: Instant) -> bool:
        """A zone without hours is never open."""
        return any(name == zone and hours.open_at(now) for name, hours in self.hours)

    def next_turn(self, now: Instant) -> Instant | None:
        """When any zone opens or closes next."""
        return min((hours.next_turn(now) for _, hours in self.hours), default=None)


@dataclass(frozen=True)
class RevocableZones:
    """Nodes of a closed zone take nobody, those of an open one only pods that may be evicted."""

    zones: Zones = Zones()
    by_moment = True

    def admits(self, shape: Shape, node: Node, view: ClusterView) -> str | None:
        """None for nodes without a zone, and for revocable pods while the zone is open."""
        zone = node.labels.get(ZONE, "")
        return self._reason(zone, shape, view.now) if zone else None

    def _reason(self, zone: str, shape: Shape, now: Instant) -> str | None:
        if not self.zones.open_at(zone, now):
            return f"node(s) of revocable zone {zone} were closed at this hour"
        return None if shape.spec.mark(ZONE) else f"node(s) of revocable zone {zone} take only preemptable pods"

    def refusals(self, shape: Shape, view: ClusterView) -> Iterable[tuple[Bools, str]]:
        """Rows by zone."""
        column = view.columns.label(ZONE)
        for zone in column.values[1:]:
            reason = self._reason(zone, shape, view.now) if zone else None
            if zone and reason:
                yield column.where(zone, view.table.size), reason

    def turns(self, view: ClusterView) -> Instant | None:
        """When any zone opens or closes."""
        return self.zones.next_turn(view.now)


@dataclass(frozen=True)
class RevocableFirst:
    """Pods that may go to a revocable node go there, and leave the others' nodes to others."""

    zones: Zones = Zones()
    weight: float = 1.0
    trend: Trend = field(default="rising", init=False)
    by_moment = True

    def score(self, shape: Shape, rows: Rows, extra: Extra, view: ClusterView) -> Floats:
        """One on nodes of open zones, for pods that may be there."""
        points: Floats = np.zeros(view.table.size)
        column = view.columns.label(ZONE)
        for zone in column.values[1:] if shape.spec.mark(ZONE) else ():
            if zone and self.zones.open_at(zone, view.now):
                points[column.where(zone, points.size)] = 1.0
        result: Floats = points[rows]
        return result


@dataclass(frozen=True)
class PreemptableLast:
    """Gangs that may be evicted come after those that may not."""

    def key(self, gang: Gang, view: ClusterView) -> Key:
        """One for gangs whose PodGroup says that they may."""
        return (int(bool(gang.fact and gang.fact.preemptable)),)


@dataclass(frozen=True)
class Budgeted:
    """Only preemptable pods on ordinary nodes make room, within their gang's budget, and never for preemptable ones."""

    def spares(self, victim: Task, beneficiary: Gang, view: ClusterView) -> str | None:
        """None if it may go."""
        if beneficiary.fact is not None and beneficiary.fact.preemptable:
            return "a preemptable gang evicts nobody"
        if not victim.fact.preemptable or victim.state is not TaskState.RUNNING:
            return "it is not preemptable, or does not run"
        if victim.node is not None and victim.node.labels.get(ZONE):
            return "it is on a revocable node"
        return None if victim.gang is None or may_lose(victim.gang) else "its gang can bear no more to be missing"


def may_lose(gang: Gang) -> int:
    """How many running pods may be evicted now (Volcano: JDB annotations); one where nothing is said.

    Unlike in Volcano, a gang that runs with no more than its minimum loses nobody.
    """
    fact, running = gang.fact, gang.count(TaskState.RUNNING)
    total = len(gang.tasks)
    if fact is not None and fact.may_lack:
        finished = sum(gang.count(state) for state in FINISHED_STATES)
        return max(0, of_total(fact.may_lack, total) - (total - finished - running))
    if fact is not None and fact.must_keep:
        return max(0, running - of_total(fact.must_keep, total))
    return 1


FINISHED_STATES: Final = tuple(sorted(FINISHED))


def of_total(text: str, total: int) -> int:
    """A number, or a percentage of `total` rounded up; what cannot be read is zero."""
    digits = text.removesuffix("%")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        return 0
    return ceil(int(digits) * total / 100) if text.endswith("%") else int(digits)


@dataclass(frozen=True)
class ClosedZones:
    """Preemptable pods that still run where the zone has closed, within the budget of each gang."""

    zones: Zones = Zones()
    every_ms: int = MINUTE_MS

    def victims(self, view: ClusterView) -> Sequence[Task]:
        """In the order of their gangs' ids, oldest pods last."""
        by_gang: dict[str, list[Task]] = {}
        for task in self._late(view):
            by_gang.setdefault(task.gang.id if task.gang else "", []).append(task)
        chosen: list[Task] = []
        for gang_id in sorted(by_gang):
            tasks = sorted(by_gang[gang_id], key=lambda task: (-task.fact.created, task.uid))
            gang = tasks[0].gang
            chosen += tasks[: may_lose(gang)] if gang is not None else tasks
        return chosen

    def _late(self, view: ClusterView) -> Iterator[Task]:
        for node in view.nodes.values():
            zone = node.labels.get(ZONE)
            if zone and any(name == zone for name, _ in self.zones.hours) and not self.zones.open_at(zone, view.now):
                yield from (each for each in node.tasks.values() if each.state is TaskState.RUNNING and _may_go(each))


def _may_go(task: Task) -> bool:
    return task.gang is not None and task.fact.preemptable
