"""Who outside has a say before orders go out: the first of the policy's confirmations that has something to ask."""

from flowbatch.engine.guard import Guard
from flowbatch.engine.outcome import Found, Placed
from flowbatch.model.gangs import Gang
from flowbatch.model.trial import Trial
from flowbatch.model.view import View
from flowbatch.policy.policy import Policy


class Confirming:
    """Puts places that a gang would get before the policy's confirmations."""

    def __init__(self, view: View, policy: Policy, guard: Guard) -> None:
        self._view = view
        self._policy = policy
        self._guard = guard

    def of(self, gang: Gang, trial: Trial) -> Found | None:
        """What is asked about the places that `trial` would keep."""
        placed = trial.preview() if self._policy.confirmations else []
        return self.question(gang, placed) if placed else None

    def question(self, gang: Gang, placed: Placed, first: int = 0) -> Found | None:
        """What the first of the policy's confirmations, from number `first` on, asks about these places."""
        for index, each in enumerate(self._policy.confirmations[first:], first):
            question = self._guard.call(each, each.question, None, gang, placed, self._view)
            if question is not None:
                return index, question
        return None
