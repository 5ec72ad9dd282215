"""Questions to the outside that hold capacity until they are answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from flowbatch.model.blockers import Blocker, NeedsAnswer, Refused
from flowbatch.model.ids import GangId, PodUid


@dataclass(slots=True)
class Question:
    """One open question: whose, about which held tasks."""

    ask: str
    gang: GangId
    text: str
    tasks: tuple[PodUid, ...]


class Questions:
    """Open questions by id, and what was refused. Ids count up, so a replay asks the same."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}
        self._refused: dict[GangId, Refused] = {}
        self._count = 0

    def put(self, gang: GangId, text: str, tasks: Sequence[PodUid]) -> str:
        """Open a question; returns its id."""
        self._count += 1
        ask = f"ask-{self._count}"
        self._open[ask] = Question(ask, gang, text, tuple(tasks))
        return ask

    def take(self, ask: str) -> Question | None:
        """The question that was answered, if it is still open."""
        return self._open.pop(ask, None)

    def refuse(self, gang: GangId, text: str, answer: str) -> None:
        """The answer was no: the gang is not tried again until something about it changes."""
        self._refused[gang] = Refused(text, answer)

    def open(self, gang: GangId) -> Blocker | None:
        """What the gang waits for; a refusal is told once."""
        refused = self._refused.pop(gang, None)
        if refused is not None:
            return refused
        for question in self._open.values():
            if question.gang == gang:
                return NeedsAnswer(question.ask, question.text)
        return None

    def forget(self, gang: GangId) -> None:
        """The gang is gone."""
        self._refused.pop(gang, None)
        self._open = {ask: question for ask, question in self._open.items() if question.gang != gang}
