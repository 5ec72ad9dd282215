"""Where sleeping lanes wait, by what could cure them. An event touches only those whose cure it may be.

| blocker | parked under | woken by |
|---|---|---|
| NeedsNamespaceQuota | the namespace | its quotas change, or less is promised there |
| NeedsQuota | the queue | hope: its usage falls so far; its facts or its share change, totals change |
| QueueClosed, QueueNotLeaf | the queue | its facts change |
| NeedsHeadroom | headroom | hope: so little is taken that it may pass; totals change |
| NeedsCapacity | its shapes | hope: so much more room on admitted nodes that it might fit |
| NeedsTopology | its shapes, HyperNodes | hope: room in a domain that would do; HyperNodes, or nodes in them, change |
| NeedsPeers | the tallies that its shapes look at, nodes | one of them moves the right way, a node changes |
| NeedsVolume, NeedsDevices | the same, and storage or devices | claims, volumes, classes, pools or users change |
| NeedsNode, hopeless ones | nodes | a node comes or changes |
| NeedsTime | the clock | the instant |
| NeedsRoom | its claims | all that was to leave has left |
| NeedsVictims | victims | others end, shares or budgets change; not before its instant |
| NeedsAnswer | the ask | Answered |
| Refused (a policy's own reason) | everything above but the clock | any of it |

Where it says hope, nothing is woken: the lane's turn may come while it sleeps (engine.hopes).
Blockers that lie in the gang itself (NeedsGang, NeedsMembers, Gated) need no parking place: facts about the gang make
the engine look at it again anyway.
"""

from heapq import heappop, heappush

from flowbatch.engine.company import CompanyWatches
from flowbatch.engine.counters import Counters
from flowbatch.engine.fits import Fits
from flowbatch.engine.headroom import CLUSTER, Headroom, Whose
from flowbatch.engine.hopes import Hopes
from flowbatch.engine.lanes import Lane, Lanes
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
from flowbatch.model.ids import Amounts, Instant, QueueName, Row
from flowbatch.model.shapes import Shape
from flowbatch.model.state import ClusterState


class Parking:
    """Sleeping lanes by cure."""

    def __init__(self, state: ClusterState, fits: Fits, counters: Counters) -> None:
        self._queues: dict[QueueName, Lanes] = {}
        self._namespaces: dict[str, Lanes] = {}
        self._headroom = Headroom(state)
        #: Those of whom it is not known how little must be taken.
        self._less: Lanes = {}
        self._nodes: Lanes = {}
        self._topology: Lanes = {}
        self._company = CompanyWatches()
        self._storage: Lanes = {}
        self._devices: Lanes = {}
        self._any: Lanes = {}
        self._room = RoomWatches(state, fits)
        #: Lanes that may go on without having been woken.
        self.hopes = self._room_hopes, self._headroom_hopes = (
            Hopes(self._room, counters),
            Hopes(self._headroom, counters),
        )
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
            case NeedsQuota() | QueueClosed() | QueueNotLeaf():
                self._wait_for_queue(lane, blocker)
            case NeedsNamespaceQuota(namespace=namespace):
                self._namespaces.setdefault(namespace, {})[lane] = None
            case NeedsHeadroom(passes_at=passes_at, hopeless=False):
                if passes_at:
                    self._wait_for_less(lane, CLUSTER, passes_at)
                else:
                    self._less[lane] = None
            case NeedsNode() | NeedsCapacity(hopeless=True) | NeedsHeadroom(hopeless=True):
                self._nodes[lane] = None
            case NeedsTopology(hopeless=hopeless):
                self._topology[lane] = None
                if hopeless:
                    self._nodes[lane] = None
                else:
                    self._wait_for_room(lane, needs, rooms)
            case NeedsCapacity():
                self._wait_for_room(lane, needs, rooms)
            case NeedsPeers():
                self._nodes[lane] = None
                self._park_among(lane, [shape for shape, _ in (rooms or {}).values()])
            case Refused():
                self._any[lane] = None
            case _:
                self._park_rare(lane, blocker)

    def _wait_for_room(self, lane: Lane, needs: int | Near | None, rooms: Rooms | None) -> None:
        self._room.add(lane, needs, rooms or {})
        self._room_hopes.add(lane)

    def _park_among(self, lane: Lane, shapes: list[Shape]) -> None:
        """Others, volumes or devices decide where there is a place."""
        self._company.add(lane, shapes)
        if any(shape.spec.claims for shape in shapes):
            self._storage[lane] = None
        if any(shape.spec.device_claims for shape in shapes):
            self._devices[lane] = None

    def _wait_for_queue(self, lane: Lane, blocker: NeedsQuota | QueueClosed | QueueNotLeaf) -> None:
        if isinstance(blocker, NeedsQuota) and blocker.passes_at:
            self._wait_for_less(lane, (blocker.queue, blocker.counts), blocker.passes_at)
        else:
            self._queues.setdefault(blocker.queue, {})[lane] = None

    def _wait_for_less(self, lane: Lane, whose: Whose, passes_at: Amounts) -> None:
        self._headroom.add(lane, whose, passes_at)
        self._headroom_hopes.add(lane)

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
        for hopes in self.hopes:
            hopes.remove(lane)
        self._headroom.remove(lane)
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
            case NeedsCapacity() | NeedsTopology():
                self._nodes.pop(lane, None)
                self._topology.pop(lane, None)
                self._room.remove(lane)
            case NeedsPeers():
                self._nodes.pop(lane, None)
                self._company.remove(lane)
                self._storage.pop(lane, None)
                self._devices.pop(lane, None)
            case NeedsAnswer(ask=ask):
                self._asks.pop(ask, None)
            case _:
                self._less.pop(lane, None)
                self._nodes.pop(lane, None)
                self._any.pop(lane, None)

    def woken(self, changes: StateChanges, now: Instant) -> list[Lane]:
        """Lanes for which something in `changes`, or the time, may be the cure; in a fixed order, without repeats."""
        found = self._woken_in_queues(changes)
        for namespace in changes.quotas:
            found |= self._namespaces.get(namespace, {})
        if changes.headroom:
            found |= self._less
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
        return list(found | self._supplied(changes) | self._overdue(now))

    def _supplied(self, changes: StateChanges) -> Lanes:
        """Lanes that wait for what is claimed: volumes, devices."""
        return (self._storage if changes.storage else {}) | (self._devices if changes.devices else {})

    def _woken_in_queues(self, changes: StateChanges) -> Lanes:
        """Those whose queue may hold more; and where only less is held, those that could not say how little will do."""
        found: Lanes = {}
        if changes.total:
            for lanes in (*self._queues.values(), self._headroom.everybody()):
                found |= lanes
            return found
        for queue in changes.queues:
            found |= self._queues.get(queue, {}) | self._headroom.of(queue)
        for queue in changes.eased:
            found |= self._queues.get(queue, {})
        return found

    def give_hope(self, changes: StateChanges) -> None:
        """There may be room now, for some lane or other; none of them is woken for it."""
        if changes.freed:
            self._room.freed(changes.freed)
            self._room_hopes.seek()
        if changes.headroom or changes.eased:
            for queue in changes.eased:
                self._headroom.eased_queue(queue)
            self._headroom.eased(CLUSTER)
            self._headroom_hopes.seek()

    def recheck(self) -> None:
        """Somebody has taken room, or a promise: it may have been the last."""
        self._room.recheck()
        self._headroom.recheck()

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
