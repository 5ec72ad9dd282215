"""Where every waiting gang stands: in line, asleep until its cure, or short of something of its own.

A gang with new facts is *sorted* anew: its phase, what its queue must keep for it, and the line it belongs in. What an
attempt could not place is *laid down* with all that ask for the same.
"""

from flowbatch.engine.candidates import WAYS
from flowbatch.engine.counters import Counters
from flowbatch.engine.ground import Ground
from flowbatch.engine.guard import Guard
from flowbatch.engine.lanekeys import LaneKeys
from flowbatch.engine.lanes import Entry, Lane
from flowbatch.engine.outbox import Outbox
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.parking import Parking
from flowbatch.engine.pending import Pending
from flowbatch.engine.phases import UNKNOWN_AFTER_MS, is_short, next_phase
from flowbatch.engine.promises import promise, take_back
from flowbatch.engine.questions import Questions
from flowbatch.engine.reservations import Reservations
from flowbatch.engine.standing import Demand, LaneKey, demand, missing
from flowbatch.model.blockers import Behind, Blocker, Refused
from flowbatch.model.changes import StateChanges
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, Instant
from flowbatch.model.resources import Sums, positive_difference
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import Key, KeyPart


class LineUp:
    """Lines, lanes and reasons of one engine."""

    def __init__(self, state: ClusterState, view: View, guard: Guard, counters: Counters, outbox: Outbox) -> None:
        self._state = state
        self._view = view
        self._guard = guard
        self._counters = counters
        self._outbox = outbox
        #: Why each waiting gang waits.
        self.blockers: dict[GangId, Blocker] = {}
        self.questions = Questions()
        #: When gangs that lack members will have lacked them for too long.
        self._short: dict[GangId, Instant] = {}

    def adopt(self, ground: Ground, parking: Parking, reservations: Reservations) -> None:
        """Under another policy every line is empty again."""
        self._policy = policy = ground.policy
        self._reclaims = any(action in WAYS and WAYS[action].across for action in policy.actions)
        self._placement = ground.placement
        self._lane_keys = LaneKeys(ground, self.questions)
        self._parking = parking
        self._reservations = reservations
        #: Gangs before the enqueue gate, and gangs to be placed.
        self.gate = Pending("enqueue", parking.hopes)
        self.place = Pending("place", parking.hopes)

    @property
    def waiting(self) -> bool:
        """Somebody is in line."""
        return bool(self.gate.queues() or self.place.queues())

    def wake_at(self) -> Instant | None:
        """When something is due by the clock alone."""
        moments = (self._parking.wake_at(), min(self._short.values(), default=None), self.questions.next_due())
        due = [at for at in moments if at is not None]
        return min(due) if due else None

    def take_in(self, changes: StateChanges) -> None:
        """Facts have changed: totals, gangs, shares, and whom that wakes, in this order."""
        if changes.total:
            self._state.refresh_total()
            self._rekey()
        if changes.claims:
            self._state.retally(changes)
        if changes.topology:
            changes.topology = self._state.topology.refresh()
        for gang_id, gang in changes.gangs.items():
            self.sort(gang_id, gang)
        if changes.shares or self._state.changes.shares:
            self._share(changes)
        self.wake(changes)

    def grow_late(self) -> None:
        """Gangs that lack members for too long are looked at again, and those that were refused for long enough."""
        for gang_id in self.questions.over(self._view.now):
            refused = self._state.gangs.get(gang_id)
            if refused is not None:
                self._state.changes.gangs[gang_id] = refused
        for gang_id, due in list(self._short.items()):
            gang = self._state.gangs.get(gang_id)
            if due <= self._view.now:
                del self._short[gang_id]
                if gang is not None:
                    self._state.changes.gangs[gang_id] = gang

    def _rekey(self) -> None:
        """Shares are parts of the total: where that moves, gangs that hold something and want more change places."""
        for gang in self._state.gangs.values():
            if gang.allocated and gang.id in self.place:
                self._state.changes.gangs[gang.id] = gang

    def _share(self, changes: StateChanges) -> None:
        """Divide the cluster anew; queues that may have more than before are woken."""
        self._state.changes.shares = False
        rule = self._policy.shares
        if rule is None:
            return
        tree = self._state.queues
        queues = tree.branches() if getattr(rule, "tree", False) else tree.leaves()
        nothing: list[Sums] = [{} for _ in queues]
        shares = self._guard.call(rule, rule.divide, nothing, queues, self._state.total, self._view)
        for queue, share in zip(queues, shares, strict=True):
            before = queue.share or {}
            if queue.share is None or any(amount > before.get(axis, 0) for axis, amount in share.items()):
                changes.queues[queue.name] = None
            queue.share = share

    def wake(self, changes: StateChanges) -> None:
        """Those whose cure may be in `changes`, or may have come with time, stand in line again."""
        for lane in self._parking.woken(changes, self._view.now):
            self.rouse(lane)
        self._parking.give_hope(changes)

    def recheck(self) -> None:
        """Somebody has taken room: who hoped for just that sleeps on."""
        self._parking.recheck()

    def rouse(self, lane: Lane) -> None:
        """The lane's first gang is tried."""
        self._counters.lanes_woken += 1
        self._parking.leave(lane)
        (self.gate if lane.key.stage == "enqueue" else self.place).wake(lane)

    def wake_up(self, lane: Lane) -> None:
        """Its first gang was tried for there might be room, and refused: the cure of the others is another now."""
        if lane.blocker is not None:
            self.rouse(lane)

    def sort(self, gang_id: GangId, gang: Gang) -> None:
        """Work out anew where a gang stands: its phase, its promises, and the line it belongs in."""
        self._counters.gangs_sorted += 1
        self._take_out(gang_id)
        self._outbox.touch(gang_id)
        self._reservations.recall(gang_id)
        current = self._state.gangs.get(gang_id)
        if current is not gang:
            if current is None:
                self.blockers.pop(gang_id, None)
                self._short.pop(gang_id, None)
                self.questions.forget(gang_id)
                self._state.promise_quota(gang_id, {})
            return
        self._state.count_wanted(gang)
        lacking = missing(gang)
        if lacking is not None:
            take_back(self._state, gang)
            self.blockers[gang_id] = lacking
            return
        gang.phase = next_phase(gang, self.blockers.get(gang_id), self._view.now)
        self._watch_short(gang)
        promise(self._state, gang)
        if gang.admitted:
            self._line_up(gang)
            return
        self._state.unclaim(gang)
        self._state.give_up_berths(gang)
        self._state.set_awaited(gang, self._foreseen(gang))
        if gang.phase == "Completed":
            self.blockers.pop(gang_id, None)
        else:
            self._stand_at_gate(gang)

    def _take_out(self, gang_id: GangId) -> None:
        for stage in (self.gate, self.place):
            entry = stage.entry(gang_id)
            if entry is not None:
                lane = stage.remove(gang_id)
                if lane is not None:
                    self._parking.leave(lane)
                elif entry.lane.head is entry:
                    entry.lane.head = None
                    self.rouse(entry.lane)

    def _watch_short(self, gang: Gang) -> None:
        if not is_short(gang):
            gang.short_since = None
            self._short.pop(gang.id, None)
        elif gang.short_since is None:
            gang.short_since = self._view.now
            self._short[gang.id] = Instant(self._view.now + UNKNOWN_AFTER_MS)

    def _line_up(self, gang: Gang) -> None:
        assert gang.queue is not None
        what: Demand | Blocker | None = demand(gang)
        self._state.set_awaited(gang, what.awaited(gang) if isinstance(what, Demand) else {})
        what = self.questions.open(gang.id) or what
        if gang.claims and not gang.pending and not gang.held_back:
            self._state.unclaim(gang)
        if what is None:
            self.blockers.pop(gang.id, None)
        elif isinstance(what, Demand):
            self._put(self.place, gang, self._lane_keys.to_place(gang, what), what)
        else:
            self.blockers[gang.id] = what

    def _foreseen(self, gang: Gang) -> Sums:
        """Where queues take back what is theirs, they ask for what stands at the gate too, without pods."""
        if not self._reclaims or gang.phase == "Completed":
            return {}
        return positive_difference(dict(gang.minimum), gang.wanted)

    def _stand_at_gate(self, gang: Gang) -> None:
        assert gang.queue is not None
        asked = self.questions.open(gang.id)
        if asked is not None:
            self.blockers[gang.id] = asked
            return
        self._put(self.gate, gang, self._lane_keys.at_gate(gang), None)

    def _put(self, stage: Pending, gang: Gang, lane_key: LaneKey, what: Demand | None) -> None:
        entry = stage.put(gang, lane_key, self._gang_key(gang, what), what)
        if lane_key.fifo:
            self._queue_up(entry)
        elif entry.lane.blocker is not None:
            self._counters.refused_alike += 1
            self.blockers[gang.id] = entry.lane.blocker

    def _queue_up(self, entry: Entry) -> None:
        """In a fifo queue: behind the others, or before the one that holds them up."""
        lane = entry.lane
        if len(lane.members) == 1:
            lane.head = entry
        elif lane.blocker is not None and lane.head is not None and entry.key < lane.head.key:
            self.rouse(lane)
        else:
            self._fall_behind(entry)

    def _fall_behind(self, entry: Entry) -> None:
        self.blockers[entry.gang.id] = Behind(entry.lane.key.queue)
        self._outbox.touch(entry.gang.id)

    def _gang_key(self, gang: Gang, what: Demand | None) -> Key:
        # First those that run in part, or whose later members have lost the room that was held for them (a restart).
        urgent = gang.repairing or (what is not None and bool(what.reserve) and gang.started)
        parts: list[KeyPart] = [int(not urgent)]
        for order in self._policy.gang_order:
            parts.extend(self._guard.call(order, order.key, (0,), gang, self._view))
        return (*parts, gang.created, gang.id)

    def resort(self) -> None:
        """Time alone may have changed the order of gangs: all that wait are put in order anew."""
        for stage in (self.gate, self.place):
            for entry in stage.entries():
                self._state.changes.gangs[entry.gang.id] = entry.gang

    def moved(self, stage: Pending, entry: Entry) -> bool:
        """Whether the gang comes later than it seemed when it was lined up; then it is lined up again."""
        key = self._gang_key(entry.gang, entry.demand)
        if key <= entry.key:
            return False
        lane = stage.remove(entry.gang.id)
        if lane is not None:
            self._parking.leave(lane)
        stage.put(entry.gang, entry.lane.key, key, entry.demand)
        return True

    def lay_down(self, stage: Pending, entry: Entry, outcome: Outcome) -> None:
        """Nobody in this lane can go on now: all of them wait for the same cure."""
        lane, blocker = entry.lane, outcome.blocker
        assert blocker is not None
        self.wake_up(lane)
        stage.sleep(lane, blocker, tuple(outcome.also))
        if self._placement.unknowable:
            # What decides may be anybody's place: anything that happens may be the cure.
            outcome.also.append(Refused("placement", "depends on where others are"))
            lane.also = tuple(outcome.also)
        for each in (blocker, *outcome.also):
            self._parking.park(lane, each, outcome.rooms, outcome.needs)
        if lane.key.fifo:
            before, lane.head = lane.head, entry
            if before is not None and before is not entry:
                self._fall_behind(before)
            self.blockers[entry.gang.id] = blocker
        gist = blocker.gist
        for gang_id in lane.members if not lane.key.fifo else ():
            said = self.blockers.get(gang_id)
            if said != blocker:
                self.blockers[gang_id] = blocker
                if said is None or said.gist != gist:
                    self._outbox.touch(gang_id)
        self._outbox.touch(entry.gang.id)
        self._recheck_phase(entry.gang)

    def _recheck_phase(self, gang: Gang) -> None:
        """A gang that runs in part and now cannot be completed is Unknown."""
        gang.phase = next_phase(gang, self.blockers.get(gang.id), self._view.now)

    def ahead(self, gang: Gang) -> tuple[GangId, ...]:
        """Gangs of the same queue that come first and wait as well."""
        for stage in (self.gate, self.place):
            mine = stage.entry(gang.id)
            if mine is not None:
                others = [entry for entry in stage.entries() if entry.lane.key.queue == mine.lane.key.queue]
                return tuple(entry.gang.id for entry in sorted(others, key=lambda e: e.key) if entry.key < mine.key)
        return ()
