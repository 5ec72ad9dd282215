"""One gang's attempt: its minimum goes in whole, or nothing does.

Inside a Trial, in order: give up own reservations, check what the queue may hold, find rows for every part that the
minimum needs, hold room for members to come. If any of it fails the Trial is undone and the reason is a Blocker.
A gang that already runs in part (a failed binding, a lost member, a crash) is in repair: it takes what it can get.
"""

import msgspec

from flowbatch.engine.confirming import Confirming
from flowbatch.engine.domains import EVERYWHERE, Area
from flowbatch.engine.filling import Filling
from flowbatch.engine.ground import Ground
from flowbatch.engine.homecoming import Homecoming
from flowbatch.engine.needs import asked_near, compete, counts_of
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.room import TOGETHER, Rooms
from flowbatch.engine.standing import Demand, Part
from flowbatch.engine.surplus import Surplus
from flowbatch.engine.teamwork import Teamwork
from flowbatch.engine.tightness import Tightness, is_hopeless, led_by
from flowbatch.engine.ways import Ways, shapes_of
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsPeers, NeedsTime, NeedsTopology
from flowbatch.model.gangs import Gang
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.trial import Trial


class Attempts:
    """Tries gangs against the state."""

    def __init__(self, ground: Ground, confirming: Confirming) -> None:
        self._state = ground.state
        self._view = ground.view
        self._placement = ground.placement
        self._domains = ground.domains
        self._limits = ground.limits
        self._confirming = confirming
        self._tightness = Tightness(ground)
        self._filling = Filling(ground, self._tightness)
        self._teamwork = Teamwork(ground.domains, self._filling, self._tightness, ground.limits)
        self._ways = Ways(ground, self._tightness)
        self._homecoming = Homecoming(ground, confirming)
        self._surplus = Surplus(ground, self._tightness, self._filling, self._teamwork, confirming)

    def attempt(self, gang: Gang, demand: Demand, batch: int | None) -> Outcome:
        """Place what `demand` asks for; at most `batch` surplus members (None: all)."""
        self._placement.advice = self._view.advice.get(gang.id) if self._view.advice else None
        back = self._homecoming.place(gang, demand) if gang.berths else None
        outcome = back or self._place(gang, demand, batch)
        self._advised(gang, outcome)
        self._placement.advice = None
        if demand.best_effort:
            self._surplus.best_effort(gang, demand.best_effort, outcome)
        return outcome

    def _place(self, gang: Gang, demand: Demand, batch: int | None) -> Outcome:
        if demand.surplus:
            return self._surplus.place(gang, demand, batch)
        return self._minimum(gang, demand, whole=bool(gang.claims) or not gang.repairing)

    # -- the minimum, all or nothing

    def _minimum(self, gang: Gang, demand: Demand, *, whole: bool) -> Outcome:
        order = [part for part in demand.parts if part.must]
        if gang.claims:
            outcome = self._try(gang, demand, order, whole=True, claimed=True)
            if outcome.blocker is None:
                return outcome
        ways = len(demand.parts) + len(demand.reserve) > 1 and self._may_differ(gang, demand)
        self._view.buckets = self._filling.side_by_side(gang)
        outcome = self._try(gang, demand, order, whole=whole or ways)
        self._view.buckets = None
        if outcome.blocker is None:
            return outcome
        if (whole or ways) and gang.reach is None and compete(order):
            # Parts compete for the same nodes: once more, hardest to place first.
            # Those that must be near others come after those others.
            hardest = sorted(
                order, key=lambda part: (bool(part.shape.spec.near), self._placement.room(part.shape).total)
            )
            outcome = self._try(gang, demand, hardest, whole=True)
        if outcome.blocker is not None and ways:
            outcome = self._search(gang, demand, outcome)
            if outcome.blocker is not None and not whole:
                some = self._ways.most(demand, lambda shape: self._limits.allowance(gang, shape))
                outcome = self._try(gang, demand, some, whole=False)
        return outcome

    def _may_differ(self, gang: Gang, demand: Demand) -> bool:
        return gang.reach is None and not gang.claims and not self._state.windows and self._ways.differ(demand)

    def _search(self, gang: Gang, demand: Demand, outcome: Outcome) -> Outcome:
        """Part after part does not fit; but perhaps others of its pods do, or the same ones on other nodes."""
        with Trial(self._state) as trial:
            trial.unreserve(gang)
            blockers = self._ways.find(trial, gang, demand)
            if not blockers:
                question = self._confirming.of(gang, trial)
                placed = trial.keep(Stimulus.HOLD if question else Stimulus.PLACE)
                return Outcome(placed, settled=True, question=question)
        return self._no_way(demand, outcome, blockers) if len(blockers) > 1 else outcome

    def _no_way(self, demand: Demand, outcome: Outcome, blockers: list[Blocker]) -> Outcome:
        """None of several choices of members will do: whatever could cure one of them wakes the gang."""
        first = next((each for each in blockers if not is_hopeless(each)), outcome.blocker)
        assert first is not None
        rooms: Rooms = {shape.id: (shape, self._placement.room(shape).by_row) for shape in shapes_of(demand)}
        also = [each for each in dict.fromkeys(blockers) if each != first and not isinstance(each, NeedsCapacity)]
        if isinstance(first, NeedsCapacity) and not first.hopeless:
            first = msgspec.structs.replace(first, shapes=led_by(first, rooms))
        elif any(isinstance(each, NeedsCapacity) for each in blockers):
            also.append(NeedsCapacity(tuple(rooms), 0, 1, 1))
        return Outcome(blocker=first, also=also, rooms=rooms, needs=TOGETHER)

    def _try(self, gang: Gang, demand: Demand, order: list[Part], *, whole: bool, claimed: bool = False) -> Outcome:
        with Trial(self._state) as trial:
            trial.unreserve(gang)
            trial.unclaim(gang)
            blocker = self._limits.quota(gang, order, demand.reserve) if whole else None
            if blocker is None and claimed:
                blocker = self._filling.fill_claims(trial, gang, order, demand.reserve)
            elif blocker is None and gang.reach is not None:
                blocker = self._go_near(trial, gang, order, demand, whole=whole)
            elif blocker is None:
                blocker = self._go_in(trial, gang, order, demand, EVERYWHERE, whole=whole)
            if blocker is None or (trial.placing and not whole):
                question = self._confirming.of(gang, trial)
                placed = trial.keep(Stimulus.HOLD if question else Stimulus.PLACE)
                return Outcome(placed, settled=True, question=question)
        if isinstance(blocker, NeedsCapacity | NeedsPeers):
            return self._tightness.tight(gang, order, demand.reserve, blocker)
        if isinstance(blocker, NeedsTopology):
            return self._tightness.too_far(gang, counts_of(order, demand.reserve), blocker)
        return Outcome(blocker=blocker)

    def _go_in(
        self, trial: Trial, gang: Gang, order: list[Part], demand: Demand, area: Area, *, whole: bool
    ) -> Blocker | None:
        """Place what must be placed, and hold room for members to come, in one area."""
        blocker: Blocker | None = None
        if demand.teams:
            order = [part for part in order if part.team is None]
            blocker = self._teamwork.fill(trial, gang, demand.teams, area, whole=whole)
        if blocker is None or not whole:
            blocker = self._filling.fill(trial, gang, order, area, whole=whole) or blocker
        if blocker is None or not whole:
            blocker = self._filling.hold_room(trial, gang, demand.reserve, area) or blocker
        return blocker

    def _go_near(self, trial: Trial, gang: Gang, order: list[Part], demand: Demand, *, whole: bool) -> Blocker | None:
        """The tightest area that takes all of it; else, in repair, what the roomiest one takes."""
        counts = counts_of(order, demand.reserve)
        if not counts:
            return None
        asked = asked_near(gang, counts, trial)
        blocker: Blocker | None = None
        hardest = sorted(order, key=lambda part: self._placement.room(part.shape).total) if compete(order) else None
        # In repair nobody has asked yet whether the queue may hold all of it.
        may_whole = whole or self._limits.quota(gang, order, demand.reserve) is None
        for area in self._domains.areas(asked) if may_whole else ():
            for attempt in (order, hardest):
                mark = trial.mark()
                if attempt is not None:
                    blocker = self._go_in(trial, gang, attempt, demand, area, whole=True)
                    if blocker is None:
                        return None
                    trial.undo(mark)
        if not isinstance(blocker, NeedsTopology):
            blocker = self._tightness.distance(asked)
        wide = None if whole else self._domains.widest(asked)
        if wide is not None:
            self._go_in(trial, gang, order, demand, wide, whole=False)
        return blocker

    def _advised(self, gang: Gang, outcome: Outcome) -> None:
        """Nodes that somebody outside refused were left out: that may be why, and ends with the advice."""
        advice = self._placement.advice
        if advice is None or outcome.blocker is None or not advice.refused_nodes():
            return
        why = f"{advice.refused_nodes()} node(s) were refused from outside: {advice.first_refusal()}"
        outcome.also.insert(0, outcome.blocker)
        outcome.blocker = NeedsTime(advice.until, why)
