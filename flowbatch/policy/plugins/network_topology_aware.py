"""Volcano's network-topology-aware plugin: full network domains first, for gangs that must be close and for the others.

That gangs keep within their tier, in the lowest that will do, is the engine's own business and needs no plugin.
"""

from flowbatch.policy.arguments import Arguments
from flowbatch.policy.domains import Fullest, HyperNodePacking, LeastLeft
from flowbatch.policy.parts import Parts

PREFIX = "hypernode.binpack"


def read(arguments: Arguments) -> Parts:
    """`weight`, `hypernode.binpack.cpu`, `.memory`, `.resources` ("a, b"), `.resources.<name>`, `.normal-pod.enable`,
    `.normal-pod.fading` and `hypernode.gradient.evict.max-hypernodes`.
    """
    weight = arguments.whole("weight", 1)
    weights = {name: float(arguments.whole(f"{PREFIX}.{name}", 1)) for name in ("cpu", "memory")}
    for name in arguments.words(f"{PREFIX}.resources"):
        weights[name] = float(arguments.whole(f"{PREFIX}.resources.{name}", 1))
    resources = tuple(weights.items())
    normal = arguments.flag(f"{PREFIX}.normal-pod.enable", default=True)
    fading = arguments.number(f"{PREFIX}.normal-pod.fading", 0.8)
    most = arguments.whole("hypernode.gradient.evict.max-hypernodes", 8, least=1)
    scores = (HyperNodePacking(weight, resources, fading),) if weight and normal else ()
    return Parts(domain_order=(Fullest(resources), LeastLeft()), scores=scores, eviction_domains=most)
