"""Making room: which gangs may have others evicted, in which ways, and how often it is tried in vain.

Victims are sought for a gang that was refused for want of room, or of its queue's part, way by way in the order of the
policy's actions. If nobody may go, the gang waits as before, with the reasons counted, and the search rests for longer
each time: it costs more than an attempt.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from flowbatch.engine.candidates import INSIDE, WAYS, Candidates, Way, pushes
from flowbatch.engine.domains import Area
from flowbatch.engine.ground import Ground
from flowbatch.engine.lanes import Entry
from flowbatch.engine.movers import Movers
from flowbatch.engine.outcome import Outcome
from flowbatch.engine.search import Search
from flowbatch.engine.standing import Demand, LaneKey
from flowbatch.engine.teams import Team
from flowbatch.engine.wanted import Found, wants
from flowbatch.model.blockers import (
    Blocker,
    NeedsCapacity,
    NeedsDevices,
    NeedsPeers,
    NeedsQuota,
    NeedsTime,
    NeedsTopology,
    NeedsVictims,
    Spared,
)
from flowbatch.model.gangs import Gang, Reservation, Task
from flowbatch.model.ids import EPOCH, GangId, Instant, Row
from flowbatch.model.resources import Sums, add

#: After a search in vain the next one waits this long, twice as long after every further one, up to the most.
FIRST_PAUSE_MS, MOST_PAUSE_MS = 1_000, 64_000
#: Pauses remembered before old ones are thrown away.
PAUSES_KEPT = 4_096


@dataclass(slots=True)
class Relief:
    """Who goes, in which way, what is claimed, and whose pod is to have which of it."""

    way: Way
    victims: list[Task]
    claims: tuple[Reservation, ...]
    named: list[tuple[Task, Row]]
    #: Of the victims, those who only move, and where to.
    berths: list[tuple[Task, Row]]


@dataclass(slots=True)
class Refusal:
    """Why nobody goes."""

    spared: dict[str, int] = field(default_factory=dict)
    soonest: Instant | None = None

    def join(self, who: Candidates) -> None:
        """One way more was tried in vain; a pod may be spared in several, so each reason counts once."""
        for reason, count in who.spared.items():
            self.spared[reason] = max(count, self.spared.get(reason, 0))
        if who.soonest is not None:
            self.soonest = who.soonest if self.soonest is None else min(self.soonest, who.soonest)


@dataclass(slots=True)
class Pause:
    """After so many searches in vain, none before `until`; what the last one found."""

    failures: int
    until: Instant
    spared: Spared = ()
    soonest: Instant | None = None


class Evictions:
    """Looks for victims. Changes nothing: carrying it out is the engine's."""

    def __init__(self, ground: Ground) -> None:
        self._state = ground.state
        self._view = ground.view
        self._policy = policy = ground.policy
        self._guard = ground.guard
        self._fits = ground.fits
        self._limits = ground.limits
        self._domains = ground.domains
        self._placement = ground.placement
        #: Gangs that could not start where others had left for them, and until when nobody leaves for them again.
        self._let_down: dict[GangId, Instant] = {}
        self._counters = ground.counters
        whole = {"gangpreempt": policy.gangpreempt.whole_gangs, "gangreclaim": policy.gangreclaim.whole_gangs}
        self.ways = tuple(
            replace(WAYS[action], whole=whole.get(action, False)) for action in policy.actions if action in WAYS
        )
        self._inside = "preempt" in policy.actions
        self._pauses: dict[LaneKey, Pause] = {}

    def concerns(self, gang: Gang, demand: Demand, blocker: Blocker | None) -> bool:
        """Whether somebody's going could help, and the gang is one for whom others may be sent away."""
        if not self.ways or gang.fact is None or not gang.fact.preempts:
            return False
        if demand.surplus and not (self._inside and demand.parts and pushes(gang)):
            return False
        if self._view.now < self._let_down.get(gang.id, EPOCH):
            return False
        if isinstance(blocker, NeedsPeers):
            return not isinstance(blocker, NeedsDevices)
        if isinstance(blocker, NeedsQuota) and all(way.moves for way in self.ways):
            return False
        return isinstance(blocker, NeedsCapacity | NeedsTopology | NeedsQuota) and not blocker.hopeless

    def let_down(self, gang: Gang) -> None:
        """Others have left for it and it could not start: something keeps it out that no eviction can change."""
        now = self._view.now
        self._let_down = {each: until for each, until in self._let_down.items() if until > now}
        self._let_down[gang.id] = Instant(now + self._policy.hold_ms)

    def relieve(self, entry: Entry, demand: Demand, outcome: Outcome) -> Relief | None:
        """Whom to evict so that the gang can start; None, and reasons in `outcome`, where nobody is to go."""
        gang, key, now = entry.gang, entry.lane.key, self._view.now
        pause = self._pauses.get(key, Pause(0, now))
        if now >= pause.until:
            refusal = Refusal()
            for way in (INSIDE,) if demand.surplus else self.ways:
                relief = self._search(gang, demand, way, refusal)
                if relief is not None:
                    self._pauses.pop(key, None)
                    return relief
            pause = self._pause(key, pause.failures, refusal)
        outcome.also.append(NeedsVictims(pause.until))
        if pause.soonest is not None:
            outcome.also.append(NeedsTime(max(pause.soonest, pause.until)))
        if isinstance(outcome.blocker, NeedsCapacity | NeedsTopology | NeedsQuota | NeedsPeers):
            outcome.blocker = msgspec.structs.replace(outcome.blocker, spared=pause.spared)
        return None

    def _pause(self, key: LaneKey, failures: int, refusal: Refusal) -> Pause:
        """How long the next search rests."""
        now = self._view.now
        if len(self._pauses) >= PAUSES_KEPT:
            self._pauses = {each: pause for each, pause in self._pauses.items() if pause.until > now}
        until = Instant(now + min(MOST_PAUSE_MS, FIRST_PAUSE_MS << min(failures, 16)))
        spared = tuple(sorted((reason, count) for reason, count in refusal.spared.items()))
        pause = self._pauses[key] = Pause(failures + 1, until, spared, refusal.soonest)
        return pause

    def _search(self, gang: Gang, demand: Demand, way: Way, refusal: Refusal) -> Relief | None:
        """The cheapest place for the gang, of all that are near enough."""
        most = self._policy.gangreclaim.domains_most if way.across else self._policy.gangpreempt.domains_most
        best: Found | None = None
        for area in self._domains.domains(gang)[:most]:
            found = self._search_in(area, gang, demand, way, refusal)
            if found is not None and (best is None or found.cost < best.cost):
                best = found
        if best is None or not (best.victims or self._leaving_for(gang)):
            return None
        return Relief(way, best.victims, best.claims, best.named, best.berths)

    def _search_in(self, area: Area, gang: Gang, demand: Demand, way: Way, refusal: Refusal) -> Found | None:
        found = self._try(area, gang, demand, way, refusal, ())
        if found is not None and found.broken:
            # With whole gangs gone from the beginning, less may be needed of others.
            again = self._try(area, gang, demand, way, refusal, found.broken)
            if again is not None and again.cost < found.cost:
                return again
        return found

    def _try(
        self, area: Area, gang: Gang, demand: Demand, way: Way, refusal: Refusal, first: Sequence[Gang]
    ) -> Found | None:
        needs = wants(demand)
        asked: Sums = {}
        for want in needs:
            add(asked, want.shape.request, want.count)
        if way.moves and not self._enough(gang, asked):
            return None
        self._counters.victim_searches += 1
        looked: list[Candidates] = []

        def find() -> Candidates:
            looked.append(self._candidates(gang, way, asked))
            return looked[0]

        ceilings, late, most = self._limits.ceilings, self._overdue(), self._policy.moved_most
        search = Search(
            self._state, self._fits, self._placement, ceilings, gang, needs, way, area, self._inner, late, most
        )
        found = search.run(find, first)
        for who in looked if found is None else ():
            refusal.join(who)
        return found

    def _candidates(self, gang: Gang, way: Way, asked: Sums) -> Candidates:
        if way.moves:
            return Movers(self._state, self._view, self._policy, self._guard, gang, way, asked, self._placement)
        return Candidates(self._state, self._view, self._policy, self._guard, gang, way, asked)

    def _enough(self, gang: Gang, asked: Sums) -> bool:
        """There is as much room as is asked for, in whatever pieces: moving makes pieces larger, not more of them."""
        table = self._state.table
        table.fit_axes()
        rows = table.open_rows()
        mine = {**gang.claimed}
        add(mine, gang.reserved.items())
        return all(int(table.future(a)[rows].clip(0).sum()) + mine.get(a, 0) >= n for a, n in asked.items())

    def _inner(self, team: Team, area: Area) -> list[Area]:
        reach = team.rule.reach
        return [area] if reach is None else self._domains.inner(reach, team.tasks, area)

    def _overdue(self) -> list[Task]:
        """Who was told to go so long ago that his room is not to be counted on."""
        late = self._view.now - self._policy.hold_ms
        return [task for task in self._state.leaving.values() if task.told_at is not None and task.told_at <= late]

    def _leaving_for(self, gang: Gang) -> bool:
        """Others are on their way out for it already: then their room is claimed even if nobody more has to go."""
        return any(task.beneficiary == gang.id for task in self._state.leaving.values())
