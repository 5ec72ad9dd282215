"""The engine that the settings ask for: its policy is a preset or a plugin by name."""

from flowbatch.engine.engine import Engine
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PRESETS
from flowbatch.runtime.plugins import found_policies
from flowbatch.runtime.settings import SchedulerSettings


class EngineMaker:
    """Makes engines of the policy in force. Raises SpecErrors for one that does not exist."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self._policy = policy_of(settings)

    def __call__(self) -> Engine:
        """A new engine that knows nothing yet."""
        return Engine(self._policy, validate=self._settings.validate)

    def change(self, settings: SchedulerSettings, engine: Engine) -> bool:
        """Let `engine`, and those made later, follow new settings; whether that changes anything. Raises SpecErrors.

        What is placed stays; what waits is decided again.
        """
        policy = policy_of(settings)
        differs = policy != self._policy
        self._policy, self._settings = policy, settings
        if differs:
            engine.adopt(policy)
        return differs


def policy_of(settings: SchedulerSettings) -> Policy:
    """The policy that the settings name; the default where they name none. Raises SpecErrors."""
    if not settings.policy:
        return DEFAULT
    if settings.policy in PRESETS:
        return PRESETS[settings.policy]
    plugins = found_policies()
    found = plugins.get(settings.policy)
    if found is None:
        hint = did_you_mean(settings.policy, [*PRESETS, *plugins])
        raise SpecErrors([SpecError("scheduler.policy", "no such policy", settings.policy, hint)], "settings")
    policy = found() if callable(found) else found
    if not isinstance(policy, Policy):
        raise SpecErrors([SpecError("scheduler.policy", "is no Policy", settings.policy)], "settings")
    return policy
