"""Questions to the outside that hold capacity until they are answered, and what is remembered of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from flowbatch.engine.events import Answered
from flowbatch.model.blockers import Blocker, NeedsAnswer, Refused
from flowbatch.model.gangs import Gang
from flowbatch.model.ids import GangId, Instant, PodUid, ShapeId
from flowbatch.model.inquiry import Advice, Inquiry

#: How long an answer is believed.
ADVICE_MS = 10_000
#: A gang that was refused is asked about again after so long, doubling with each refusal.
FIRST_AGAIN_MS, LAST_AGAIN_MS = 1_000, 60_000
#: Times that a gang is placed elsewhere and asked about at once, before it waits.
MOST_ROUNDS = 8


@dataclass(slots=True)
class Question:
    """One open question: whose, about which held tasks. `index`: which of the policy's confirmations asks."""

    ask: str
    gang: GangId
    text: str
    tasks: tuple[PodUid, ...]
    index: int = 0
    inquiry: Inquiry | None = None
    #: Shapes of the pods that the inquiry's subjects name.
    shapes: tuple[ShapeId, ...] = ()
    #: Under which policy it was asked, counted from the first.
    era: int = 0


class Questions:
    """Open questions by id, and what was answered. Ids count up, so a replay asks the same."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}
        self._of_gang: dict[GangId, Question] = {}
        #: Gangs that were refused: until when they wait, and why.
        self._refused: dict[GangId, tuple[Instant, Refused]] = {}
        self._times: dict[GangId, int] = {}
        self._due: list[tuple[Instant, GangId]] = []
        self.advice: dict[GangId, Advice] = {}
        self._count = 0
        #: Policies adopted so far: who has a say may be others under each.
        self.era = 0

    def put(self, question: str | Inquiry, gang: Gang, tasks: Sequence[PodUid], index: int = 0) -> Question:
        """Open a question."""
        self._count += 1
        inquiry = question if isinstance(question, Inquiry) else None
        text = inquiry.text if inquiry is not None else str(question)
        shapes = tuple(gang.tasks[each.uid].shape.id for each in inquiry.subjects) if inquiry is not None else ()
        opened = Question(f"ask-{self._count}", gang.id, text, tuple(tasks), index, inquiry, shapes, self.era)
        self._open[opened.ask] = self._of_gang[gang.id] = opened
        return opened

    def take(self, ask: str) -> Question | None:
        """The question that was answered, if it is still open."""
        question = self._open.pop(ask, None)
        if question is not None and self._of_gang.get(question.gang) is question:
            del self._of_gang[question.gang]
        return question

    def advise(self, question: Question, answer: Answered, now: Instant) -> bool:
        """Remember a yes with its conditions; whether the places stand as they are."""
        inquiry = question.inquiry
        if inquiry is None:
            return True
        advice = self.current(question.gang, now)
        if advice is None:
            advice = self.advice[question.gang] = Advice(Instant(now + ADVICE_MS))
        advice.rounds += 1
        if inquiry.kind == "enqueue":
            advice.admitted[inquiry.url] = None
            return True
        advice.agreed[inquiry.url] = None
        return _note(advice, question, inquiry, answer)

    def current(self, gang: GangId, now: Instant) -> Advice | None:
        """What is believed about a gang now; what is too old is forgotten."""
        advice = self.advice.get(gang)
        if advice is not None and advice.until <= now:
            del self.advice[gang]
            return None
        return advice

    def exhausted(self, gang: GangId) -> bool:
        """It was placed elsewhere and asked about often enough for now."""
        advice = self.advice.get(gang)
        return advice is not None and advice.rounds >= MOST_ROUNDS

    def refuse(self, gang: GangId, text: str, answer: str, now: Instant) -> Instant:
        """The answer was no: the gang is not tried again for a while, the longer the more often."""
        times = self._times[gang] = self._times.get(gang, 0) + 1
        until = Instant(now + min(LAST_AGAIN_MS, FIRST_AGAIN_MS << min(times - 1, 10)))
        self._refused[gang] = (until, Refused(text, answer))
        heappush(self._due, (until, gang))
        self.advice.pop(gang, None)
        return until

    def release(self, gang: GangId) -> None:
        """Whatever was refused, it is over."""
        self._refused.pop(gang, None)
        self.settled(gang)

    def settled(self, gang: GangId) -> None:
        """It has its places, or its pods: what was refused before no longer counts."""
        self._times.pop(gang, None)
        self.advice.pop(gang, None)

    def open(self, gang: GangId) -> Blocker | None:
        """What the gang waits for outside."""
        refused = self._refused.get(gang)
        if refused is not None:
            return refused[1]
        question = self._of_gang.get(gang)
        return NeedsAnswer(question.ask, question.text) if question is not None else None

    def over(self, now: Instant) -> list[GangId]:
        """Gangs that have waited long enough after a refusal."""
        over: list[GangId] = []
        while self._due and self._due[0][0] <= now:
            until, gang = heappop(self._due)
            if self._refused.get(gang, (None,))[0] == until:
                del self._refused[gang]
                over.append(gang)
        return over

    def next_due(self) -> Instant | None:
        """When the next of them has."""
        while self._due and self._refused.get(self._due[0][1], (None,))[0] != self._due[0][0]:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def forget(self, gang: GangId) -> None:
        """The gang is gone."""
        for known in (self._refused, self._times, self.advice):
            known.pop(gang, None)
        question = self._of_gang.pop(gang, None)
        if question is not None:
            self._open.pop(question.ask, None)


def _note(advice: Advice, question: Question, inquiry: Inquiry, answer: Answered) -> bool:
    """Which nodes are approved, refused and preferred; False where another try may do better or must be made."""
    shape_of = dict(zip((each.uid for each in inquiry.subjects), question.shapes, strict=True))
    for subject in inquiry.subjects:
        approved = advice.approved.setdefault((inquiry.url, shape_of[subject.uid]), {})
        approved.update(dict.fromkeys(subject.nodes))
    for uid, name, why in answer.refused:
        if uid in shape_of:
            advice.approved[inquiry.url, shape_of[uid]].pop(name, None)
            advice.refused.setdefault(shape_of[uid], {})[name] = why
    ranked = False
    for uid, name, score in answer.scores:
        if uid in shape_of and 0.0 <= score <= 1.0:
            advice.scores.setdefault(shape_of[uid], {})[name] = score
            ranked = True
    alternatives = any(len(subject.nodes) > subject.chosen for subject in inquiry.subjects)
    return not _refuses_chosen(inquiry, answer) and not (ranked and alternatives)


def _refuses_chosen(inquiry: Inquiry, answer: Answered) -> bool:
    chosen = {(each.uid, name): None for each in inquiry.subjects for name in each.nodes[: each.chosen]}
    return any((uid, name) in chosen for uid, name, _ in answer.refused)
