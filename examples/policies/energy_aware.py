"""Energy-aware placement: nodes that need less power for a cpu come first, and packed ones before empty ones.

Label your nodes once: `kubectl label node n1 example.com/watts-per-cpu=6.5`

    policies: [energy_aware.py]
    scheduler:
      policy:
        scores: [{name: thrifty, weight: 3}, binPack, preferredAffinity, preferredTaints]

Packing is what lets whole nodes sleep; the weights say how much worse a node may be to keep another one dark.
"""

from flowbatch.policy.authoring import per_node

LABEL = "example.com/watts-per-cpu"
#: A node that needs so much is worth nothing; one without the label is taken for half of it.
WORST_WATTS = 20.0


@per_node
def thrifty(shape, node):
    """1 for a cpu that costs no power, 0 for one that costs WORST_WATTS or more."""
    try:
        watts = float(node.labels.get(LABEL, WORST_WATTS / 2))
    except ValueError:
        watts = WORST_WATTS / 2
    return min(1.0, max(0.0, 1.0 - watts / WORST_WATTS))
