"""The gate: which gangs may have pods at all (Volcano: enqueue)."""

from collections.abc import Callable, Sequence

from flowbatch.engine.guard import Guard
from flowbatch.engine.lanes import Entry
from flowbatch.engine.lineup import LineUp
from flowbatch.engine.outcome import Found, Outcome
from flowbatch.model.blockers import Blocker, NeedsTime
from flowbatch.model.gangs import Gang, Task
from flowbatch.model.ids import Instant
from flowbatch.model.view import View
from flowbatch.policy.contract import Admission, Permit
from flowbatch.policy.policy import Policy


class Gate:
    """Lets gangs in one by one; whoever is refused is laid down until the cure may have come."""

    def __init__(
        self,
        view: View,
        policy: Policy,
        guard: Guard,
        lineup: LineUp,
        ask: Callable[[Gang, Found, list[Task]], None],
    ) -> None:
        self._view = view
        self._policy = policy
        self._guard = guard
        self._lineup = lineup
        self._ask = ask

    def attempt(self, entry: Entry) -> None:
        """Whether it may have pods now."""
        gang = entry.gang
        outcome = Outcome(blocker=self.refusal(self._policy.enqueue, gang))
        if outcome.blocker is None and self._policy.waivable:
            self._look_at_waivable(gang, outcome)
        if outcome.blocker is not None:
            self._lineup.lay_down(self._lineup.gate, entry, outcome)
            return
        if self._asked(gang):
            return
        gang.phase = "Inqueue"
        self._lineup.blockers.pop(gang.id, None)
        self._lineup.sort(gang.id, gang)
        self._lineup.recheck()

    def refusal(self, admissions: Sequence[Admission], gang: Gang) -> Blocker | None:
        """The first of these policies that says no, and why."""
        for admission in admissions:
            blocker = self._guard.call(admission, admission.blocker, None, gang, self._view)
            if blocker is not None:
                return blocker
        return None

    def _asked(self, gang: Gang) -> bool:
        """Somebody outside has a say before this gang may have pods, and is asked now."""
        for index, each in enumerate(self._policy.confirmations):
            ask = getattr(each, "gate_question", None)
            if ask is not None and "enqueue" in self._policy.actions:
                question = self._guard.call(each, ask, None, gang, self._view)
                if question is not None:
                    self._ask(gang, (index, question), [])
                    self._lineup.sort(gang.id, gang)
                    return True
        return False

    def _look_at_waivable(self, gang: Gang, outcome: Outcome) -> None:
        """Gates that the clock opens too, for a gang that may wait only so long."""
        due = self._due(self._policy.permits, gang)
        if due is not None and due <= self._view.now:
            return
        outcome.blocker = self.refusal(self._policy.waivable, gang)
        if outcome.blocker is not None and due is not None:
            outcome.also.append(NeedsTime(due, "has waited long enough then"))

    def _due(self, permits: Sequence[Permit], gang: Gang) -> Instant | None:
        """The first moment at which one of them speaks for `gang`."""
        found = [self._guard.call(permit, permit.due, None, gang, self._view) for permit in permits]
        return min((due for due in found if due is not None), default=None)
