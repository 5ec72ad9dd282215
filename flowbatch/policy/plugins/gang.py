"""Volcano's gang plugin: gangs that lack their minimum come first. All or nothing itself is the engine's."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.ordering import UnreadyFirst
from flowbatch.policy.plugins.parts import Parts


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(gang_order=(UnreadyFirst(),))
