"""Where sleeping lanes wait, by what could cure them. An event touches only those whose cure it may be.

| blocker | parked under | woken by |
|---|---|---|
| NeedsNamespaceQuota | the namespace | its quotas change, or less is promised there |
| NeedsQuota, QueueClosed, QueueNotLeaf | the queue | its usage falls, its facts or its share change, totals change |
| NeedsHeadroom | headroom | anything ends, a promise is let go, totals change |
| NeedsCapacity | its shapes | so much more room on admitted nodes that it might fit |
| NeedsTopology | its shapes, HyperNodes | room in a domain that would do; HyperNodes, or nodes in them, change |
| NeedsPeers | the tallies that its shapes look at, nodes | one of them moves the right way, a node changes |
| NeedsNode, hopeless ones | nodes | a node comes or changes |
| NeedsTime | the clock | the instant |
| NeedsRoom | its claims | all that was to leave has left |
| NeedsVictims | victims | others end, shares or budgets change; not before its instant |
| NeedsAnswer | the ask | Answered |
| Refused (a policy's own reason) | everything above but the clock | any of it |

Blockers that lie in the gang itself (NeedsGang, NeedsMembers, Gated) need no parking place: facts about the gang make
the engine look at it again anyway.
"""

from heapq import heappop, heappush

from flowbatch.engine.company import CompanyWatches
from flowbatch.engine.fits import Fits
from flowbatch.engine.pending import Lane
from flowbatch.engine.room import Near, Rooms, RoomWatches
from flowbatch.model.blockers import (
    Blocker,
    NeedsAnswer,
    NeedsCapacity,
    NeedsHeadroom,
    NeedsNamespaceQuota,
    NeedsNode,
    NeedsPeers,
    NeedsQuota,
    NeedsRoom,
    NeedsTime,
    NeedsTopology,
    NeedsVictims,
    QueueClosed,
    QueueNotLeaf,
    Refused,
)
from flowbatch.model.changes import StateChanges
from flowbatch.model.ids import Instant, QueueName, Row
from flowbatch.model.state import ClusterState

Lanes = dict[Lane, None]


class Parking:
    """Sleeping lanes by cure."""

    def __init__(self, state: ClusterState, fits: Fits) -> None:
        self._queues: dict[QueueName, Lanes] = {}
        self._namespaces: dict[str, Lanes] = {}
        self._headroom: Lanes = {}
        #: Of those, how little must be taken, by axis, before the gate opens; and who hopes that it is so little.
        self._passes_at: dict[Lane, list[tuple[int, int]]] = {}
        self._hoping: Lanes = {}
        self._nodes: Lanes = {}
        self._topology: Lanes = {}
        self._company = CompanyWatches()
        self._storage: Lanes = {}
        self._any: Lanes = {}
        self._room = RoomWatches(state, fits)
        self._clock: list[tuple[Instant, int, Lane]] = []
        #: Lanes with a gang that others make room for.
        self._claiming: Lanes = {}
        #: Lanes that found nobody to evict, and when they may look again.
        self._victims: dict[Lane, Instant] = {}
        self._state = state
        #: The moment for which each lane waits; what else is in the heap is stale.
        self._due: dict[Lane, Instant] = {}
        self._asks: dict[str, Lane] = {}
        self._count = 0

    def park(self, lane: Lane, blocker: Blocker, rooms: Rooms | None = None, needs: int | Near | None = None) -> None:
        """Remember what could cure `lane`.

        `rooms` are its shapes with the copies that fit by row; `needs` is how many copies it takes in all, where that
        alone decides (one shape, nothing held).
        """
        match blocker:
            case NeedsQuota(queue=queue) | QueueClosed(queue=queue) | QueueNotLeaf(queue=queue):
                self._queues.setdefault(queue, {})[lane] = None
            case NeedsNamespaceQuota(namespace=namespace):
                self._namespaces.setdefault(namespace, {})[lane] = None
            case NeedsHeadroom(passes_at=passes_at, hopeless=False):
                self._headroom[lane] = None
                if passes_at:
                    self._passes_at[lane] = [(self._state.axes.axis(name), most) for name, most in passes_at]
            case NeedsNode() | NeedsCapacity(hopeless=True) | NeedsHeadroom(hopeless=True):
                self._nodes[lane] = None
            case NeedsTopology(hopeless=hopeless):
                self._topology[lane] = None
                if hopeless:
                    self._nodes[lane] = None
                else:
                    self._room.add(lane, needs, rooms or {})
            case NeedsCapacity():
                self._room.add(lane, needs, rooms or {})
            case NeedsPeers():
                self._nodes[lane] = None
                shapes = [shape for shape, _ in (rooms or {}).values()]
                self._company.add(lane, shapes)
                if any(shape.spec.claims for shape in shapes):
                    self._storage[lane] = None
            case Refused():
                self._any[lane] = None
            case _:
                self._park_rare(lane, blocker)

    def _park_rare(self, lane: Lane, blocker: Blocker) -> None:
        match blocker:
            case NeedsTime(until=until):
                self._at(until, lane)
            case NeedsRoom():
                self._claiming[lane] = None
            case NeedsVictims(after=after):
                self._victims[lane] = after
            case NeedsAnswer(ask=ask):
                self._asks[ask] = lane

    def leave(self, lane: Lane) -> None:
        """The lane is awake, or gone."""
        for blocker in (lane.blocker, *lane.also):
            self._leave(lane, blocker)

    def _leave(self, lane: Lane, blocker: Blocker | None) -> None:
        match blocker:
            case NeedsQuota(queue=queue) | QueueClosed(queue=queue) | QueueNotLeaf(queue=queue):
                self._queues.get(queue, {}).pop(lane, None)
            case NeedsNamespaceQuota(namespace=namespace):
                self._namespaces.get(namespace, {}).pop(lane, None)
            case NeedsTime():
                self._due.pop(lane, None)
            case NeedsRoom():
                self._claiming.pop(lane, None)
            case NeedsVictims():
                self._due.pop(lane, None)
                self._victims.pop(lane, None)
            case NeedsCapacity(shapes=shapes) | NeedsTopology(shapes=shapes):
                self._nodes.pop(lane, None)
                self._topology.pop(lane, None)
                for shape in shapes:
                    self._room.remove(lane, shape)
            case NeedsPeers():
                self._nodes.pop(lane, None)
                self._company.remove(lane)
                self._storage.pop(lane, None)
            case NeedsAnswer(ask=ask):
                self._asks.pop(ask, None)
            case _:
                self._headroom.pop(lane, None)
                self._passes_at.pop(lane, None)
                self._hoping.pop(lane, None)
                self._nodes.pop(lane, None)
                self._any.pop(lane, None)

    def woken(self, changes: StateChanges, now: Instant) -> list[Lane]:
        """Lanes for which something in `changes`, or the time, may be the cure; in a fixed order, without repeats."""
        found: Lanes = {}
        if changes.total:
            for lanes in self._queues.values():
                found |= lanes
        else:
            for queue in changes.queues:
                found |= self._queues.get(queue, {})
        for namespace in changes.quotas:
            found |= self._namespaces.get(namespace, {})
        if changes.headroom:
            found |= {lane: None for lane in self._headroom if changes.total or lane not in self._passes_at}
        if changes.nodes:
            found |= self._nodes
        if changes.topology:
            found |= self._topology
        if changes.tallies:
            found |= self._company.woken(changes.tallies)
        if changes.any():
            found |= self._any
        if changes.freed:
            found |= dict.fromkeys(lane for lane in self._claiming if self._cleared(lane, changes.freed))
        self._reconsider(found, changes, now)
        if changes.storage:
            found |= self._storage
        return list(found | self._overdue(now))

    def hopeful(self, changes: StateChanges) -> list[Lane]:
        """Lanes for which there may be room now."""
        found = self._room.woken(changes.freed) if changes.freed else []
        if changes.headroom and self._passes_at:
            passing = [lane for lane in self._passes_at if self._passes(lane)]
            self._hoping |= dict.fromkeys(passing)
            found += passing
        return found

    def _passes(self, lane: Lane) -> bool:
        """So little is taken, in use or promised, that the gate may open for one of the lane."""
        used, promised = self._state.used, self._state.inqueue
        return all(used.get(axis, 0) + promised.get(axis, 0) <= most for axis, most in self._passes_at[lane])

    def dashed(self) -> list[Lane]:
        """Hopeful lanes whose room somebody else has taken."""
        gone = [lane for lane in self._hoping if not self._passes(lane)]
        for lane in gone:
            del self._hoping[lane]
        return gone + self._room.dashed()

    def _overdue(self, now: Instant) -> Lanes:
        found: Lanes = {}
        while self._clock and self._clock[0][0] <= now:
            until, _, lane = heappop(self._clock)
            if self._due.get(lane) == until:
                found[lane] = None
        return found

    def _at(self, until: Instant, lane: Lane) -> None:
        """Wake the lane then, or before if it is due before."""
        until = min(until, self._due.get(lane, until))
        self._count += 1
        self._due[lane] = until
        heappush(self._clock, (until, self._count, lane))

    def _cleared(self, lane: Lane, freed: dict[Row, None]) -> bool:
        """All room that others were told to leave for its gang is there."""
        return any(
            entry.gang.claims
            and any(row in entry.gang.claimed_at for row in freed)
            and self._state.claims_are_free(entry.gang)
            for entry in lane.members.values()
        )

    def _reconsider(self, found: Lanes, changes: StateChanges, now: Instant) -> None:
        """Others might go now for those who found nobody; not before their time, but then without another event."""
        for lane, after in self._victims.items() if self._victims and changes.loosened() else ():
            if after <= now:
                found[lane] = None
            else:
                self._at(after, lane)

    def answered(self, ask: str) -> Lane | None:
        """The lane that waits for this answer."""
        return self._asks.get(ask)

    def wake_at(self) -> Instant | None:
        """When the next lane is due by the clock."""
        while self._clock and self._due.get(self._clock[0][2]) != self._clock[0][0]:
            heappop(self._clock)
        return self._clock[0][0] if self._clock else None
