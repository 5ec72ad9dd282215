"""Volcano's binpack plugin: fuller nodes first."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.parts import Parts
from flowbatch.policy.scores import BinPack


def read(arguments: Arguments) -> Parts:
    """`binpack.weight`, `.cpu`, `.memory`, `.resources` ("a, b") and `binpack.resources.<name>` for their weights.

    A resource that is not named does not count, as in Volcano.
    """
    weight = arguments.number("binpack.weight", 1)
    weights = {"cpu": arguments.number("binpack.cpu", 1), "memory": arguments.number("binpack.memory", 1)}
    for name in arguments.words("binpack.resources"):
        weights[name] = arguments.number(f"binpack.resources.{name}", 1)
    scores = (BinPack(weight, tuple(weights.items()), other=0.0),) if weight else ()
    return Parts(scores=scores)
