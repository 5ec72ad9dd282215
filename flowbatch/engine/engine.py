"""The engine: events in, decisions out. Control flow only; what is computed is in the modules it calls.

`observe` folds facts into the state and decides nothing. `cycle` looks only at what has changed: gangs with new facts
are sorted anew, lanes whose cure may have come are woken, and those in line are tried in order until the budget is
spent.
No clock, no luck, no I/O: the same events and ticks give the same plans.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import assert_never

from flowbatch.engine.attempt import Attempts, Outcome
from flowbatch.engine.counters import Counters
from flowbatch.engine.decisions import Ask, Bind, Decision, Plan, QueueReport, Report, Step, Tick
from flowbatch.engine.events import (
    Answered,
    BindFailed,
    Event,
    EvictFailed,
    GangGone,
    GangSeen,
    NodeGone,
    NodeSeen,
    PodGone,
    PodSeen,
    PolicyDropped,
    QueueGone,
    QueueSeen,
    StepFailed,
    Synced,
    UsageSeen,
)
from flowbatch.engine.fits import Fits
from flowbatch.engine.guard import Guard
from flowbatch.engine.ledgers import Ledgers
from flowbatch.engine.outbox import Outbox
from flowbatch.engine.parking import Parking
from flowbatch.engine.pending import Entry, Lane, Pending
from flowbatch.engine.phases import UNKNOWN_AFTER_MS, is_short, next_phase
from flowbatch.engine.placement import Placement
from flowbatch.engine.questions import Questions
from flowbatch.engine.report import Explanation, Words
from flowbatch.engine.standing import Demand, LaneKey, demand, missing
from flowbatch.model.blockers import Blocker, Refused
from flowbatch.model.changes import StateChanges
from flowbatch.model.check import check
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, Instant, PodUid, QueueName
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.resources import Sums, add, positive_difference
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.contract import Key
from flowbatch.policy.gates import minimum_of
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT


class Engine:
    """One scheduler's mind. Two of them in one process share nothing."""

    def __init__(self, policy: Policy = DEFAULT, *, validate: bool = False) -> None:
        self.state = ClusterState()
        self.counters = Counters()
        self.guard = Guard()
        self._validate = validate
        self._view = View(self.state)
        self._synced = False
        #: Something has changed since the last plan.
        self._news = False
        self._blockers: dict[GangId, Blocker] = {}
        self._outbox = Outbox()
        self._questions = Questions()
        self._short: dict[GangId, Instant] = {}
        self._now = Instant(0)
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Take on another policy: every gang is looked at again; what is placed stays."""
        self.policy = policy
        self.guard.dropped.clear()
        self._fits = Fits(self.state, self._view, policy, self.guard, self.counters)
        self.placement = Placement(self.state, self._view, policy, self.guard, self._fits, self.counters)
        self._attempts = Attempts(self.state, self._view, policy, self.guard, self._fits, self.placement)
        self._ledgers = Ledgers(self.state, [make() for make in policy.ledgers], self.guard)
        self._parking = Parking(self.state, self._fits)
        self._words = Words(self.state, self._fits)
        self._enqueue = Pending()
        self._place = Pending()
        for queue in self.state.queues.by_name.values():
            queue.share = None
        changes = self.state.changes
        changes.shares = changes.total = True
        changes.gangs.update(self.state.gangs)

    # -- facts in

    def observe(self, events: Sequence[Event]) -> None:
        """Fold facts in; decides nothing."""
        self.counters.events += len(events)
        for event in events:
            self._fold(event)

    def _fold(self, event: Event) -> None:
        state = self.state
        match event:
            case PodSeen():
                state.observe_pod(event)
            case PodGone():
                state.forget_pod(event.uid)
            case GangSeen():
                state.observe_gang(event)
            case GangGone():
                state.forget_gang(event.id)
            case NodeSeen():
                state.observe_node(event)
            case NodeGone():
                state.forget_node(event.name)
                self._view.measured.pop(event.name, None)
            case QueueSeen():
                state.observe_queue(event)
            case QueueGone():
                state.forget_queue(event.name)
            case BindFailed():
                state.refuse(event.uid, event.node, permanent=event.permanent)
            case _:
                self._fold_rare(event)

    def _fold_rare(self, event: EvictFailed | StepFailed | Answered | UsageSeen | PolicyDropped | Synced) -> None:
        match event:
            case EvictFailed():
                self.state.spare(event.uid)
            case StepFailed():
                self._step_failed(event.uid)
            case Answered():
                self._answered(event)
            case UsageSeen():
                self._view.measured[event.node] = event.permille
            case PolicyDropped():
                self.guard.drop(event.policy, event.reason)
                self.adopt_again()
            case Synced():
                self._synced = True
            case _:
                assert_never(event)

    def adopt_again(self) -> None:
        """A policy was dropped: what it had a say in is decided again without it."""
        dropped = dict(self.guard.dropped)
        self.adopt(self.policy)
        self.guard.dropped.update(dropped)

    def _step_failed(self, uid: PodUid) -> None:
        task = self.state.tasks.get(uid)
        if task is not None and task.node is not None:
            self.state.refuse(uid, task.node.name, permanent=False)

    def _answered(self, event: Answered) -> None:
        question = self._questions.take(event.ask)
        gang = self.state.gangs.get(question.gang) if question else None
        if question is None or gang is None:
            return
        agreed = event.answer == "yes"
        for uid in question.tasks:
            task = gang.tasks.get(uid)
            if task is None or task.node is None or task.confirmed:
                continue
            if agreed:
                self.state.move(task, Stimulus.PLACE)
                self._outbox.bind(self._bind(gang, task.fact.uid))
            else:
                self.state.refuse(uid, task.node.name, permanent=False)
        if not agreed:
            self._questions.refuse(gang.id, question.text, event.answer)
        self.state.changes.gangs[gang.id] = gang

    # -- decisions out

    def cycle(self, tick: Tick) -> Plan:
        """Decide: at most `tick.budget` attempts, the rest next time (`more`)."""
        self.counters.cycles += 1
        self._now = self._view.now = tick.now
        if not self._synced:
            return Plan(self.counters.cycles)
        self._words.fresh()
        budget = tick.budget
        self._absorb()
        while budget > 0 and (self._enqueue.queues() or self._place.queues()):
            budget = self._run(self._enqueue, budget)
            budget = self._run(self._place, budget)
            self._absorb()
        if self._validate:
            check(self.state)
        return self._plan(more=bool(self._enqueue.queues() or self._place.queues()))

    def _plan(self, *, more: bool) -> Plan:
        decisions: list[Decision] = [*self.guard.reports(), *self._outbox.drain()]
        reports = [report for gang_id in self._outbox.touched() for report in self._report(gang_id)]
        self.counters.reports += len(reports)
        decisions += reports
        decisions += self._queue_reports()
        due = [at for at in (self._parking.wake_at(), min(self._short.values(), default=None)) if at is not None]
        return Plan(self.counters.cycles, tuple(decisions), more, min(due) if due else None)

    def _report(self, gang_id: GangId) -> list[Report]:
        gang = self.state.gangs.get(gang_id)
        if gang is None or gang.fact is None:
            self._outbox.forget(gang_id)
            return []
        report = self._words.report(gang, self._blockers.get(gang_id))
        return [report] if self._outbox.news(report, gang) else []

    def _queue_reports(self) -> list[QueueReport]:
        if not self._news:
            return []
        self._news = False
        return self._outbox.queue_news(self.state)

    # -- what has changed

    def _absorb(self) -> None:
        """Take in all that happened since: totals, gangs, shares, and whom that wakes."""
        state = self.state
        self._grow_late()
        self._wake(StateChanges())
        while state.changes.any():
            changes, state.changes = state.changes, StateChanges()
            self._news = True
            if changes.total:
                state.refresh_total()
                self._rekey()
            for gang_id, gang in changes.gangs.items():
                self._sort(gang_id, gang)
            if changes.shares or state.changes.shares:
                self._share(changes)
            self._wake(changes)

    def _grow_late(self) -> None:
        """Gangs that lack members for too long are looked at again."""
        for gang_id, due in list(self._short.items()):
            gang = self.state.gangs.get(gang_id)
            if due <= self._now:
                del self._short[gang_id]
                if gang is not None:
                    self.state.changes.gangs[gang_id] = gang

    def _rekey(self) -> None:
        """Shares are parts of the total: where that moves, gangs that hold something and want more change places."""
        for gang in self.state.gangs.values():
            if gang.allocated and gang.id in self._place:
                self.state.changes.gangs[gang.id] = gang

    def _share(self, changes: StateChanges) -> None:
        """Divide the cluster anew; queues that may have more than before are woken."""
        self.state.changes.shares = False
        rule = self.policy.shares
        if rule is None:
            return
        queues = self.state.queues.leaves()
        nothing: list[Sums] = [{} for _ in queues]
        shares = self.guard.call(rule, rule.divide, nothing, queues, self.state.total, self._view)
        for queue, share in zip(queues, shares, strict=True):
            before = queue.share or {}
            if queue.share is None or any(amount > before.get(axis, 0) for axis, amount in share.items()):
                changes.queues[queue.name] = None
            queue.share = share

    def _wake(self, changes: StateChanges) -> None:
        for lane in self._parking.woken(changes, self._now):
            self._rouse(lane)

    def _rouse(self, lane: Lane) -> None:
        self.counters.lanes_woken += 1
        self._parking.leave(lane)
        (self._enqueue if lane.key.stage == "enqueue" else self._place).wake(lane)

    # -- where a gang stands

    def _sort(self, gang_id: GangId, gang: Gang) -> None:
        """Work out anew where a gang stands: its phase, its promises, and the line it belongs in."""
        self.counters.gangs_sorted += 1
        self._take_out(gang_id)
        self._outbox.touch(gang_id)
        current = self.state.gangs.get(gang_id)
        if current is not gang:
            if current is None:
                self._blockers.pop(gang_id, None)
                self._short.pop(gang_id, None)
                self._questions.forget(gang_id)
            return
        self.state.count_wanted(gang)
        lacking = missing(gang)
        if lacking is not None:
            self.state.set_awaited(gang, {})
            self.state.set_promises(gang, {}, {})
            self._blockers[gang_id] = lacking
            return
        gang.phase = next_phase(gang, self._blockers.get(gang_id), self._now)
        self._watch_short(gang)
        self._promise(gang)
        if gang.admitted:
            self._line_up(gang)
            return
        self.state.set_awaited(gang, {})
        if gang.phase == "Completed":
            self._blockers.pop(gang_id, None)
        else:
            self._stand_at_gate(gang)

    def _take_out(self, gang_id: GangId) -> None:
        for stage in (self._enqueue, self._place):
            entry = stage.entry(gang_id)
            if entry is not None:
                lane = stage.remove(gang_id)
                if lane is not None:
                    self._parking.leave(lane)

    def _watch_short(self, gang: Gang) -> None:
        if not is_short(gang):
            gang.short_since = None
            self._short.pop(gang.id, None)
        elif gang.short_since is None:
            gang.short_since = self._now
            self._short[gang.id] = Instant(self._now + UNKNOWN_AFTER_MS)

    def _promise(self, gang: Gang) -> None:
        minimum = dict(minimum_of(gang, self._view))
        inqueue: Sums = {}
        elastic: Sums = {}
        if minimum:
            if gang.phase == "Inqueue":
                taken = dict(gang.allocated)
                for task in gang.tasks.values() if gang.gated else ():
                    if task.fact.gated:
                        add(taken, task.shape.request)
                inqueue = positive_difference(minimum, taken)
            elastic = positive_difference({a: n for a, n in gang.allocated.items() if a in minimum}, minimum)
        self.state.set_promises(gang, inqueue, elastic)

    def _line_up(self, gang: Gang) -> None:
        assert gang.queue is not None
        what: Demand | Blocker | None = demand(gang)
        self.state.set_awaited(gang, what.awaited(gang) if isinstance(what, Demand) else {})
        what = self._questions.open(gang.id) or what
        if what is None:
            self._blockers.pop(gang.id, None)
        elif isinstance(what, Demand):
            lane_key = what.lane(gang, gang.queue.name)
            own = self.policy.admission and not all(getattr(each, "alike", False) for each in self.policy.admission)
            if own or self.placement.one_by_one:
                lane_key = LaneKey(lane_key.queue, "place", solo=gang.id)
            self._put(self._place, gang, lane_key, what)
        else:
            self._blockers[gang.id] = what

    def _stand_at_gate(self, gang: Gang) -> None:
        assert gang.queue is not None
        alike = all(getattr(each, "alike", False) for each in self.policy.enqueue)
        minimum = minimum_of(gang, self._view)
        key = LaneKey(gang.queue.name, "enqueue", minimum=minimum, solo=None if alike else gang.id)
        self._put(self._enqueue, gang, key, None)

    def _put(self, stage: Pending, gang: Gang, lane_key: LaneKey, what: Demand | None) -> None:
        entry = stage.put(gang, lane_key, self._gang_key(gang, what), what)
        if entry.lane.blocker is not None:
            self.counters.refused_alike += 1
            self._blockers[gang.id] = entry.lane.blocker

    def _gang_key(self, gang: Gang, what: Demand | None) -> Key:
        # First those that run in part, or whose later members have lost the room that was held for them (a restart).
        urgent = gang.repairing or (what is not None and bool(what.reserve) and gang.started)
        parts: list[float | int | str] = [int(not urgent)]
        for order in self.policy.gang_order:
            parts.extend(self.guard.call(order, order.key, (0,), gang, self._view))
        return (*parts, gang.created, gang.id)

    def _queue_key(self, name: QueueName, head: Entry) -> Key:
        queue = self.state.queues.by_name[name]
        parts: list[float | int | str] = [head.key[0]]
        for order in self.policy.queue_order:
            parts.extend(self.guard.call(order, order.key, (0,), queue, self._view))
        return (*parts, queue.fact.created if queue.fact else 0, name)

    # -- trying

    def _run(self, stage: Pending, budget: int) -> int:
        """Try gangs, queue by queue in turn, until nobody is in line or the budget is spent."""
        line: list[tuple[Key, QueueName]] = []
        for name in stage.queues():
            head = stage.head(name)
            assert head is not None
            line.append((self._queue_key(name, head), name))
        heapify(line)
        while line and budget > 0:
            _, name = heappop(line)
            head = stage.head(name)
            if head is None:
                continue
            budget -= 1
            self.counters.attempts += 1
            if stage is self._enqueue:
                self._try_gate(head)
            else:
                self._try_place(head, alone=not line and stage.alone(name))
            head = stage.head(name)
            if head is not None:
                heappush(line, (self._queue_key(name, head), name))
        return budget

    def _try_gate(self, entry: Entry) -> None:
        gang = entry.gang
        for admission in self.policy.enqueue:
            blocker = self.guard.call(admission, admission.blocker, None, gang, self._view)
            if blocker is not None:
                self._lay_down(self._enqueue, entry, Outcome(blocker=blocker))
                return
        gang.phase = "Inqueue"
        self._blockers.pop(gang.id, None)
        self._sort(gang.id, gang)

    def _try_place(self, entry: Entry, *, alone: bool) -> None:
        gang, what = entry.gang, entry.demand
        assert what is not None
        for admission in self.policy.admission:
            blocker = self.guard.call(admission, admission.blocker, None, gang, self._view)
            if blocker is not None:
                self._lay_down(self._place, entry, Outcome(blocker=blocker))
                return
        outcome = self._attempts.attempt(gang, what, None if alone else self.policy.surplus_batch)
        for task, _ in outcome.placed:
            if outcome.question is None or task.shape.best_effort:
                self._outbox.bind(self._bind(gang, task.fact.uid))
        if outcome.question is not None:
            self._ask(gang, outcome)
        if outcome.blocker is None or outcome.placed or outcome.settled:
            self._blockers.pop(gang.id, None)
            self._sort(gang.id, gang)
        else:
            self._lay_down(self._place, entry, outcome)

    def _ask(self, gang: Gang, outcome: Outcome) -> None:
        assert outcome.question is not None
        held = [task.fact.uid for task, _ in outcome.placed if not task.shape.best_effort]
        ask = self._questions.put(gang.id, outcome.question, held)
        self._outbox.ask(Ask(ask, outcome.question))

    def _bind(self, gang: Gang, uid: PodUid) -> Bind:
        self.counters.binds += 1
        task = gang.tasks[uid]
        node = task.node
        assert node is not None
        steps: list[Step] = []
        for source in self.policy.steps:
            steps.extend(self.guard.call(source, source.steps, (), task, node, self._view))
        fact = task.fact
        return Bind(uid, fact.namespace, fact.name, node.name, gang.id, tuple(steps))

    def _lay_down(self, stage: Pending, entry: Entry, outcome: Outcome) -> None:
        """Nobody in this lane can go on now: all of them wait for the same cure."""
        lane, blocker = entry.lane, outcome.blocker
        assert blocker is not None
        stage.sleep(lane, blocker, tuple(outcome.also))
        if self.placement.one_by_one:
            # What decides may be anybody's place: anything that happens may be the cure.
            outcome.also.append(Refused("placement", "depends on where others are"))
            lane.also = tuple(outcome.also)
        for each in (blocker, *outcome.also):
            self._parking.park(lane, each, outcome.rooms, outcome.needs)
        for gang_id in lane.members:
            if self._blockers.get(gang_id) != blocker:
                self._blockers[gang_id] = blocker
                self._outbox.touch(gang_id)
        self._outbox.touch(entry.gang.id)
        self._recheck_phase(entry.gang)

    def _recheck_phase(self, gang: Gang) -> None:
        """A gang that runs in part and now cannot be completed is Unknown."""
        gang.phase = next_phase(gang, self._blockers.get(gang.id), self._now)

    # -- questions

    def explain(self, gang_id: GangId) -> Explanation | None:
        """Why a gang waits, now; None for one nobody has heard of."""
        gang = self.state.gangs.get(gang_id)
        if gang is None:
            return None
        self._words.fresh()
        blocker = self._blockers.get(gang_id)
        return self._words.explain(gang, blocker, self._ahead(gang))

    def _ahead(self, gang: Gang) -> tuple[GangId, ...]:
        """Gangs of the same queue that come first and wait as well."""
        for stage in (self._enqueue, self._place):
            mine = stage.entry(gang.id)
            if mine is not None:
                others = [entry for entry in stage.entries() if entry.lane.key.queue == mine.lane.key.queue]
                return tuple(entry.gang.id for entry in sorted(others, key=lambda e: e.key) if entry.key < mine.key)
        return ()

    def blocker_of(self, gang_id: GangId) -> Blocker | None:
        """Why a gang waits, as a value."""
        return self._blockers.get(gang_id)

    def parked(self) -> dict[str, int]:
        """Waiting gangs by the name of what they wait for."""
        counts: dict[str, int] = {}
        for blocker in self._blockers.values():
            counts[blocker.name] = counts.get(blocker.name, 0) + 1
        return dict(sorted(counts.items()))
