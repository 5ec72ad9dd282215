"""Volcano's nodeorder plugin: eight of Kubernetes' node scores, each with its weight."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.contract import NodeScore
from flowbatch.policy.plugins.parts import Parts
from flowbatch.policy.scores import Balanced, LeastRequested, MostRequested, PreferredAffinity, PreferredTaints


def read(arguments: Arguments) -> Parts:
    """`<score>.weight` each; a weight of zero leaves the score out."""
    scores: list[NodeScore] = [
        PreferredAffinity(arguments.number("nodeaffinity.weight", 2)),
        LeastRequested(arguments.number("leastrequested.weight", 1)),
        MostRequested(arguments.number("mostrequested.weight", 0)),
        Balanced(arguments.number("balancedresource.weight", 1)),
        PreferredTaints(arguments.number("tainttoleration.weight", 3)),
    ]
    return Parts(scores=tuple(score for score in scores if score.weight))
