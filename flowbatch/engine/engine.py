"""The engine: events in, decisions out. Control flow only; what is computed is in the modules it calls.

`observe` folds facts into the state and decides nothing. `cycle` looks only at what has changed: gangs with new facts
are sorted anew, lanes whose cure may have come are woken, and those in line are tried in order until the budget is
spent.
No clock, no luck, no I/O: the same events and ticks give the same plans.
"""

from collections.abc import Sequence
from typing import assert_never

from flowbatch.engine.answers import Answers
from flowbatch.engine.attempt import Attempts
from flowbatch.engine.berths import Berths
from flowbatch.engine.confirming import Confirming
from flowbatch.engine.counters import Counters
from flowbatch.engine.decisions import Ask, Decision, Plan, QueueReport, Report, Tick
from flowbatch.engine.events import Answered, Event, EvictFailed, PolicyDropped, ReleaseFailed, StepFailed, Synced
from flowbatch.engine.evictions import Evictions
from flowbatch.engine.folding import Folding, Heard
from flowbatch.engine.gate import Gate
from flowbatch.engine.ground import Ground
from flowbatch.engine.guard import Guard
from flowbatch.engine.holds import Holds
from flowbatch.engine.lanes import Entry
from flowbatch.engine.ledgers import Ledgers
from flowbatch.engine.lineup import LineUp
from flowbatch.engine.memories import Memories
from flowbatch.engine.orders import Orders
from flowbatch.engine.outbox import Outbox
from flowbatch.engine.outcome import Found, Outcome
from flowbatch.engine.parking import Parking
from flowbatch.engine.pending import Pending
from flowbatch.engine.relieving import Relieving
from flowbatch.engine.report import Explanation, Words
from flowbatch.engine.reservations import Reservations
from flowbatch.engine.rounds import Rounds
from flowbatch.engine.shuffle import Shuffle
from flowbatch.engine.standing import Demand
from flowbatch.engine.turns import Turns
from flowbatch.engine.wishes import Wishes
from flowbatch.model.blockers import Blocker, NeedsTime
from flowbatch.model.changes import StateChanges
from flowbatch.model.check import check
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.groupuse import GroupUse
from flowbatch.model.ids import GangId, Instant, PodUid
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT

#: How long a pod is let be whose eviction was refused.
SPARED_MS = 30_000


class Engine:
    """One scheduler's mind. Two of them in one process share nothing."""

    def __init__(self, policy: Policy = DEFAULT, *, validate: bool = False) -> None:
        self.state = ClusterState()
        self.counters = Counters()
        self.guard = Guard(lambda: self.state.table.size)
        self._validate = validate
        self._view = View(self.state)
        self._synced = False
        #: The first decision is still to be made: pods may be nominated by an engine before this one.
        self._restarted = False
        #: Something has changed since the last plan.
        self._news = False
        self._outbox = Outbox()
        self._lineup = LineUp(self.state, self._view, self.guard, self.counters, self._outbox)
        self.questions = self._lineup.questions
        self._view.advice = self.questions.advice
        self._orders = Orders(self.state, self._view, self.guard, self.counters, self._outbox)
        self._answers = Answers(self.state, self._view, self.questions, self._orders.bind, self._ask)
        self._holds = Holds(self.state, self._outbox)
        self._berths = Berths(self.state)
        self._folding = Folding(self.state, self._view, self._hear)
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Take on another policy: every gang is looked at again; what is placed stays."""
        self.policy = policy = self.guard.adopt(policy)
        ground = Ground.of(self.state, self._view, policy, self.guard, self.counters)
        self._fits, self.placement, self.domains = ground.fits, ground.placement, ground.domains
        confirming = Confirming(self._view, policy, self.guard)
        self._attempts = Attempts(ground, confirming)
        self.state.numa.on = any(getattr(each, "aligns_cpus", False) for each in policy.filters)
        counted = any(getattr(each, "counts_groups", False) for each in policy.caps)
        self.state.device_claims.on = any(getattr(each, "gives_devices", False) for each in policy.filters)
        self.state.group_use = GroupUse(self.state) if counted else None
        self._memories = Memories(self.state, policy)
        self._turns = Turns(self.state, self._view, policy, self.guard)
        self._folding.measuring = self._turns.measuring
        self._evictions = Evictions(ground)
        self._shuffle = Shuffle(self._view, policy, self.guard)
        self._answers.adopt(confirming, ground.limits, ground.fits)
        self._ledgers = Ledgers.of(policy, self.state, self._view, self.guard)
        self._orders.adopt(policy)
        self._reservations = Reservations(ground, Wishes(ground))
        self._lineup.adopt(ground, Parking(self.state, self._fits, self.counters), self._reservations)
        self._relieving = Relieving(
            ground, self._lineup, self._evictions, self._holds, self._berths, self._orders, self._reservations
        )
        self._gate = Gate(self._view, policy, self.guard, self._lineup, self._ask)
        self._rounds = Rounds(ground, self._lineup, self._memories, self._try)
        self._words = Words(self.state, self._fits)
        for queue in self.state.queues.by_name.values():
            queue.share = None
        changes = self.state.changes
        changes.shares = changes.total = True
        changes.gangs.update(self.state.gangs)

    # -- facts in

    def observe(self, events: Sequence[Event]) -> None:
        """Fold facts in; decides nothing."""
        self.counters.events += len(events)
        fold = self._folding.fold
        for event in events:
            fold(event)

    def _hear(self, event: Heard) -> None:
        """What became of our own orders and questions, and what else is no object."""
        match event:
            case EvictFailed():
                self._evict_failed(event.uid)
            case ReleaseFailed():
                self.state.keep_devices(event.claim)
            case StepFailed():
                self._step_failed(event.uid)
            case Answered():
                self._answers.hear(event)
            case PolicyDropped():
                self.guard.drop(event.policy, event.reason)
                self.adopt_again()
            case Synced():
                self._restarted = not self._synced
                self._synced = True
            case _:
                assert_never(event)

    def adopt_again(self) -> None:
        """A policy was dropped: what it had a say in is decided again without it."""
        dropped = dict(self.guard.dropped)
        self.adopt(self.policy)
        self.guard.dropped.update(dropped)

    def _evict_failed(self, uid: PodUid) -> None:
        """It stays, for a while at least: whom it should have made room for looks for other room."""
        task = self.state.tasks.get(uid)
        beneficiary = self.state.spare(uid, Instant(self._view.now + SPARED_MS))
        if task is not None and task.gang is not None and task.gang.berths:
            self._berths.stay(task)
        if beneficiary is not None:
            self.state.unclaim(beneficiary)
        elif task is not None and task.node is not None:
            self._holds.drop_at(task.node.name)

    def _step_failed(self, uid: PodUid) -> None:
        task = self.state.tasks.get(uid)
        if task is not None and task.node is not None:
            self.state.refuse(uid, task.node.name, permanent=False)
        elif task is not None:
            self._orders.gate_stayed(task)

    # -- decisions out

    def cycle(self, tick: Tick) -> Plan:
        """Decide: at most `tick.budget` attempts, the rest next time (`more`)."""
        self.counters.cycles += 1
        self._view.now = tick.now
        if not self._synced:
            return Plan(self.counters.cycles)
        self._words.fresh()
        self.guard.meter.begin()
        self._answers.settle()
        budget = tick.budget
        self._memories.begin(tick.now)
        if self._memories.resort_due(tick.now):
            self._lineup.resort()
        if self._turns.take(self.state.changes):
            self._shuffle.hurry()
        if self.state.group_use is not None:
            self.state.group_use.refresh()
        self._renew(tick.now)
        self.state.windows.now = tick.now
        if self.state.windows:
            self._reservations.review()
            for task, gang_id in self._reservations.overdue():
                self._orders.evict(task, "overdue", gang_id)
        self._absorb()
        while budget > 0 and self._lineup.waiting:
            budget = self._rounds.run(self._lineup.gate, budget)
            if self.state.changes.any():
                self._absorb()
            budget = self._rounds.run(self._lineup.place, budget)
            self._absorb()
        if self._validate:
            check(self.state)
        return self._plan(more=self._lineup.waiting)

    def _renew(self, now: Instant) -> None:
        """What the clock alone brings: claims end, and those go who go for nobody's sake."""
        if self._restarted:
            self._restarted = False
            if self._evictions.ways:
                self._holds.remember(self._fits, Instant(now + self.policy.hold_ms))
        self._holds.review(now)
        self._berths.review(now)
        for task in self._shuffle.victims(now):
            self._orders.evict(task, "shuffle", None)

    def _wake_at(self) -> Instant | None:
        kept = self._holds.wake_at(), self._berths.wake_at(), self._reservations.wake_at()
        due = (self._lineup.wake_at(), self._turns.next(), *kept, self._shuffle.wake_at(), self._memories.wake_at())
        return min((at for at in due if at is not None), default=None)

    def _plan(self, *, more: bool) -> Plan:
        decisions: list[Decision] = [*self.guard.reports(), *self._outbox.drain()]
        reports = [report for gang_id in self._outbox.touched() for report in self._report(gang_id)]
        self.counters.reports += len(reports)
        decisions += reports
        decisions += self._queue_reports()
        decisions += self._memories.settle(self._view.now)
        self._memories.keep_watch(self._view.now, waiting=bool(self._lineup.blockers))
        decisions += self._outbox.domain_news(self.state.topology)
        return Plan(self.counters.cycles, tuple(decisions), more, self._wake_at())

    def _report(self, gang_id: GangId) -> list[Report]:
        gang = self.state.gangs.get(gang_id)
        if gang is None or gang.fact is None:
            self._outbox.forget(gang_id)
            return []
        report = self._words.report(gang, self._lineup.blockers.get(gang_id))
        return [report] if self._outbox.news(report, gang) else []

    def _queue_reports(self) -> list[QueueReport]:
        if not self._news:
            return []
        self._news = False
        return self._outbox.queue_news(self.state)

    def _absorb(self) -> None:
        """Take in all that happened since, until nothing more follows from it."""
        state = self.state
        self._lineup.grow_late()
        self._lineup.wake(StateChanges())
        while state.changes.any():
            changes, state.changes = state.changes, StateChanges()
            self._news = True
            self._lineup.take_in(changes)

    # -- trying

    def _try(self, stage: Pending, head: Entry, others: bool) -> None:
        self.counters.attempts += 1
        self.guard.meter.begin()
        if stage is self._lineup.gate:
            self._gate.attempt(head)
        else:
            self._try_place(head, alone=not others and stage.alone(head))

    def _try_place(self, entry: Entry, *, alone: bool) -> None:
        gang, what = entry.gang, entry.demand
        assert what is not None
        blocker = self._gate.refusal(self.policy.admission, gang)
        if blocker is not None:
            self._lineup.lay_down(self._lineup.place, entry, Outcome(blocker=blocker))
            return
        if self._view.advice:
            self._lineup.questions.current(gang.id, self._view.now)
        self._view.gang = gang
        outcome = self._attempts.attempt(gang, what, None if alone else self.policy.surplus_batch)
        self._view.gang = None
        for task, _ in outcome.placed:
            if outcome.question is None or task.shape.best_effort:
                self._orders.bind(gang, task)
        if outcome.question is not None:
            self._ask(gang, outcome.question, [task for task, _ in outcome.placed if not task.shape.best_effort])
        elif outcome.placed and self.policy.confirmations:
            self._lineup.questions.settled(gang.id)
        if self.policy.reserving:
            self._promise(gang, what, outcome)
        if not outcome.placed:
            self._orders.let_wait(gang, what.parts, outcome.blocker)
        if outcome.blocker is None or outcome.placed or outcome.settled:
            self._lineup.blockers.pop(gang.id, None)
            self._lineup.sort(gang.id, gang)
            self._lineup.recheck()
        elif gang.claims:
            self._relieving.wait_for_room(entry, outcome)
        elif self._evictions.concerns(gang, what, outcome.blocker):
            self._relieving.relieve(entry, what, outcome)
        else:
            self._lineup.lay_down(self._lineup.place, entry, outcome)

    # -- keeping room

    def _promise(self, gang: Gang, what: Demand, outcome: Outcome) -> None:
        """Whoever starts needs no reservation; who has waited too long for room gets one, or will."""
        for task, _ in outcome.placed:
            task.placed_at = self._view.now
        if outcome.blocker is None or outcome.placed or outcome.settled:
            self._reservations.drop(gang.id)
            return
        if not gang.claims and self._reservations.consider(gang, what, outcome.blocker):
            self.state.changes.gangs[gang.id] = gang
        due = self._reservations.due(gang)
        if due is not None and due > self._view.now:
            outcome.also.append(NeedsTime(due, "room is kept for it from then on"))

    def _ask(self, gang: Gang, found: Found, held: list[Task]) -> None:
        index, question = found
        opened = self.questions.put(question, gang, [task.uid for task in held], index)
        self._outbox.ask(Ask(opened.ask, opened.text, opened.inquiry))

    # -- questions

    def explain(self, gang_id: GangId) -> Explanation | None:
        """Why a gang waits, now; None for one nobody has heard of."""
        gang = self.state.gangs.get(gang_id)
        if gang is None:
            return None
        self._words.fresh()
        blocker = self._lineup.blockers.get(gang_id)
        return self._words.explain(gang, blocker, self._lineup.ahead(gang))

    def blocker_of(self, gang_id: GangId) -> Blocker | None:
        """Why a gang waits, as a value."""
        return self._lineup.blockers.get(gang_id)

    def parked(self) -> dict[str, int]:
        """Waiting gangs by the name of what they wait for."""
        counts: dict[str, int] = {}
        for blocker in self._lineup.blockers.values():
            counts[blocker.name] = counts.get(blocker.name, 0) + 1
        return dict(sorted(counts.items()))
