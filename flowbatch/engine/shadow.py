"""A second policy decides on the same facts, in the shadow of the one in force; nothing is bound by it.

It has an engine of its own that hears the same facts and runs the same cycles. After each cycle its plan is compared
with the real one, gang by gang; then reality goes on: what it alone would have placed is taken back, and what was
really ordered takes its place. So each comparison starts from the same state, and says what the other policy would do
*now*.

A gang that only the shadow would place is a *wish*: counted once, and remembered until it is really placed, which tells
how much sooner it would have run. One for which only the shadow would evict is a wish as well, as if those who are told
to go left at once; in reality they stay, and so they do in the shadow's books from then on. Whoever must be asked
outside is not asked twice: the shadow supposes a yes.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from flowbatch.engine.candidates import EVICTABLE
from flowbatch.engine.decisions import Ask, Bind, Evict, Nominate, Plan, Tick
from flowbatch.engine.engine import Engine
from flowbatch.engine.events import Answered, Event, EvictFailed, GangGone, PodSeen, PolicyDropped, StepFailed
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import GangId, Instant, NodeName, PodUid
from flowbatch.model.lifecycle import Stimulus
from flowbatch.model.shapes import Shape
from flowbatch.model.trial import Trial
from flowbatch.policy.policy import Policy

#: Differences and wishes that are remembered.
KEPT: Final = 512
MOST_WISHES: Final = 10_000

Kind = Literal["would place", "would wait", "elsewhere", "order", "sooner", "would evict"]
#: (pod, node), in the order of decision.
Places = tuple[tuple[str, NodeName], ...]


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """One gang that the shadow treats in another way.

    | kind | |
    |---|---|
    | would place | the shadow places it now, reality does not |
    | sooner | reality has placed it now; the shadow would have `ms` earlier |
    | would wait | reality places it, the shadow would not, and `why` |
    | elsewhere | both place it, on different nodes |
    | order | both place it, but not in the same order among the gangs of this cycle |
    | would evict | the shadow has pods leave for it, `why` names them, and reality does not; then as "would place" |
    """

    at: Instant
    gang: GangId
    kind: Kind
    real: Places = ()
    shadow: Places = ()
    why: str = ""
    ms: int = 0


class Wish(msgspec.Struct, frozen=True):
    """Since when the shadow would have a gang run, and where."""

    since: Instant
    places: Places


class Shadow:
    """The other policy's engine, and what it would do otherwise."""

    def __init__(self, policy: Policy, *, validate: bool = False, kept: int = KEPT) -> None:
        self.policy = policy
        self.engine = Engine(policy, validate=validate)
        self.differences: deque[Difference] = deque(maxlen=kept)
        self.counts: dict[Kind, int] = {}
        self.wishes: dict[GangId, Wish] = {}
        #: Cycles compared, and gangs that both placed alike.
        self.cycles = self.alike = 0
        self._answers: list[Event] = []

    def observe(self, events: Sequence[Event]) -> None:
        """Hear what the real engine hears, but for answers and verdicts that are about itself."""
        for event in events:
            if isinstance(event, GangGone):
                self.wishes.pop(event.id, None)
            elif isinstance(event, PodSeen) and event.node is not None and event.gang is not None:
                # Bound by a plan that this shadow has not seen.
                self.wishes.pop(event.gang, None)
        facts = [each for each in events if not isinstance(each, Answered | StepFailed | PolicyDropped)]
        self.engine.observe([*facts, *self._answers])
        self._answers = []

    def cycle(self, tick: Tick, real: Plan) -> list[Difference]:
        """Decide too, and compare; then do as was really done. Returns what is different."""
        plan = self.engine.cycle(tick)
        self.cycles += 1
        self._answers = [Answered(each.ask, "yes") for each in plan.decisions if isinstance(each, Ask)]
        found = self._compare(tick.now, real, plan)
        self._follow(real, plan, tick.now)
        self.differences.extend(found)
        for each in found:
            self.counts[each.kind] = self.counts.get(each.kind, 0) + 1
        return found

    # -- comparing

    def _compare(self, now: Instant, real: Plan, plan: Plan) -> list[Difference]:
        ours, theirs = places_of(real), places_of(plan)
        found: list[Difference] = []
        for gang, places in ours.items():
            found += self._placed(now, gang, places, theirs.get(gang), more=plan.more)
        for gang, places in theirs.items():
            if gang not in ours and gang not in self.wishes and len(self.wishes) < MOST_WISHES:
                self.wishes[gang] = Wish(now, places)
                found.append(Difference(now, gang, "would place", shadow=places))
        found += [Difference(now, gang, "order") for gang in out_of_order(list(ours), list(theirs))]
        return found + self._evicted(now, real, plan)

    def _evicted(self, now: Instant, real: Plan, plan: Plan) -> list[Difference]:
        """Whom only the shadow tells to go; whoever it is for would have its places, once."""
        evictions = only_in(plan, real)
        kept = self._nominated(plan)
        found: list[Difference] = []
        for beneficiary in dict.fromkeys(each.beneficiary or GangId("") for each in evictions):
            names = ", ".join(each.name for each in evictions if (each.beneficiary or "") == beneficiary)
            places = kept.get(beneficiary, ())
            if beneficiary in self.wishes:
                continue
            if beneficiary and len(self.wishes) < MOST_WISHES:
                self.wishes[beneficiary] = Wish(now, places)
            found.append(Difference(now, beneficiary, "would evict", shadow=places, why=names))
        return found

    def _nominated(self, plan: Plan) -> dict[GangId, Places]:
        """Where those would go for whom others are told to."""
        places: dict[GangId, list[tuple[str, NodeName]]] = {}
        for each in plan.decisions:
            task = self.engine.state.tasks.get(each.uid) if isinstance(each, Nominate) else None
            if isinstance(each, Nominate) and each.node and task is not None and task.gang is not None:
                places.setdefault(task.gang.id, []).append((each.name, each.node))
        return {gang: tuple(found) for gang, found in places.items()}

    def _placed(
        self, now: Instant, gang: GangId, real: Places, shadow: Places | None, *, more: bool
    ) -> list[Difference]:
        wish = self.wishes.pop(gang, None)
        if wish is not None:
            return [Difference(now, gang, "sooner", real, wish.places, ms=now - wish.since)]
        if shadow is None:
            # With work left over it may only be that the shadow has not come to it.
            return [] if more else [Difference(now, gang, "would wait", real, why=self._why(gang))]
        if sorted(node for _, node in real) == sorted(node for _, node in shadow):
            self.alike += 1
            return []
        return [Difference(now, gang, "elsewhere", real, shadow)]

    def _why(self, gang: GangId) -> str:
        explanation = self.engine.explain(gang)
        return explanation.message if explanation is not None else ""

    # -- doing as was done

    def _follow(self, real: Plan, plan: Plan, now: Instant) -> None:
        """Take back what was only wished, and take on what was really ordered."""
        ordered = {each.uid: each.node for each in real.decisions if isinstance(each, Bind)}
        state, questions = self.engine.state, self.engine.questions
        for bind in binds_of(plan):
            if ordered.get(bind.uid) != bind.node:
                state.give_back(bind.uid)
        for gang in places_of(plan):
            if gang not in places_of(real):
                questions.refuse(gang, "shadow", "it would have its places here now", now)
        for gang in places_of(real):
            questions.release(gang)
        self._place(ordered)
        for uid in ordered:
            task = state.tasks.get(uid)
            if task is not None and task.gang is not None and task.gang.queue is not None:
                state.serve(task.gang.queue)
        wished = only_in(plan, real)
        self.engine.observe([EvictFailed(each.uid, "shadow") for each in wished])
        for gang in dict.fromkeys(each.beneficiary for each in wished if each.beneficiary is not None):
            questions.refuse(gang, "shadow", "others would leave for it now", now)
        for order in only_in(real, plan):
            self._send_away(order, now)

    def _send_away(self, order: Evict, now: Instant) -> None:
        """Somebody has really been told to go."""
        task = self.engine.state.tasks.get(order.uid)
        if task is not None and task.state in EVICTABLE:
            self.engine.state.move(task, Stimulus.EVICT)
            task.told_at = now

    def _place(self, ordered: dict[PodUid, NodeName]) -> None:
        state = self.engine.state
        groups: dict[tuple[GangId, int], tuple[Gang, Shape, list[tuple[Task, int]]]] = {}
        for uid, name in ordered.items():
            task, node = state.tasks.get(uid), state.nodes.get(name)
            if (
                task is None
                or task.gang is None
                or task.node is not None
                or node is None
                or uid not in task.gang.pending
            ):
                continue
            group = groups.setdefault((task.gang.id, task.shape.id), (task.gang, task.shape, []))
            group[2].append((task, node.row))
        for gang, shape, found in groups.values():
            found.sort(key=lambda each: each[1])
            rows, counts = np.unique(np.array([row for _, row in found], np.int64), return_counts=True)
            with Trial(state) as trial:
                trial.place(gang, shape, [task for task, _ in found], rows, counts.astype(np.int64))
                trial.keep()


def only_in(one: Plan, other: Plan) -> list[Evict]:
    """Whom only the first of two plans tells to go."""
    both = {each.uid: None for each in other.decisions if isinstance(each, Evict)}
    return [each for each in one.decisions if isinstance(each, Evict) and each.uid not in both]


def binds_of(plan: Plan) -> list[Bind]:
    """Its bindings, in order."""
    return [each for each in plan.decisions if isinstance(each, Bind)]


def places_of(plan: Plan) -> dict[GangId, Places]:
    """What a plan places, gang by gang, in the order of decision."""
    places: dict[GangId, list[tuple[str, NodeName]]] = {}
    for bind in binds_of(plan):
        if bind.gang is not None:
            places.setdefault(bind.gang, []).append((bind.name, bind.node))
    return {gang: tuple(found) for gang, found in places.items()}


def out_of_order(one: Sequence[GangId], other: Sequence[GangId]) -> Iterable[GangId]:
    """Gangs of both that do not stand at the same place among them."""
    both = dict.fromkeys(one)
    common = [gang for gang in other if gang in both]
    kept = dict.fromkeys(common)
    return [gang for gang, peer in zip((gang for gang in one if gang in kept), common, strict=True) if gang != peer]
