"""Places sub-gangs inside the area of their gang: each whole or not at all, in the tightest domain of its own.

A team that finds no place may be replaced by another of its policy. Teams that ask for the same fail alike, so one that
failed speaks for all of them.
"""

import msgspec

from flowbatch.engine.domains import EVERYWHERE, Area, Asked, Domains, placed_rows
from flowbatch.engine.filling import Filling
from flowbatch.engine.limits import Limits
from flowbatch.engine.teams import Team
from flowbatch.engine.tightness import Tightness
from flowbatch.model.blockers import Blocker, NeedsTopology
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import ShapeId
from flowbatch.model.shapes import Shape
from flowbatch.model.trial import Trial

#: What teams ask for, as far as it decides whether they find a place.
Likeness = tuple[int, bool, tuple[tuple[ShapeId, int], ...]]


class Teamwork:
    """Places the members of teams, and says why an area will not do."""

    def __init__(
        self,
        domains: Domains,
        filling: Filling,
        tightness: Tightness,
        limits: Limits,
    ) -> None:
        self._domains = domains
        self._filling = filling
        self._tightness = tightness
        self._limits = limits

    def fill(self, trial: Trial, gang: Gang, teams: list[Team], area: Area, *, whole: bool) -> Blocker | None:
        """Place the planned ones of `teams`, or others of their policy; `whole`: all of them, or give up."""
        failed: dict[Likeness, Blocker] = {}
        spares = [team for team in teams if not team.planned and team.lacking and team.complete]
        missed: Blocker | None = None
        for team in teams:
            if not team.planned:
                continue
            blocker = self._once(trial, gang, team, area, failed, whole=whole)
            for spare in [each for each in spares if each.group == team.group] if blocker is not None else ():
                if self._once(trial, gang, spare, area, failed, whole=whole) is None:
                    spares.remove(spare)
                    blocker = None
                    break
            if blocker is not None and whole:
                return blocker
            missed = blocker or missed
        return missed

    def _once(
        self, trial: Trial, gang: Gang, team: Team, area: Area, failed: dict[Likeness, Blocker], *, whole: bool
    ) -> Blocker | None:
        """Place `team`, unless one like it has failed already."""
        asking = team.asking()
        likeness = (team.group, team.started, tuple((part.shape.id, part.must) for part in asking))
        if likeness in failed and not team.started:
            return failed[likeness]
        # That the queue may hold a whole minimum is known already; a spare may ask for more than whom it stands in for.
        blocker = self._limits.quota(gang, asking) if not whole or not team.planned else None
        blocker = blocker or self.place(trial, gang, team, area)
        if blocker is not None:
            failed[likeness] = blocker
        return blocker

    def place(self, trial: Trial, gang: Gang, team: Team, area: Area) -> Blocker | None:
        """All that `team` lacks, inside `area` and in the tightest domain that is close enough for it."""
        parts = team.asking()
        counts: dict[Shape, int] = {}
        for part in parts:
            counts[part.shape] = counts.get(part.shape, 0) + part.must
        if not counts:
            return None
        asked = self.asked(team, counts, area)
        blocker: Blocker | None = None
        for inner in [area] if asked is None else self._domains.areas(asked):
            mark = trial.mark()
            blocker = self._filling.fill(trial, gang, parts, inner, whole=True)
            if blocker is None:
                return None
            trial.undo(mark)
        return self._reason(team, asked) if asked is not None and not asked.reach.soft else blocker

    @staticmethod
    def asked(team: Team, counts: dict[Shape, int], area: Area) -> Asked | None:
        """What `team` asks of the domains inside `area`; None where it does not mind."""
        if team.rule.reach is None:
            return None
        return Asked(team.rule.reach, counts, placed_rows(team.tasks), inside=area)

    def _reason(self, team: Team, asked: Asked) -> Blocker:
        blocker = self._tightness.distance(asked)
        if not isinstance(blocker, NeedsTopology):
            return blocker
        hopeless = blocker.hopeless
        if hopeless and asked.inside.place is not None:
            # Elsewhere there may be domains that are large enough.
            anywhere = self._tightness.distance(Asked(asked.reach, asked.counts, asked.anchor, inside=EVERYWHERE))
            hopeless = isinstance(anywhere, NeedsTopology) and anywhere.hopeless
        return msgspec.structs.replace(blocker, group=team.name, hopeless=hopeless)
