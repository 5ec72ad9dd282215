"""Gangs that others make room for: until when their claims are kept, and whose pod is nominated for which node.

Nominations are for whoever decides after a restart: pods that carry one claim that room again, before anybody else is
tried. A claim ends with its gang's placement, with the room itself, or when it has been kept for too long.
"""

from collections.abc import Iterable

import numpy as np

from flowbatch.engine.decisions import Nominate
from flowbatch.engine.fits import Fits
from flowbatch.engine.outbox import Outbox
from flowbatch.model.blockers import NeedsRoom
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid, Row
from flowbatch.model.lifecycle import TaskState
from flowbatch.model.state import ClusterState


class Holds:
    """Knows every gang with claims; everything else about them is in the state."""

    def __init__(self, state: ClusterState, outbox: Outbox) -> None:
        self._state = state
        self._outbox = outbox
        #: Gang -> its pods with the node each is nominated for.
        self._named: dict[GangId, dict[PodUid, NodeName]] = {}

    def take(
        self, gang: Gang, claims: tuple[Reservation, ...], named: Iterable[tuple[Task, Row]], until: Instant
    ) -> None:
        """Keep this room for `gang`."""
        before = self._named.get(gang.id, {})
        self._state.claim(gang, claims, until)
        names = {task.fact.uid: self._state.node_at[row].name for task, row in named}
        self._named[gang.id] = names
        self._nominate(gang, before, names)

    def _nominate(self, gang: Gang, before: dict[PodUid, NodeName], now: dict[PodUid, NodeName]) -> None:
        for uid in dict.fromkeys([*before, *now]):
            task, node = gang.tasks.get(uid), now.get(uid)
            if task is not None and task.state is TaskState.PENDING and before.get(uid) != node:
                fact = task.fact
                self._outbox.nominate(Nominate(uid, fact.namespace, fact.name, node))

    def review(self, now: Instant) -> None:
        """Let go of what was kept for too long, and of the nominations of those who claim nothing any more."""
        for gang_id, names in list(self._named.items()):
            gang = self._state.gangs.get(gang_id)
            if gang is not None and gang.claims and gang.claimed_until <= now:
                self._state.unclaim(gang)
            if gang is None or not gang.claims:
                del self._named[gang_id]
                if gang is not None:
                    self._nominate(gang, names, {})

    def wake_at(self) -> Instant | None:
        """When the next claim ends."""
        gangs = (self._state.gangs.get(gang_id) for gang_id in self._named)
        return min((gang.claimed_until for gang in gangs if gang is not None and gang.claims), default=None)

    def drop_at(self, node: NodeName) -> None:
        """Somebody stays on `node` after all, nobody knows who was to gain: whoever claims room there looks anew."""
        found = self._state.nodes.get(node)
        for gang_id in list(self._named) if found else ():
            gang = self._state.gangs.get(gang_id)
            if gang is not None and found is not None and any(found.row in claim.rows for claim in gang.claims):
                self._state.unclaim(gang)

    def waiting(self, gang: Gang) -> NeedsRoom:
        """What a gang with claims waits for."""
        leaving = [task.node.row for task in gang.awaits.values() if task.node]
        if not leaving:
            others = self._state.leaving.values()
            leaving = [task.node.row for task in others if task.node and task.node.row in gang.claimed_at]
        return NeedsRoom(len(leaving), len(dict.fromkeys(leaving)), gang.claimed_until)

    # -- after a restart

    def remember(self, fits: Fits, until: Instant) -> None:
        """Claim again what pods are nominated for, as far as the room is there or about to be."""
        gangs = [gang for gang in self._state.gangs.values() if gang.fact is not None and not gang.claims]
        for gang in sorted(gangs, key=lambda gang: (-gang.priority, gang.created, gang.id)):
            named = [
                (task, node.row)
                for task in gang.pending.values()
                if task.fact.nominated and (node := self._state.nodes.get(task.fact.nominated)) is not None
            ]
            claims = _claims(named)
            if claims and all(self._there(claim, fits) for claim in claims):
                self._named[gang.id] = {task.fact.uid: self._state.node_at[row].name for task, row in named}
                self._state.claim(gang, claims, until)

    def _there(self, claim: Reservation, fits: Fits) -> bool:
        table = self._state.table
        table.fit_axes()
        if not (fits.of(claim.shape).mask[claim.rows] & table.ready[claim.rows]).all():
            return False
        return all(
            (table.future(axis)[claim.rows] >= claim.counts * amount).all() for axis, amount in claim.shape.request
        )


def _claims(named: list[tuple[Task, Row]]) -> tuple[Reservation, ...]:
    """One claim for each task name and shape."""
    groups: dict[tuple[str, int], list[tuple[Task, Row]]] = {}
    for task, row in named:
        groups.setdefault((task.fact.task, task.shape.id), []).append((task, row))
    claims = []
    for (name, _), members in groups.items():
        rows, counts = np.unique(np.array([row for _, row in members], np.int64), return_counts=True)
        claims.append(Reservation(name, members[0][0].shape, rows, counts.astype(np.int64)))
    return tuple(claims)
