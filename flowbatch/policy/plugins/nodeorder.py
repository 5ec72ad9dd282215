"""Volcano's nodeorder plugin: eight of Kubernetes' node scores, each with its weight."""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.contract import NodeScore
from flowbatch.policy.parts import Parts
from flowbatch.policy.podaffinity import PodAffinityScore
from flowbatch.policy.scores import (
    Balanced,
    ImageLocality,
    LeastRequested,
    MostRequested,
    PreferredAffinity,
    PreferredTaints,
)
from flowbatch.policy.spread import TopologySpreadScore


def read(arguments: Arguments) -> Parts:
    """`<score>.weight` each; a weight of zero leaves the score out."""
    scores: list[NodeScore] = [
        PreferredAffinity(arguments.number("nodeaffinity.weight", 2)),
        PodAffinityScore(arguments.number("podaffinity.weight", 2)),
        LeastRequested(arguments.number("leastrequested.weight", 1)),
        MostRequested(arguments.number("mostrequested.weight", 0)),
        Balanced(arguments.number("balancedresource.weight", 1)),
        PreferredTaints(arguments.number("tainttoleration.weight", 3)),
        ImageLocality(arguments.number("imagelocality.weight", 1)),
        TopologySpreadScore(arguments.number("podtopologyspread.weight", 2)),
    ]
    return Parts(scores=tuple(score for score in scores if score.weight))
