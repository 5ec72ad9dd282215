"""The engine that the settings ask for: its policy is named, or described (`policy.conf`, or in Volcano's words)."""

from collections.abc import Mapping
from typing import Any

from flowbatch.engine.engine import Engine
from flowbatch.errors import SpecError, SpecErrors, did_you_mean
from flowbatch.policy.conf import read_policy
from flowbatch.policy.policy import Policy
from flowbatch.policy.presets import DEFAULT, PRESETS
from flowbatch.policy.volcano import is_volcano, read_volcano
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
    """The policy that the settings name or describe; the default where they do neither. Raises SpecErrors."""
    asked = settings.policy
    if not asked:
        return DEFAULT
    if isinstance(asked, dict) and is_volcano(asked):
        return read_volcano(asked)
    if isinstance(asked, dict):
        return read_policy(asked, _classes(found_policies()))
    return PRESETS[asked] if asked in PRESETS else _plugin(asked)


def _classes(plugins: Mapping[str, Any]) -> dict[str, type[Any]]:
    """The plugins that may stand in a description's lists; whole policies are named instead."""
    return {name: found for name, found in plugins.items() if isinstance(found, type)}


def _plugin(name: str) -> Policy:
    plugins = found_policies()
    found = plugins.get(name)
    if isinstance(found, Policy):
        return found
    hint = did_you_mean(name, [*PRESETS, *(each for each, thing in plugins.items() if isinstance(thing, Policy))])
    raise SpecErrors([SpecError("scheduler.policy", "no such policy", name, hint)], "settings")
