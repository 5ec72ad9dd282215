"""What becomes of held places when somebody outside has answered.

Answers are facts: they are folded in like others and acted upon when the engine decides. Much may have happened since
the question: a member or the queue is gone, a node was cordoned, a limit was lowered. Then the places do not stand,
whatever was said, and the gang is placed anew; what was said about nodes is remembered, so it is not asked about them
again.
"""

from collections.abc import Callable

from flowbatch.engine.confirming import Confirming
from flowbatch.engine.events import Answered
from flowbatch.engine.fits import Fits
from flowbatch.engine.limits import HARD, Limits
from flowbatch.engine.outcome import Found
from flowbatch.engine.questions import Questions
from flowbatch.engine.standing import Demand, demand
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.lifecycle import Stimulus, TaskState
from flowbatch.model.resources import AMOUNT_MAX, Sums, add
from flowbatch.model.state import ClusterState
from flowbatch.model.view import View

#: Its order is out, or it is where it should be.
SETTLED = (TaskState.BINDING, TaskState.BOUND, TaskState.RUNNING)


class Answers:
    """Those that came since the last decision. `bind` sends the order for a pod, `ask` puts a further question."""

    def __init__(
        self,
        state: ClusterState,
        view: View,
        questions: Questions,
        bind: Callable[[Gang, Task], None],
        ask: Callable[[Gang, Found, list[Task]], None],
    ) -> None:
        self._state = state
        self._view = view
        self._questions = questions
        self._bind = bind
        self._ask = ask
        self._heard: list[Answered] = []

    def adopt(self, confirming: Confirming, limits: Limits, fits: Fits) -> None:
        """Under another policy others may have a say."""
        self._confirming = confirming
        self._limits = limits
        self._fits = fits
        self._questions.era += 1

    def hear(self, answer: Answered) -> None:
        """Keep it until the engine decides."""
        self._heard.append(answer)

    def settle(self) -> None:
        """Act upon all of them, in the order in which they came."""
        heard, self._heard = self._heard, []
        for answer in heard:
            self._settle(answer)

    def _settle(self, answer: Answered) -> None:
        questions, now = self._questions, self._view.now
        question = questions.take(answer.ask)
        gang = self._state.gangs.get(question.gang) if question else None
        if question is None or gang is None:
            return
        self._state.changes.gangs[gang.id] = gang
        held = [task for uid in question.tasks if (task := gang.tasks.get(uid)) and task.state is TaskState.HELD]
        if answer.answer != "yes":
            questions.refuse(gang.id, question.text, answer.answer, now)
        elif question.era != questions.era:
            # Asked under another policy: whoever has a say now is asked from the first on.
            questions.settled(gang.id)
        elif questions.advise(question, answer, now) and self._stand(gang, held):
            self._go_on(gang, held, question.index + 1)
            return
        elif questions.exhausted(gang.id):
            questions.refuse(gang.id, question.text, "it goes on refusing nodes", now)
        for task in held:
            self._state.give_back(task.uid)

    def _go_on(self, gang: Gang, held: list[Task], index: int) -> None:
        """The places stand, as far as those are concerned who were asked: ask the next, or send the orders."""
        placed = [(task, task.node) for task in held if task.node is not None]
        found = self._confirming.question(gang, placed, index) if placed else None
        if found is not None:
            self._ask(gang, found, held)
            return
        for task in held:
            self._state.move(task, Stimulus.PLACE)
            self._bind(gang, task)
        if placed:
            self._questions.settled(gang.id)

    # -- whether the places are still good

    def _stand(self, gang: Gang, held: list[Task]) -> bool:
        known = gang.fact is not None and gang.queue is not None and gang.queue.fact is not None
        return known and self._is_whole(gang) and self._on_good_nodes(held) and self._within(gang, held)

    @staticmethod
    def _is_whole(gang: Gang) -> bool:
        """With those held it has its minimum; one that runs already takes what it can get."""
        if any(task.state in SETTLED and not task.shape.best_effort for task in gang.tasks.values()):
            return True
        lacks = demand(gang)
        return lacks is None or (isinstance(lacks, Demand) and lacks.surplus)

    def _on_good_nodes(self, held: list[Task]) -> bool:
        open_rows = self._state.table.open_rows()
        return all(
            task.node is not None
            and not task.fact.gated
            and open_rows[task.node.row]
            and self._fits.of(task.shape).mask[task.node.row]
            for task in held
        )

    def _within(self, gang: Gang, held: list[Task]) -> bool:
        """Limits that do not move with what others do are not exceeded."""
        asked: Sums = {}
        for task in held:
            add(asked, task.shape.request)
        return not any(
            ceiling.kind in HARD and ceiling.held.get(axis, 0) > ceiling.most.get(axis, AMOUNT_MAX)
            for ceiling in (self._limits.ceilings(gang) if gang.queue is not None else ())
            for axis in asked
        )
