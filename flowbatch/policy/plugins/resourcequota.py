"""Volcano's resourcequota plugin: a gang is let in only if its namespace's quotas have room for its pods."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.quota import NamespaceQuota


def read(arguments: Arguments) -> Parts:
    """It has no arguments."""
    return Parts(enqueue=(NamespaceQuota(),))
