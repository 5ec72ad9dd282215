"""Volcano's drf plugin: the gang with the smaller dominant share of the cluster comes first."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.ordering import DominantShare
from flowbatch.policy.plugins.parts import Parts


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(gang_order=(DominantShare(),))
