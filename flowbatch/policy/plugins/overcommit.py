"""Volcano's overcommit plugin: how much more than the cluster holds may be let through the enqueue gate."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.gates import Overcommit
from flowbatch.policy.parts import Parts


def read(arguments: Arguments) -> Parts:
    """`overcommit-factor`, at least 1."""
    return Parts(enqueue=(Overcommit(arguments.number("overcommit-factor", 1.2, least=1.0, most=1000.0)),))
