"""Beyond the minimum: members that a gang can do without, whole sub-gangs, and pods without requests."""

from collections.abc import Iterable

from flowbatch.engine.confirming import Confirming
from flowbatch.engine.domains import EVERYWHERE, Area
from flowbatch.engine.filling import Filling
from flowbatch.engine.ground import Ground
from flowbatch.engine.needs import asked_near, counts_of
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.room import Rooms
from flowbatch.engine.standing import Demand, Part
from flowbatch.engine.teams import Team
from flowbatch.engine.teamwork import Teamwork
from flowbatch.engine.tightness import Tightness
from flowbatch.model.blockers import Blocker, NeedsCapacity, NeedsPeers
from flowbatch.model.gangs import Gang
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.trial import Trial


class Surplus:
    """Places members that the minimum can do without."""

    def __init__(
        self, ground: Ground, tightness: Tightness, filling: Filling, teamwork: Teamwork, confirming: Confirming
    ) -> None:
        self._state = ground.state
        self._view = ground.view
        self._placement = ground.placement
        self._domains = ground.domains
        self._limits = ground.limits
        self._tightness = tightness
        self._filling = filling
        self._teamwork = teamwork
        self._confirming = confirming

    def place(self, gang: Gang, demand: Demand, batch: int | None) -> Outcome:
        """Place at most `batch` of them (None: all that fit)."""
        left = batch if batch is not None else len(gang.pending)
        outcome = Outcome()
        reasons: list[Blocker] = []
        with Trial(self._state) as trial:
            trial.unclaim(gang)
            for team in demand.teams:
                if left > 0 and not team.started:
                    count, reason = self._whole_team(gang, team, outcome, trial)
                    left -= count
                    reasons += [reason] if reason is not None else []
            self._view.buckets = self._filling.side_by_side(gang)
            for part in self._filling.in_buckets(gang, demand.parts):
                if part.team is not None and not part.team.started:
                    continue
                count, reason = self._some(gang, part, left, outcome, trial)
                left -= count
                if reason is not None:
                    reasons.append(reason)
            self._view.buckets = None
            outcome.question = self._confirming.of(gang, trial)
            if trial.placing or not gang.claims:
                outcome.placed = trial.keep(Stimulus.HOLD if outcome.question else Stimulus.PLACE)
        if not outcome.placed and reasons:
            outcome.blocker, *outcome.also = reasons
            outcome.also += self._else(outcome.rooms, reasons)
        return outcome

    def best_effort(self, gang: Gang, parts: list[Part], outcome: Outcome) -> None:
        """Pods without requests need no gang: wherever a node admits one more pod (Volcano: backfill)."""
        with Trial(self._state) as trial:
            for part in parts:
                _, reason = self._some(gang, part, len(part.tasks), outcome, trial)
                if reason is not None:
                    outcome.also += [reason, *self._else(outcome.rooms, [reason])]
            outcome.placed += trial.keep()
        if outcome.also and outcome.blocker is None:
            outcome.blocker = outcome.also.pop(0)

    def _some(self, gang: Gang, part: Part, left: int, outcome: Outcome, trial: Trial) -> tuple[int, Blocker | None]:
        """Place as many of `part` as fit and may; a reason only where it was none at all."""
        allowed = min(left, len(part.tasks), self._limits.allowance(gang, part.shape))
        if allowed == 0:
            return 0, self._limits.exceeded(gang, part.shape)
        if gang.reach is not None or (part.team is not None and part.team.rule.reach is not None):
            return self._some_near(gang, part, allowed, outcome, trial)
        room = self._placement.room(part.shape)
        count = self._filling.put(trial, gang, part, self._filling.most(part.shape, allowed, room), room)
        if count:
            return count, None
        outcome.rooms[part.shape.id] = (part.shape, self._placement.watched(part.shape, [part.shape]))
        return 0, self._tightness.few(part.shape, 0, 1)

    def _some_near(
        self, gang: Gang, part: Part, allowed: int, outcome: Outcome, trial: Trial
    ) -> tuple[int, Blocker | None]:
        counts = {part.shape: allowed}
        asked = asked_near(gang, counts, trial) if gang.reach is not None else None
        area: Area | None = EVERYWHERE if asked is None else self._domains.widest(asked)
        if area is not None and part.team is not None:
            asked = self._teamwork.asked(part.team, counts, area) or asked
            area = area if asked is None else self._domains.widest(asked)
        if area is not None:
            room = self._placement.room(part.shape, area.mask)
            count = self._filling.put(trial, gang, part, self._filling.most(part.shape, allowed, room), room, area)
            if count:
                return count, None
        assert asked is not None
        asked.counts = {part.shape: 1}
        return 0, self._missed(
            gang, outcome, self._tightness.too_far(gang, asked.counts, self._tightness.distance(asked))
        )

    def _whole_team(self, gang: Gang, team: Team, outcome: Outcome, trial: Trial) -> tuple[int, Blocker | None]:
        """A sub-gang beyond the minimum: whole, or not at all."""
        asking = team.asking()
        counts = counts_of(asking, [])
        if not team.complete:
            return 0, team.short()
        blocker = self._limits.quota(gang, asking)
        if blocker is not None or not asking:
            return 0, blocker
        for area in [EVERYWHERE] if gang.reach is None else self._domains.areas(asked_near(gang, counts, trial)):
            blocker = self._teamwork.place(trial, gang, team, area)
            if blocker is None:
                return team.lacking, None
        if blocker is None:
            blocker = self._tightness.distance(asked_near(gang, counts, trial))
        return 0, self._missed(gang, outcome, self._tightness.too_far(gang, counts, blocker))

    @staticmethod
    def _missed(gang: Gang, outcome: Outcome, missed: Outcome) -> Blocker | None:
        outcome.rooms |= missed.rooms
        outcome.needs = missed.needs
        outcome.also += missed.also
        return missed.blocker

    def _else(self, rooms: Rooms, reasons: list[Blocker]) -> Iterable[Blocker]:
        """Where others matter, room and others are each other's alternative cure."""
        for each in reasons:
            if isinstance(each, NeedsPeers):
                yield NeedsCapacity(each.shapes, each.fits, each.needs)
            elif isinstance(each, NeedsCapacity) and any(self._placement.social(rooms[one][0]) for one in each.shapes):
                yield NeedsPeers(each.shapes, each.fits, each.needs)
