"""The engine that the settings ask for."""

from flowbatch.engine.engine import Engine
from flowbatch.policy.policy import Policy
from flowbatch.policy.reading import Asked
from flowbatch.runtime.plugins import PolicyFiles
from flowbatch.runtime.policies import Chosen, choose
from flowbatch.runtime.settings import Settings


class EngineMaker:
    """Makes engines of the policy in force. Raises SpecErrors for one that does not exist."""

    def __init__(self, settings: Settings) -> None:
        self._files = PolicyFiles()
        self._validate = settings.scheduler.validate
        self.chosen: Chosen = choose(settings, self._files)

    def __call__(self) -> Engine:
        """A new engine that knows nothing yet."""
        return Engine(self.chosen.policy, validate=self._validate)

    @property
    def asked(self) -> Asked:
        """How the policy in force was asked for."""
        return self.chosen.asked

    def change(self, settings: Settings) -> bool:
        """Take on new settings; whether the policy is another one. Raises SpecErrors, and then nothing has changed."""
        chosen = choose(settings, self._files)
        differs = not _same(chosen.policy, self.chosen.policy)
        self.chosen, self._validate = chosen, settings.scheduler.validate
        return differs


def _same(one: Policy, other: Policy) -> bool:
    """Whether two policies are equal, as far as the classes that somebody wrote can tell."""
    try:
        return one == other
    except Exception:  # an `__eq__` of somebody's may raise anything
        return False
